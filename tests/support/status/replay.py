"""Replays a recording against the rules as a daemon would look at it: same rhythm of looks, same facts.

What was last seen holds until something else is seen. It is compared with the truth every 200 ms, but not within
the first two seconds after the truth has changed: so long an observation may take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from moduprompt.effects.runner.looking import LOOK_GROWTH, LOOK_S, LOOK_S_MAX
from moduprompt.effects.runner.port import StatusReply
from moduprompt.effects.runner.recording import Output, RecordingReader, Resize
from moduprompt.effects.runner.status.drawing import COLS, ROWS, sight_of
from moduprompt.effects.runner.status.engine import observe
from moduprompt.effects.runner.status.facts import Look, Seen
from moduprompt.effects.runner.status.rules import Rules, rules_for
from moduprompt.effects.screen.screen import Screen
from tests.support.status.corpus import Facts, Scene

SETTLE_MS: Final = 2_000  # the promise: within two seconds
SAMPLE_MS: Final = 200


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at a look, and what stood on the screen."""

    at_ms: int
    seen: Seen | None
    screen: tuple[str, ...]
    title: str


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """The truth at a moment, and what was held for it."""

    at_ms: int
    truth: str
    held: str
    rule: str


def looks(scene: Scene, rules: Rules | None = None) -> Iterator[Moment]:
    """Each look of the daemon, in order."""
    of = rules or rules_for(scene.program)
    with RecordingReader(scene.recording) as reader:
        frames = iter(tuple(reader.frames()))
    screen, last_output_ms = Screen(ROWS, COLS), 0
    at_ms, pause_s, last = 0.0, LOOK_S, ""
    end_ms = max(label.to_ms for label in scene.labels)
    frame = next(frames, None)
    while at_ms <= end_ms:
        while frame is not None and frame.time_us <= at_ms * 1_000:
            if isinstance(frame, Output):
                screen.feed(frame.data)
                last_output_ms = frame.time_us // 1_000
            elif isinstance(frame, Resize):
                screen.resize(frame.rows, frame.cols)
            frame = next(frames, None)
        reply = _reply(scene.facts, at_ms=at_ms, quiet_ms=round(at_ms) - last_output_ms)
        sight = sight_of(screen)
        seen = observe(Look(reply=reply, sight=sight), of)
        yield Moment(at_ms=round(at_ms), seen=seen, screen=sight.lines, title=sight.title)
        has_changed = seen is not None and seen.status != last
        pause_s = LOOK_S if has_changed else min(LOOK_S_MAX, pause_s * LOOK_GROWTH)
        last = seen.status if seen is not None else last
        at_ms += pause_s * 1_000


def samples(scene: Scene, rules: Rules | None = None) -> Iterator[Sample]:
    """The truth beside what was held, for as long as a label is settled."""
    moments = list(looks(scene, rules))
    for label in scene.labels:
        for at_ms in range(label.from_ms + SETTLE_MS, label.to_ms, SAMPLE_MS):
            held = next((m.seen for m in reversed(moments) if m.seen is not None and m.at_ms <= at_ms), None)
            yield Sample(
                at_ms=at_ms,
                truth=label.status,
                held=held.status if held else "unknown",
                rule=held.rule if held else "none",
            )


def confusion(scene: Scene, rules: Rules | None = None) -> Counter[tuple[str, str]]:
    """How often each truth was held for what."""
    return Counter((each.truth, each.held) for each in samples(scene, rules))


def _reply(facts: tuple[Facts, ...], *, at_ms: float, quiet_ms: int) -> StatusReply:
    now = next((each for each in reversed(facts) if each.at_ms <= at_ms), facts[0])
    return StatusReply(
        state="running",
        fg_pgid=1,
        canonical=now.canonical,
        echo=now.echo,
        waiting_on_tty=now.waiting_on_tty,
        evidence="recorded",
        quiet_ms=max(quiet_ms, 0),
        output_bytes=0,
        input_waiting_bytes=now.input_waiting_bytes,
        disk_refuses=False,
    )
