"""How often the rules are right: `make status-report`.

Recall: of the moments in which it was so, how many were seen so; `unknown` is a miss. Precision: of the moments
that were seen so, in how many it was so. The first two seconds after a change count for neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from tests.support.status.corpus import MADE_ON, Scene, scenes
from tests.support.status.replay import SAMPLE_MS, confusion

STATES: Final = ("working", "waiting_input", "blocked_on_permission", "rate_limited")
Table = Counter[tuple[str, str]]  # (truth, held) -> how many samples


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One state of one group."""

    state: str
    samples: int
    recall: float | None
    precision: float | None
    unknown: float | None


def figures(table: Table) -> tuple[Figure, ...]:
    """One for each state that was there or was seen."""
    found: list[Figure] = []
    for state in STATES:
        truth = sum(count for (true, _), count in table.items() if true == state)
        held = sum(count for (_, seen), count in table.items() if seen == state)
        right, unknown = table[(state, state)], table[(state, "unknown")]
        if truth or held:
            found.append(
                Figure(
                    state=state,
                    samples=truth,
                    recall=right / truth if truth else None,
                    precision=right / held if held else None,
                    unknown=unknown / truth if truth else None,
                )
            )
    return tuple(found)


def tables(of: Iterable[Scene]) -> dict[str, Table]:
    """By program and version, and by part."""
    found: dict[str, Table] = {}
    for scene in of:
        part = "made on" if scene.program in MADE_ON else "held back"
        seen = confusion(scene)
        for name in (f"{scene.program} {scene.version}", part):
            found.setdefault(name, Counter()).update(seen)
    return found


def report() -> str:
    """The table as it stands in docs/status.md."""
    lines = [
        "| recordings | state | seconds | recall | precision | unknown |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    found = tables(scenes())
    parts = ("made on", "held back")
    for name in (*sorted(found.keys() - set(parts)), *(part for part in parts if part in found)):
        shown = f"**{name}**" if name in parts else name
        for figure in figures(found[name]):
            seconds = figure.samples * SAMPLE_MS / 1_000
            cells = (_share(figure.recall), _share(figure.precision), _share(figure.unknown))
            lines.append(f"| {shown} | {figure.state} | {seconds:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    print(report())
