"""The project's own files as data, for the tests that judge them without running them."""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "moduprompt"


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One Python file: its path below the root, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def place(self) -> tuple[str, ...]:
        """Where it stands in the package: ("kernel", "writer"); empty outside of the package."""
        head, _, tail = self.path.partition("src/moduprompt/")
        return () if head or not tail else tuple(tail.removesuffix(".py").split("/"))


def parsed(text: str, *, path: str) -> Module:
    return Module(path=path, text=text, tree=ast.parse(text, filename=path))


@functools.cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file below these folders of the project."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return tuple(parsed(file.read_text("utf-8"), path=file.relative_to(ROOT).as_posix()) for file in files)


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Path and text of everything git tracks or would track, as far as it is text."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in sorted(filter(None, names.split("\0"))):
        try:
            yield name, (ROOT / name).read_text("utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # a picture, a recording, a file just deleted, another repository


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and absolute name of each import; `from a import b` names `a.b`, as b may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def called(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each call, as written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node.lineno, ast.unparse(node.func)
