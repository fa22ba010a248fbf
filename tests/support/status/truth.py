"""What a program was really doing, from what the scripted model and the driver know; never from a screen.

A request is under way: working. Its answer was a call that needs a permission, and nobody has given it:
blocked_on_permission. It was refused with 429 and is asked again later: rate_limited. The last answer was a text: the program
waits for the next prompt. What nobody knows (a start, the time between a key and the request it leads to) has no label.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Literal

import msgspec

from moduprompt.domain.run.commands import ObservedStatus

Kind = Literal["asked", "ended", "limited", "called", "answered", "typed", "allowed", "ready", "over"]


class Event(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """`called`: the answer was a call that needs a permission. `ended`: one that needs none. `answered`: a text."""

    at_s: float  # Unix time
    kind: Kind


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """From here until there the program was doing this. Milliseconds from the start of the recording."""

    from_ms: int
    to_ms: int
    status: ObservedStatus


class Mislabelled(AssertionError):
    """The recording did not go as its script says; it teaches nothing."""


_AFTER: dict[Kind, ObservedStatus | None] = {
    "ready": "waiting_input",
    "typed": None,
    "asked": "working",
    "ended": "working",
    "limited": "rate_limited",
    "called": "blocked_on_permission",
    "allowed": "working",
    "answered": "waiting_input",
    "over": None,
}


def to_labels(events: Iterable[Event], *, started_us: int) -> tuple[Label, ...]:
    """The labels of a recording that began then. Raises Mislabelled."""
    ordered = sorted(events)
    for before, after in itertools.pairwise(ordered):
        if before.kind == "called" and after.kind not in ("allowed", "over"):
            raise Mislabelled(f"{after.kind} came before the permission: it needed none")
        if before.kind == "limited" and after.kind not in ("asked", "over"):
            raise Mislabelled(f"{after.kind} came after a refusal: it was not asked again")
    labels = [
        Label(
            from_ms=round(before.at_s * 1_000 - started_us / 1_000),
            to_ms=round(after.at_s * 1_000 - started_us / 1_000),
            status=status,
        )
        for before, after in itertools.pairwise(ordered)
        if (status := _AFTER[before.kind]) is not None
    ]
    return _joined(labels)


def _joined(labels: list[Label]) -> tuple[Label, ...]:
    joined: list[Label] = []
    for label in labels:
        if joined and joined[-1].status == label.status and joined[-1].to_ms == label.from_ms:
            label = msgspec.structs.replace(joined.pop(), to_ms=label.to_ms)
        joined.append(label)
    return tuple(joined)
