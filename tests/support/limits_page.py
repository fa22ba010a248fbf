"""`docs/limits.md`, written from the table of limits and from the reasons that stand beside the constants."""

from __future__ import annotations

import ast
import functools
import importlib
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from moduprompt.config import CAPSULE_CHARS_MOST
from moduprompt.domain.capsule.commands import CHARS_MAX
from moduprompt.effects.agents.catalogue import ADAPTERS
from moduprompt.effects.agents.port import AgentAdapter
from moduprompt.protocol import Code
from moduprompt.server.limits import LIMITS, Limit
from tests.support.source_tree import ROOT, modules

METRIC: Final = "mp_refused_total"
HEAD: Final = """\
# Limits

Every limit that a client can meet. This page is written from the code by `make golden`; a test compares the two, and
fails when a limit has no constant with a reason, no metric or no error.

A refusal names its limit in `details.limit` (the rules of a noun in `details.reason`). What is `unavailable` comes at once
and says when to come again: `Retry-After` over HTTP, `details.retry_after_s` everywhere, frames included. Send a command
again with the same idempotency key. What is `invalid_schema` or `validation_failed` is refused for good: send less. Each
refusal is counted in `mp_refused_total{limit="…"}` ([metrics](metrics.md)); `mp_limit_used` beside `mp_limit` says how much of
the larger ones is in use.

| limit | bounds | value | refused with | constant, and why |
| --- | --- | --- | --- | --- |
"""
TAIL: Final = """
What is not refused but waits or is passed over:

| bound | what happens | constant, and why |
| --- | --- | --- |
"""
OF_RUNS: Final = """
What one run may take, by its agent program; `[limits.<adapter>]` of `config.toml` says otherwise
([operations](operations.md)), and `mpctl run show` which of them hold on this machine. Who meets one is stopped, and its run ends as `timed_out`
or with the limit as its reason. No silence ends a program that may wait for a person.

| adapter | wall | silence | memory | processes | output | needs as a rule |
| --- | --- | --- | --- | --- | --- | --- |
"""
OF_CAPSULES: Final = """
How many characters a capsule may have, by its kind; a session has one of each. `[capsules]` of `config.toml` says otherwise
([operations](operations.md)), up to {most:,}. A longer one is refused as `capsule_too_long`.

| kind | characters |
| --- | --- |
"""
GIB: Final = 1024**3
MIB: Final = 1024**2


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """A bound that refuses nobody."""

    bounds: str
    happens: str
    constants: tuple[str, ...]


WAITS: Final = (
    Waits(
        bounds="requests under way on one connection in frames",
        happens="the next frame is read when one of them is answered",
        constants=("server.streams.frames:REQUESTS_MAX",),
    ),
    Waits(
        bounds="rejections that leave an event, of one actor",
        happens="the refusal is answered and leaves no event",
        constants=("kernel.quota:REJECTIONS_PER_S", "kernel.quota:BUCKETS_MAX"),
    ),
    Waits(
        bounds="events of one step of a subscription, and those kept in memory for all",
        happens="the rest follows, from the log",
        constants=(
            "kernel.feed:READ_EVENTS",
            "kernel.feed:RING_EVENTS",
            "kernel.feed:RINGS_MAX",
            "kernel.feed:FRAMED_EVENTS",
        ),
    ),
    Waits(
        bounds="seconds that a read waits for its view",
        happens="`unavailable`; `stale=ok` does not wait",
        constants=("kernel.tracks:WAIT_S",),
    ),
    Waits(
        bounds="connections that are accepted and not looked at yet",
        happens="the system lets the next one wait or refuses it",
        constants=("server.doors:BACKLOG",),
    ),
    Waits(
        bounds="seconds between two requests of a connection",
        happens="it is closed",
        constants=("server.doors:KEEP_ALIVE_S",),
    ),
    Waits(
        bounds="runs that live, and that start at once",
        happens="the next one waits for its turn; `hindered` of readiness says why",
        constants=(
            "effects.runner.admission:LIVE_MAX",
            "effects.runner.admission:STARTING_PER_CORE",
            "effects.runner.admission:LOAD_PER_CORE",
            "effects.runner.admission:DESCRIPTORS_EACH",
            "effects.runner.admission:KEPT_DESCRIPTORS",
        ),
    ),
    Waits(
        bounds="bytes of a screen that one look draws",
        happens="what lies before is passed over but for modes and titles",
        constants=(
            "effects.runner.status.drawing:DRAWN_BYTES_MAX",
            "effects.runner.status.drawing:SLICE_S",
        ),
    ),
    Waits(
        bounds="seconds that the daemon waits for a keeper's word",
        happens="it dials anew, later and later; `mpctl run show` and `hindered` of readiness say since when",
        constants=(
            "effects.runner.link:ANSWER_S_MAX",
            "effects.runner.link:HELLO_S_MAX",
            "effects.runner.link:INPUT_S_MAX",
            "effects.runner.link:HEARTBEAT_S",
        ),
    ),
    Waits(
        bounds="connections beyond the limit that are told why",
        happens="the others are hung up on",
        constants=("server.connection:REFUSED_MAX", "server.connection:REFUSED_S"),
    ),
)


def limits_page() -> dict[str, bytes]:
    """The page, as the golden files are written."""
    return {"": page().encode()}


def page() -> str:
    """The whole of it."""
    rows = "".join(f"{_row(limit)}\n" for limit in LIMITS)
    waits = "".join(f"| {each.bounds} | {each.happens} | {_reasons(each.constants)} |\n" for each in WAITS)
    return HEAD + rows + TAIL + waits + OF_RUNS + "".join(map(_adapter_row, ADAPTERS)) + _of_capsules()


def _of_capsules() -> str:
    rows = "".join(f"| `{kind}` | {chars:,} |\n" for kind, chars in CHARS_MAX.items())
    return OF_CAPSULES.format(most=CAPSULE_CHARS_MOST) + rows


def _adapter_row(adapter: AgentAdapter) -> str:
    limits = adapter.limits
    cells = (
        f"`{adapter.name}`",
        _measure(limits.wall_s, 3_600, "h"),
        _measure(limits.idle_s, 3_600, "h"),
        _measure(limits.memory_bytes_max, GIB, "GiB"),
        f"{limits.processes_max:,}",
        _measure(limits.output_bytes_max, GIB, "GiB"),
        _measure(adapter.memory_bytes, MIB, "MiB"),
    )
    return f"| {' | '.join(cells)} |\n"


def _measure(value: float | None, unit: int, name: str) -> str:
    return "none" if value is None else f"{value / unit:g} {name}"


def _row(limit: Limit) -> str:
    told = f"`{limit.told.value}`" if isinstance(limit.told, Code) else "the connection is cut"
    value = value_of(limit.constants[0])
    cells = [f"`{limit.name}`", limit.bounds, f"{value:,}", told, _reasons(limit.constants)]
    return f"| {' | '.join(cells)} |"


def _reasons(constants: tuple[str, ...]) -> str:
    first, *others = constants
    said = [f"`{_name(first)}`: {reason_of(first)}"]
    said += [f"`{_name(each)}` ({value_of(each):,}): {reason_of(each)}" for each in others]
    return "; ".join(said)


def _name(constant: str) -> str:
    return constant.partition(":")[2]


def value_of(constant: str) -> float:
    """What the code says, at this moment."""
    module, _, name = constant.partition(":")
    found = getattr(importlib.import_module(f"moduprompt.{module}"), name)
    assert isinstance(found, int | float), f"{constant} is no number"
    return found


def reason_of(constant: str) -> str:
    """The comment beside the constant, or the text below it. Raises KeyError where there is none."""
    return reasons()[_name(constant)][_home(constant)]


def _home(constant: str) -> str:
    """Where a name that a package hands on is written."""
    module, _, name = constant.partition(":")
    homes = reasons()[name]
    exact = module.replace(".", "/")
    return exact if exact in homes else next(each for each in homes if each.startswith(f"{exact}/_"))


@functools.cache
def reasons() -> dict[str, dict[str, str]]:
    """Every constant of the package that has a reason: by its name, then by its module."""
    found: dict[str, dict[str, str]] = {}
    for module in modules("src"):
        for name, reason in _constants(module.tree, module.text.splitlines()):
            found.setdefault(name, {})["/".join(module.place)] = reason
    return found


def _constants(tree: ast.Module, lines: list[str]) -> Iterator[tuple[str, str]]:
    for place, node in enumerate(tree.body):
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        names = [each.id for each in targets if isinstance(each, ast.Name) and each.id.isupper()]
        below = tree.body[place + 1] if place + 1 < len(tree.body) else None
        said = _docstring(below) or _comment("\n".join(lines[node.lineno - 1 : node.end_lineno]))
        for name in names if said else ():
            yield name, said


def _comment(source: str) -> str:
    return " ".join(part.strip() for part in re.findall(r"#\s*(.+)$", source, re.MULTILINE))


def _docstring(node: ast.stmt | None) -> str:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return " ".join(str(node.value.value).split()) if is_text and isinstance(node.value.value, str) else ""  # type: ignore[union-attr]  # checked in the line above


def bounds_in_code() -> set[str]:
    """Names of constants of the daemon's layers that bound what a client sends or holds."""
    layers = ("protocol", "kernel", "server")
    return {
        name
        for name, homes in reasons().items()
        for home in homes
        if home.partition("/")[0] in layers and name.endswith("_MAX")
    }


PAGE: Final = ROOT / "docs" / "limits.md"
