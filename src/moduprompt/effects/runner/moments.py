"""The screen at a moment of a recording, drawn from the output that led to it.

Of much output only the last is drawn: what came long before has left the screen, and a full-screen
program draws itself again and again. Only a single line longer than that may begin at another column
than it did. What is skipped costs reading, and of a packed recording not even that.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

import msgspec

from moduprompt.effects.runner.recording import Output, RecordingFrame, RecordingReader, Resize
from moduprompt.effects.screen.screen import Screen

DRAWN_BYTES: Final = 1024 * 1024  # of output: half a second of work at the worst
ROWS, COLS = 24, 80  # until a recording says its size, which its first frame does


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A screen, the time of the last frame it shows, and how much output had been printed by then."""

    screen: Screen
    time_us: int
    offset: int


def moment_at(
    reader: RecordingReader, until_us: int | None = None, *, drawn_bytes: int = DRAWN_BYTES
) -> Moment:
    """After the last frame at or before this time; None: after all there is."""
    frames = reader.frames_before(until_us if until_us is not None else 2**63, output_bytes=drawn_bytes)
    return _drawn(_led_up(frames, until_us, drawn_bytes=drawn_bytes))


class _LedUp(msgspec.Struct, kw_only=True):
    size: tuple[int, int] = (ROWS, COLS)
    frames: deque[Output | Resize]
    held_bytes: int = 0
    time_us: int = 0
    offset: int = 0


def _led_up(frames: Iterable[RecordingFrame], until_us: int | None, *, drawn_bytes: int) -> _LedUp:
    led = _LedUp(frames=deque())
    for frame in frames:
        if until_us is not None and frame.time_us > until_us:
            break
        led.time_us = frame.time_us
        if isinstance(frame, Output | Resize):
            led.frames.append(frame)
        if isinstance(frame, Output):
            led.offset = frame.offset + len(frame.data)
            led.held_bytes += len(frame.data)
            _let_go(led, drawn_bytes)
    return led


def _let_go(led: _LedUp, drawn_bytes: int) -> None:
    """Drop from the front what is not needed for the picture, but for the size it was drawn at."""
    while led.frames:
        first = led.frames[0]
        if isinstance(first, Resize):
            led.size = (first.rows, first.cols)
        elif led.held_bytes - len(first.data) < drawn_bytes:
            return
        else:
            led.held_bytes -= len(first.data)
        led.frames.popleft()


def _drawn(led: _LedUp) -> Moment:
    screen = Screen(*led.size)
    for frame in led.frames:
        if isinstance(frame, Resize):
            screen.resize(frame.rows, frame.cols)
        else:
            screen.feed(frame.data)
    return Moment(screen=screen, time_us=led.time_us, offset=led.offset)
