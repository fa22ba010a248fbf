"""Checks the repository itself, in seconds, with the standard library only and no set-up.

    every Python file    compiles, opens with a docstring, has at most 600 lines
    every Markdown file  its relative links lead to a file and to a heading that exist
    TOML and JSON        parse
    this program         finds each of these faults in a sample that has them

It reads what git tracks, or the folder when git can't say. Prints one line per check, then each fault
as `path:line: what`; exit 1 when there is one. It runs none of the code it reads.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 600  # the house's limit; more is two files that were never separated
SKIPPED_FOLDERS = {
    ".git",
    ".venv",
    ".venv-bench",
    ".tools",
    ".agents",
    "node_modules",
    "build",
    "dist",
    "__pycache__",
}
FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$")
EXTERNAL = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class Fault(NamedTuple):
    path: str
    line: int
    what: str


class Check(NamedTuple):
    name: str
    suffixes: tuple[str, ...]
    find: Callable[[Path, str], Iterator[Fault]]


def python_faults(path: Path, text: str) -> Iterator[Fault]:
    """Syntax, docstring, length."""
    lines = text.count("\n") + 1
    if lines > FILE_LINES_MAX:
        yield Fault(str(path), FILE_LINES_MAX, f"{lines} lines; at most {FILE_LINES_MAX}")
    try:
        tree = ast.parse(text, filename=str(path))
        compile(text, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        yield Fault(str(path), getattr(error, "lineno", None) or 1, f"does not compile: {error}")
        return
    if tree.body and not ast.get_docstring(tree):
        yield Fault(str(path), 1, "no module docstring")


def markdown_faults(path: Path, text: str) -> Iterator[Fault]:
    """Relative links that lead nowhere."""
    for number, line in prose(text):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if not EXTERNAL.match(target) and (why := dead_end(path, unquote(target), text=text)):
                yield Fault(str(path), number, f"link {target}: {why}")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines outside of fenced code."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence):
            fence = ""
        elif not fence:
            yield number, line


def dead_end(path: Path, target: str, *, text: str) -> str:
    """Why a link leads nowhere; empty when it leads somewhere."""
    file, _, anchor = target.partition("#")
    destination = (ROOT / file.lstrip("/") if file.startswith("/") else ROOT / path.parent / file).resolve()
    if file and not destination.exists():
        return "no such file"
    if file and not destination.is_relative_to(ROOT):
        return "leaves the repository"
    if not anchor or (file and destination.suffix != ".md"):
        return ""
    known = anchors(destination.read_text("utf-8") if file else text)
    return "" if anchor in known else "no such heading"


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as the usual renderers name them."""
    headings = [match[1] for _, line in prose(text) if (match := HEADING.match(line))]
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return {
        f"{name}-{plain[:at].count(name)}" if name in plain[:at] else name for at, name in enumerate(plain)
    }


def toml_faults(path: Path, text: str) -> Iterator[Fault]:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        yield Fault(str(path), 1, f"no TOML: {error}")


def json_faults(path: Path, text: str) -> Iterator[Fault]:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        yield Fault(str(path), error.lineno, f"no JSON: {error.msg}")


CHECKS = (
    Check("Python", (".py", ".pyi"), python_faults),
    Check("Markdown", (".md",), markdown_faults),
    Check("TOML", (".toml", ".lock"), toml_faults),
    Check("JSON", (".json",), json_faults),
)


def sources() -> list[Path]:
    """The files of the project, relative to its root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = [Path(name) for name in listed.stdout.split("\0") if name]
    if listed.returncode != 0 or not found:  # an unpacked archive is no repository
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
    return sorted(p for p in found if not SKIPPED_FOLDERS.intersection(p.parts) and (ROOT / p).is_file())


def faults_of(path: Path, *, check: Check) -> Iterator[Fault]:
    try:
        text = (ROOT / path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        yield Fault(str(path), 1, f"unreadable: {error}")
        return
    yield from check.find(path, text)


def self_test() -> Iterator[Fault]:
    """Each check is shown a sample with one fault, and one without."""
    here = Path("README.md")
    samples: tuple[tuple[Callable[[Path, str], Iterator[Fault]], str, int], ...] = (
        (python_faults, '"""Says what it does."""\n', 0),
        (python_faults, "x = 1\n", 1),
        (python_faults, '"""d"""\nx = (\n', 1),
        (python_faults, '"""d"""\n' + "x = 1\n" * FILE_LINES_MAX, 1),
        (
            markdown_faults,
            "# Top\n[a](README.md) [b](#top) [c](https://example.org/x)\n```\n[d](gone.md)\n```\n",
            0,
        ),
        (markdown_faults, "[a](gone.md)\n", 1),
        (markdown_faults, "# Top\n[a](#bottom)\n", 1),
        (toml_faults, "a = \n", 1),
        (json_faults, "{", 1),
    )
    for at, (check, sample, expected) in enumerate(samples):
        if len(list(check(here, sample))) != expected:
            yield Fault(
                "scripts/smoke.py", 1, f"self-test {at} of {check.__name__}: expected {expected} fault(s)"
            )


def main() -> int:
    began = time.monotonic()
    faults = list(self_test())
    print(f"smoke: self-test      {'failed' if faults else 'ok'}")
    files = sources()
    for check in CHECKS:
        mine = [path for path in files if path.suffix in check.suffixes]
        found = [fault for path in mine for fault in faults_of(path, check=check)]
        print(f"smoke: {check.name:<9} {len(mine):4d} files, {len(found)} faults")
        faults += found
    for fault in faults:
        print(f"{fault.path}:{fault.line}: {fault.what}")
    print(f"smoke: {'FAILED' if faults else 'passed'} in {time.monotonic() - began:.1f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    raise SystemExit(main())
