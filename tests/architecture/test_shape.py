"""How large things get, what they are called, and the few habits that are never worth it.

The limits are those of CONTRIBUTING.md. A file that needs an exception is named here, with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from tests.support.source_tree import Module, called, imported, modules, parsed, tracked_texts

FUNCTION_LINES_MAX, FUNCTION_LINES_AIM, SHARE_OVER_AIM_MAX = 70, 40, 0.02
FILE_LINES_MAX = 600
VAGUE = re.compile(r"(?:^|[/_])(?:utils?|helpers?|common|misc|managers?|stuff)(?:[/_.]|$)")
MACHINE_PATH = re.compile(r"(?<![\w.}~/-])/(?:home/[a-z]\w*|Users/\w+|root|work)/")
BROAD = {"", "Exception", "BaseException"}

# Where a process ends its patience: nothing above could act on the failure, and it is logged with its ids.
PROCESS_EDGES: tuple[str, ...] = (
    "src/moduprompt/cli/ending.py",  # a person gets one line and an exit status, never a traceback
    "src/moduprompt/keeper/keeper.py",  # a fault in serving one peer must not cost the run its terminal
    "src/moduprompt/storage/folding.py",  # whatever broke in a view, it stands still and says at which event
    "src/moduprompt/kernel/reactor.py",  # whatever broke in a hand, its intent still stands
    "src/moduprompt/kernel/transfer.py",  # a hostile event may break any assumption: it is refused, whatever it broke
    "src/moduprompt/kernel/writer.py",  # one broken command must not end the writer for all
    "src/moduprompt/server/app.py",  # commands go past the framework, which has one of its own
    "src/moduprompt/server/routes/commands.py",  # a fault becomes `internal`, and its trace id stands in the log
    "src/moduprompt/storage/sqlite/worker.py",  # a thread: whoever waits for it is told, whatever it is
)
REFUSING = {"invalid", "refusal", "failed", "misused"}  # the calls that make a refusal of the wire
# The one place that polls, with a deadline, for what gives no signal.
POLLING = "tests/support/deadline.py"

Rule = Callable[[Module], Iterator[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(module: Module) -> Iterator[tuple[int, Function]]:
    """Each function with its length, docstring not counted."""
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            first = node.body[0]
            docstring = (
                (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node) is not None else 0
            )
            yield (node.end_lineno or 0) - node.lineno + 1 - docstring, node


def long_functions(module: Module) -> Iterator[str]:
    for lines, node in functions(module):
        if lines > FUNCTION_LINES_MAX:
            yield f"{module.path}:{node.lineno}: {node.name} has {lines} lines; at most {FUNCTION_LINES_MAX}"


def long_files(module: Module) -> Iterator[str]:
    lines = len(module.text.splitlines())
    if lines > FILE_LINES_MAX:
        yield f"{module.path}: {lines} lines; at most {FILE_LINES_MAX}"


def vague_names(module: Module) -> Iterator[str]:
    if VAGUE.search(module.path):
        yield f"{module.path}: the name does not say what is in there"


def missing_docstrings(module: Module) -> Iterator[str]:
    if module.tree.body and not ast.get_docstring(module.tree):
        yield f"{module.path}: no module docstring"


def relative_imports(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{module.path}:{node.lineno}: relative import"


def sleeps(module: Module) -> Iterator[str]:
    """A sleep in a test is a race waiting to happen."""
    if module.path.startswith("tests/") and module.path != POLLING:
        bare = {name.rpartition(".")[2] for _, name in imported(module.tree) if name.endswith(".sleep")}
        for line, name in called(module.tree):
            if name in bare or name.endswith(".sleep"):
                yield f"{module.path}:{line}: {name}(); wait for a signal or a condition instead"


def broad_excepts(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            is_broad = BROAD.intersection("" if one is None else ast.unparse(one) for one in caught)
            if is_broad and ast.unparse(node.body[-1]) != "raise":  # tidying up and passing it on is no catch
                yield f"{module.path}:{node.lineno}: catches everything"


def broad_excepts_off_the_edge(module: Module) -> Iterator[str]:
    if module.path not in PROCESS_EDGES:
        yield from broad_excepts(module)


def refusals_without_hint(module: Module) -> Iterator[str]:
    """Who is refused is told what to do next."""
    for node in ast.walk(module.tree) if module.place else ():
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in REFUSING:
            continue
        if not any(each.arg in ("hint", None) for each in node.keywords):
            yield f"{module.path}:{node.lineno}: {ast.unparse(node.args[0])} is refused without a hint"


SAMPLES: tuple[tuple[Rule, str, str], ...] = (
    (long_functions, "src/a.py", "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX),
    (long_files, "src/a.py", "x = 1\n" * (FILE_LINES_MAX + 1)),
    (vague_names, "src/moduprompt/kernel/utils.py", ""),
    (vague_names, "src/moduprompt/common/x.py", ""),
    (vague_names, "tests/support/run_helpers.py", ""),
    (missing_docstrings, "src/a.py", "x = 1"),
    (relative_imports, "src/a.py", "from . import b"),
    (sleeps, "tests/a.py", "import time\ntime.sleep(1)"),
    (sleeps, "tests/a.py", "from asyncio import sleep\nawait_(sleep(0))"),
    (broad_excepts_off_the_edge, "src/a.py", "try:\n    x()\nexcept Exception:\n    pass"),
    (broad_excepts_off_the_edge, "src/a.py", "try:\n    x()\nexcept (ValueError, BaseException):\n    pass"),
    (broad_excepts_off_the_edge, "src/a.py", "try:\n    x()\nexcept:\n    pass"),
    (refusals_without_hint, "src/moduprompt/a.py", "invalid('a_reason', 'why')"),
)


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in SAMPLES))
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    assert [fault for module in modules("src", "tests", "scripts", "bench") for fault in rule(module)] == []


@pytest.mark.parametrize(("rule", "path", "text"), SAMPLES)
def test_each_rule_notices_its_fault(rule: Rule, path: str, text: str) -> None:
    assert len(list(rule(parsed(text, path=path)))) == 1


def test_tidying_up_before_passing_a_failure_on_is_no_broad_except() -> None:
    text = "try:\n    x()\nexcept BaseException:\n    tidy_up()\n    raise"

    assert list(broad_excepts(parsed(text, path="src/a.py"))) == []


def test_few_functions_fill_more_than_a_screen() -> None:
    lengths = [lines for module in modules("src") for lines, _ in functions(module)]

    assert sum(lines > FUNCTION_LINES_AIM for lines in lengths) <= SHARE_OVER_AIM_MAX * len(lengths)


def test_every_process_edge_still_needs_its_exception() -> None:
    needed = {module.path for module in modules("src", "scripts") if any(broad_excepts(module))}

    assert needed.issuperset(PROCESS_EDGES)


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    found = [
        f"{name}:{number}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]

    assert found == []
    assert MACHINE_PATH.search('"/' + 'home/someone/x"')
    assert not MACHINE_PATH.search("$HOME/.config refs/root/x")
