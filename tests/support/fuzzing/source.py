"""Where our own code reads bytes from outside: found by name, and by the libraries' readers that it calls."""

import ast
import functools
import re
from collections.abc import Iterator
from typing import Final

from tests.support.source_tree import Module, modules

NAMED: Final = re.compile(r"(?:decode|parse|scan|unpack)(?:_\w+)?|feed|from_cursor|to_micros|trace_of")
READERS: Final = frozenset(
    {"json.loads", "json.load", "tomllib.loads", "tomllib.load", "msgspec.json.decode"}
)


@functools.cache
def decoders_found() -> frozenset[str]:
    """`module:qualified.name` of each."""
    return frozenset(
        f"{place(module)}:{name}" for module in modules("src") for name in _found(module.tree, ())
    )


def place(module: Module) -> str:
    """Its name below the package: `protocol._codec`."""
    return ".".join(module.place)


def _found(node: ast.AST, within: tuple[str, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inner = within
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = (*within, child.name)
            if not isinstance(child, ast.ClassDef) and NAMED.fullmatch(child.name):
                yield ".".join(inner)
        elif isinstance(child, ast.Call) and _name(child.func) in READERS:
            yield ".".join(within)
        yield from _found(child, inner)


def _name(node: ast.expr) -> str:
    """`a.b.c` of an attribute of a name; unparsing every call of the source takes seconds."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{_name(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""
