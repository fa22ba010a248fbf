"""What each part of the house may import from outside and from its neighbours.

The pure layers have a list of what they may use, not of what they may not: a module that nobody has
judged yet is refused, whether it is new in the standard library or new in the project.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from tests.support.source_tree import Module, called, imported, modules, parsed

PURE_LAYERS = {"protocol", "policy", "domain", "views"}
# Nothing here reads a clock, a random source, a file, a socket or a process.
PURE_MODULES = {
    "__future__", "abc", "base64", "binascii", "bisect", "blake3", "collections", "dataclasses", "datetime",
    "enum", "fnmatch", "functools", "hashlib", "heapq", "itertools", "json", "math", "msgspec", "operator", "re",
    "string", "struct", "textwrap", "types", "typing", "unicodedata",
}  # fmt: skip
# `hash` of a string differs from process to process, and an address is no identity: both break replay.
IMPURE_CALLS = {"open", "input", "print", "exec", "eval", "__import__", "hash", "id", "breakpoint"}
CLOCKS = {"now", "utcnow", "today"}

# What starts without the rest of us: it must survive our upgrades and cost no memory.
STAND_ALONE = {"keeper", "scripted", "scripted_model"}
# Where the storeys alone would allow more than the house does.
NEIGHBOURS = {
    "client": {"protocol", "domain"},
    "storage": {"protocol", "domain", "policy", "views"},
    "config": {"protocol"},
}

Rule = Callable[[Module], Iterator[str]]


def impurities(module: Module) -> Iterator[str]:
    if module.place[:1] and module.place[0] in PURE_LAYERS:
        for line, name in imported(module.tree):
            if name.partition(".")[0] not in PURE_MODULES | {"moduprompt"}:
                yield f"{module.path}:{line}: a pure layer imports {name}"
        for line, name in called(module.tree):
            if name in IMPURE_CALLS or name.rpartition(".")[2] in CLOCKS:
                yield f"{module.path}:{line}: a pure layer calls {name}()"


def foreign_to_stand_alone(module: Module) -> Iterator[str]:
    if module.place[:1] and module.place[0] in STAND_ALONE:
        own = f"moduprompt.{module.place[0]}"
        for line, name in imported(module.tree):
            if name.partition(".")[0] not in sys.stdlib_module_names and f"{name}.".find(f"{own}.") != 0:
                yield f"{module.path}:{line}: {module.place[0]} stands alone, but imports {name}"


def uninvited_neighbours(module: Module) -> Iterator[str]:
    invited = NEIGHBOURS.get(module.place[0]) if module.place else None
    for line, name in imported(module.tree) if invited is not None else ():
        top, _, rest = name.partition(".")
        neighbour = rest.partition(".")[0]
        if top == "moduprompt" and neighbour not in {*(invited or ()), module.place[0], "__version__"}:
            yield f"{module.path}:{line}: {module.place[0]} may not know {neighbour}"


def private_doors(module: Module) -> Iterator[str]:
    """A module whose name begins with an underscore is used through its package only."""
    for line, name in imported(module.tree):
        package, _, private = name.partition("._")
        is_ours = package.startswith("moduprompt.") and tuple(package.split(".")[1:2]) == module.place[:1]
        if package.startswith("moduprompt.") and private and private[0] != "_" and not is_ours:
            yield f"{module.path}:{line}: {name} is private; import from {package}"


RULES: tuple[tuple[Rule, str, str], ...] = (
    (impurities, "src/moduprompt/domain/a.py", "import time"),
    (impurities, "src/moduprompt/policy/a.py", "from os import path"),
    (impurities, "src/moduprompt/views/a.py", "import sqlite3"),
    (impurities, "src/moduprompt/protocol/a.py", "def f():\n    import random"),
    (impurities, "src/moduprompt/domain/a.py", "import datetime\ndatetime.datetime.now()"),
    (impurities, "src/moduprompt/domain/a.py", "open('x')"),
    (foreign_to_stand_alone, "src/moduprompt/keeper/a.py", "import msgspec"),
    (foreign_to_stand_alone, "src/moduprompt/scripted.py", "from moduprompt.protocol import Command"),
    (uninvited_neighbours, "src/moduprompt/client/a.py", "from moduprompt.storage import port"),
    (uninvited_neighbours, "src/moduprompt/client/a.py", "from moduprompt import kernel"),
    (private_doors, "src/moduprompt/kernel/a.py", "from moduprompt.protocol._errors import Rejection"),
)


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in RULES))
def test_the_house_keeps_its_import_rules(rule: Rule) -> None:
    assert [fault for module in modules("src") for fault in rule(module)] == []


@pytest.mark.parametrize(("rule", "path", "text"), RULES)
def test_each_import_rule_notices_its_fault(rule: Rule, path: str, text: str) -> None:
    assert len(list(rule(parsed(text, path=path)))) == 1


def test_what_is_pure_or_our_own_passes() -> None:
    pure = parsed(
        "from moduprompt.protocol import Command\nimport msgspec, re", path="src/moduprompt/domain/a.py"
    )
    alone = parsed("import os\nfrom moduprompt.keeper import wire", path="src/moduprompt/keeper/a.py")
    outside = parsed("from moduprompt.keeper import __file__", path="src/moduprompt/effects/a.py")

    assert [
        fault for module in (pure, alone, outside) for rule, _, _ in RULES for fault in rule(module)
    ] == []
