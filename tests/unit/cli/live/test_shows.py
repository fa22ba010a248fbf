"""Where a workspace is shown: the terminal is left as it was found, a pipe gets lines."""

import asyncio
import io
import re
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from typing import TextIO

import pytest

from moduprompt.cli.live.painter import Ink, Painter
from moduprompt.cli.live.picture import Size, draw, draw_sessions
from moduprompt.cli.live.shows import LineShow, TerminalShow, open_show
from moduprompt.cli.live.spans import to_coloured
from moduprompt.cli.live.story import Story
from moduprompt.cli.live.watch import watch
from moduprompt.protocol import EventEnvelope
from tests.support.demo_history import demo_history

SIZE = Size(columns=100, rows=30)
COLOURED = Ink(has_colours=True, has_unicode=True)
SHOWN_CURSOR, HIDDEN_CURSOR = "\x1b[?25h", "\x1b[?25l"
LEFT = "\x1b[?1049l"
EVENTS = demo_history().envelopes


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


def terminal_show(stream: TextIO, *, size: Callable[[], Size] = lambda: SIZE) -> TerminalShow:
    return TerminalShow(Painter(stream, COLOURED, size=size))


async def streamed(*, fault: Exception | None = None) -> AsyncIterator[EventEnvelope]:
    for envelope in EVENTS:
        yield envelope
    if fault is not None:
        raise fault


def whole_picture() -> str:
    story = Story()
    for envelope in EVENTS:
        story.tell(envelope)
    return "".join(f"{to_coloured(line)}\n" for line in draw(story.scene(), Size(columns=SIZE.columns)))


@pytest.mark.parametrize("fault", [None, ValueError("a bug"), KeyboardInterrupt()])
def test_the_cursor_comes_back_whatever_happens(fault: BaseException | None) -> None:
    stream = Terminal()
    with pytest.raises(type(fault)) if fault else nullcontext(), terminal_show(stream) as show:
        paint_until(fault, show)
    text = stream.text()

    assert text.index(HIDDEN_CURSOR) < text.index(SHOWN_CURSOR) < text.index(LEFT)
    assert text.count(HIDDEN_CURSOR) == text.count(SHOWN_CURSOR) == 1


def test_what_stood_last_stays_on_the_normal_screen() -> None:
    stream = Terminal()
    with terminal_show(stream) as show:
        for envelope in EVENTS:
            show.tell(envelope)

    assert stream.text().partition(LEFT)[2] == whole_picture()


def test_a_terminal_that_is_gone_does_not_hide_the_fault() -> None:
    stream = Terminal()
    show = terminal_show(stream)
    show.__enter__()
    show.tell(EVENTS[0])
    stream.write = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="gone") as seen:
        show.refresh()

    show.__exit__(seen.type, seen.value, seen.tb)


def test_a_repaint_follows_the_size_of_the_terminal() -> None:
    stream, sizes = Terminal(), [SIZE, Size(columns=40, rows=8)]
    with terminal_show(stream, size=lambda: sizes[0]) as show:
        for envelope in EVENTS:
            show.tell(envelope)
        show.refresh()
        before = len(stream.text())
        del sizes[0]
        show.refresh()
        repaint = stream.text()[before:]

    rows = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", repaint).split("\r\n")
    assert len(rows) <= 8
    assert max(map(len, rows)) <= 40


def test_a_repaint_never_scrolls() -> None:
    stream = Terminal()
    with terminal_show(stream) as show:
        for envelope in EVENTS:
            show.tell(envelope)
        show.refresh()
        painted = stream.text()

    assert painted.count("\n") < (SIZE.rows or 0)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_lines(term: str) -> None:
    assert isinstance(open_show(Terminal(), {"TERM": term}), LineShow)
    assert isinstance(open_show(Terminal(), {"TERM": "xterm"}), TerminalShow)


def test_a_pipe_gets_one_line_a_change() -> None:
    pipe = io.StringIO()
    with open_show(pipe, {"TERM": "xterm"}) as show:
        for envelope in EVENTS:
            show.tell(envelope)
            show.tell(envelope)

    assert len(pipe.getvalue().splitlines()) == len(EVENTS)
    assert "\x1b" not in pipe.getvalue()


def test_no_color_takes_the_colours_and_nothing_else() -> None:
    assert "\x1b[33m" in shown_in({"TERM": "xterm"})
    bare = shown_in({"TERM": "xterm", "NO_COLOR": "1"})
    assert re.search(r"\x1b\[[\d;]*m", bare) is None
    assert "├─" in bare


def test_an_encoding_without_the_signs_gets_ascii() -> None:
    stream = Terminal(encoding="latin-1")
    with open_show(stream, {"TERM": "xterm"}) as show:
        for envelope in EVENTS:
            show.tell(envelope)

    assert stream.text().isascii()
    assert "planner" in stream.text()


def paint_until(fault: BaseException | None, show: TerminalShow) -> None:
    show.tell(EVENTS[0])
    show.refresh()
    if fault is not None:
        raise fault


def shown_in(environ: dict[str, str]) -> str:
    stream = Terminal()
    with open_show(stream, environ) as show:
        for envelope in EVENTS[:60]:
            show.tell(envelope)
    return stream.text()


async def test_a_burst_is_painted_few_times_and_ends_with_its_last_event() -> None:
    stream = Terminal()
    await watch(streamed(), terminal_show(stream))

    assert stream.text().count("\x1b[?2026h") < len(EVENTS) // 2
    assert stream.text().partition(LEFT)[2] == whole_picture()


async def test_what_was_told_before_is_painted_at_once_and_only_as_it_stands_now() -> None:
    stream, is_painted = Terminal(), asyncio.Event()
    show = terminal_show(stream)
    for envelope in EVENTS:
        show.tell(envelope)

    async def silent() -> AsyncIterator[EventEnvelope]:
        is_painted.set()
        await asyncio.Event().wait()
        yield EVENTS[0]

    watching = asyncio.create_task(watch(silent(), show))
    await is_painted.wait()
    assert stream.text().count("\x1b[?2026h") == 1
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert stream.text().partition(LEFT)[2] == whole_picture()


async def test_a_fault_of_the_stream_comes_through_and_the_terminal_is_restored() -> None:
    stream = Terminal()
    with pytest.raises(ValueError, match="cut"):
        await watch(streamed(fault=ValueError("cut")), terminal_show(stream))

    assert SHOWN_CURSOR in stream.text()


async def test_a_fault_of_the_terminal_ends_the_watching() -> None:
    stream = Terminal()

    async def endless() -> AsyncIterator[EventEnvelope]:
        yield EVENTS[0]
        stream.write = broken  # type: ignore[method-assign]
        yield EVENTS[1]
        await asyncio.Event().wait()

    with pytest.raises(OSError, match="gone"):
        await watch(endless(), terminal_show(stream))


def broken(text: str) -> int:
    raise OSError("gone")


def test_a_tree_alone_is_redrawn_and_stays_when_it_is_left() -> None:
    stream = Terminal()
    with TerminalShow(Painter(stream, COLOURED, size=lambda: SIZE, drawing=draw_sessions)) as show:
        for envelope in EVENTS:
            show.tell(envelope)
            show.refresh()

    story = Story()
    for envelope in EVENTS:
        story.tell(envelope)
    left = stream.text().partition(LEFT)[2]
    assert left == "".join(
        f"{to_coloured(line)}\n" for line in draw_sessions(story.scene(), Size(columns=SIZE.columns))
    )
    assert "exited 0" in left
    assert "─ events" not in left, "the ticker belongs to the board"


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8])
def test_a_tree_is_never_higher_than_its_terminal(rows: int) -> None:
    story = Story()
    for envelope in EVENTS:
        story.tell(envelope)
        assert len(draw_sessions(story.scene(), Size(columns=60, rows=rows))) <= rows


def test_in_a_pipe_a_tree_is_told_in_lines_of_what_it_is_made_of() -> None:
    stream = io.StringIO()
    with LineShow(stream, has_unicode=True, kinds=frozenset({"session"})) as show:
        for envelope in EVENTS:
            show.tell(envelope)

    told = stream.getvalue().splitlines()
    assert len(told) == sum(envelope.subject.kind == "session" for envelope in EVENTS)
