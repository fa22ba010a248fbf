"""A recording is read at any of its moments: as a screen, as lines with their times."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from moduprompt.cli.faults import CallFailed
from moduprompt.cli.recordings import (
    LINE_CHARS_MAX,
    TAIL_CHARS_MAX,
    LastLines,
    fetched,
    lines_of,
    to_moment_us,
    wall_clock,
)
from moduprompt.effects.runner.moments import moment_at
from moduprompt.keeper.recording import OUTPUT, RESIZE, Recording, pack_size

STARTED_US = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z
SECOND = 1_000_000


def recorded(tmp_path: Path, *frames: tuple[int, int, bytes]) -> AsyncGenerator[bytes]:
    path = tmp_path / "recording"
    recording = Recording(str(path), started_us=STARTED_US)
    for kind, time_us, payload in frames:
        recording.append(kind, time_us, payload)
    recording.close()

    async def pieces() -> AsyncGenerator[bytes]:
        yield path.read_bytes()

    return pieces()


async def test_the_screen_of_a_moment_is_what_was_printed_by_then_at_that_size(tmp_path: Path) -> None:
    recording = recorded(
        tmp_path,
        (RESIZE, 0, pack_size(2, 8)),
        (OUTPUT, SECOND, b"one"),
        (OUTPUT, 2 * SECOND, b"\x1b[2J\x1b[Htwo"),
        (RESIZE, 3 * SECOND, pack_size(3, 8)),
    )
    async with fetched(recording) as reader:
        moments = [moment_at(reader, at) for at in (0, SECOND, 2 * SECOND - 1, 2 * SECOND, None)]

    assert [(moment.screen.text(), moment.time_us) for moment in moments] == [
        (["", ""], 0),
        (["one", ""], SECOND),
        (["one", ""], SECOND),
        (["two", ""], 2 * SECOND),
        (["two", "", ""], 3 * SECOND),
    ]


async def test_lines_carry_the_time_of_their_end_and_one_without_end_is_cut(tmp_path: Path) -> None:
    recording = recorded(
        tmp_path,
        (OUTPUT, SECOND, b"first\r\nsec"),
        (OUTPUT, 2 * SECOND, b"\x1b[31mond\r\n"),
        (OUTPUT, 3 * SECOND, b"x" * (LINE_CHARS_MAX + 1)),
        (OUTPUT, 4 * SECOND, b"last"),
    )
    async with fetched(recording) as reader:
        found = [(line.at, line.text) for line in lines_of(reader)]

    assert [text for _, text in found] == ["first", "second", "x" * (LINE_CHARS_MAX + 1), "last"]
    assert [at[17:19] for at, _ in found] == ["21", "22", "23", "24"]


@pytest.mark.parametrize(
    ("text", "moment_us"),
    [
        ("0", 0),
        ("1.5", 1_500_000),
        ("90s", 90 * SECOND),
        ("1h2m3s", 3723 * SECOND),
        ("2m", 120 * SECOND),
        ("2023-11-14T22:13:25Z", 5 * SECOND),
        ("2023-11-14T23:13:25+01:00", 5 * SECOND),
    ],
)
def test_a_moment_is_a_span_since_the_start_or_a_time(text: str, moment_us: int) -> None:
    assert to_moment_us(text, started_us=STARTED_US) == moment_us


@pytest.mark.parametrize("text", ["", "soon", "-5", "1x", "2023-99-99", "9" * 30])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CallFailed, match="no moment"):
        to_moment_us(text, started_us=STARTED_US)


async def test_times_of_day_are_the_wire_s(tmp_path: Path) -> None:
    async with fetched(recorded(tmp_path)) as reader:
        assert wall_clock(reader, 5 * SECOND) == "2023-11-14T22:13:25.000000Z"


def test_of_a_tail_only_its_lines_are_kept_and_a_line_without_end_is_cut() -> None:
    last = LastLines(2)
    for piece in (b"one\ntwo\nthr", b"ee\n", b"fo", b"ur"):
        last.feed(piece)
    assert (last.finish(), last.taken_bytes) == (("three", "four"), 18)

    endless = LastLines(2)
    for _ in range(5):
        endless.feed(b"x" * TAIL_CHARS_MAX)
    assert sum(map(len, endless.finish())) <= 4 * TAIL_CHARS_MAX
    assert LastLines(0).finish() == ()
