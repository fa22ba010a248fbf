"""A living run's screen is drawn from its recording as it grows, within a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from moduprompt.effects.runner.status import drawing as drawing_module
from moduprompt.effects.runner.status.drawing import (
    DRAWN_BYTES_MAX,
    KEYS_JUDGED_MAX,
    PASSED_BYTES,
    Drawing,
)
from moduprompt.effects.runner.status.facts import BRACKETED_PASTE, Sight
from moduprompt.effects.screen.screen import Screen
from moduprompt.keeper.recording import (
    INPUT,
    OUTPUT,
    RESIZE,
    Recording,
    RecordingError,
    pack_input,
    pack_size,
)
from tests.support.deadline import turns


class Keeper:
    """Writes a recording as a keeper does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recording = Recording(str(path), started_us=1)
        self.recording.append(RESIZE, 0, pack_size(5, 40))

    def prints(self, data: bytes) -> None:
        self.recording.append(OUTPUT, 1, data)

    def is_typed_at(self, keys: bytes, *, by: str) -> None:
        self.recording.append(INPUT, 1, pack_input("user", by, keys))

    def goes_on_and_on(self) -> None:
        """More than a look draws."""
        for _ in range(2 * DRAWN_BYTES_MAX // 4_000):
            self.prints(b"\x1b[H\x1b[2J" + b"." * 3_993)


def asks(sight: Sight) -> bool:
    return sight.lines[0] == "ok?"


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    writer = Keeper(tmp_path / "recording.mprec")
    with closing(writer.recording):
        yield writer


async def test_each_look_draws_what_has_come_since_the_last(keeper: Keeper) -> None:
    with closing(Drawing(keeper.path)) as drawing:
        keeper.prints(b"\x1b]2;title\x07\x1b[?2004hone\r\nt")
        first = await drawing.follow()
        keeper.prints(b"wo\x1b[?1049h")
        keeper.prints(b"\xe2\x9c")
        second = await drawing.follow()
        keeper.prints(b"\xbb")
        third = await drawing.follow()

    assert (first.lines[:2], first.title, len(first.lines)) == (("one", "t"), "title", 5)
    assert BRACKETED_PASTE in first.modes
    assert (first.is_alternate, second.is_alternate) == (False, True)
    assert "✻" in "".join(third.lines)


async def test_a_new_size_holds_from_where_it_stands(keeper: Keeper) -> None:
    with closing(Drawing(keeper.path)) as drawing:
        await drawing.follow()
        keeper.recording.append(RESIZE, 2, pack_size(7, 20))
        keeper.prints(b"x" * 25)
        sight = await drawing.follow()

    assert (len(sight.lines), sight.lines[0], sight.lines[1]) == (7, "x" * 20, "x" * 5)


@pytest.mark.parametrize("frame_bytes", [16, 4_000, 200_000])
async def test_who_prints_more_than_a_look_draws_is_passed_over_but_for_what_lasts(
    keeper: Keeper, frame_bytes: int
) -> None:
    flood = PASSED_BYTES + DRAWN_BYTES_MAX + 5 * frame_bytes
    with closing(Drawing(keeper.path)) as drawing:
        keeper.prints(b"old\x1b[?2004h\x1b]0;kept\x07")
        keeper.recording.append(RESIZE, 2, pack_size(9, 30))
        for _ in range(flood // frame_bytes):
            keeper.prints(b"\x1b[H" + b"." * (frame_bytes - 3))
        keeper.prints(b"\x1b[2J\x1b[Hnew")
        sight = await drawing.follow()

    assert [line for line in sight.lines if line] == ["new"]
    assert (BRACKETED_PASTE in sight.modes, sight.title, len(sight.lines)) == (True, "kept", 9)


async def test_a_look_draws_no_more_than_its_bound(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0
    with closing(Drawing(keeper.path)) as drawing:
        keeper.prints(b"\x1b[H")
        await drawing.follow()
        for _ in range(2_000):
            keeper.prints(b"." * 4_000)
        feed = Screen.feed

        def counting(screen: Screen, data: bytes) -> None:
            nonlocal drawn
            drawn += len(data)
            feed(screen, data)

        monkeypatch.setattr(Screen, "feed", counting)
        await drawing.follow()

    assert 0 < drawn <= DRAWN_BYTES_MAX + 4_100


async def test_the_loop_has_its_turn_within_what_a_few_bytes_may_cost(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each of these has the whole screen drawn anew; as time is not to be tested, no slice has any.
    monkeypatch.setattr(drawing_module, "SLICE_S", 0.0)
    keeper.prints(b"\x1b#8" * 2_000)
    taken, has_ended = 0, False

    async def others() -> None:
        nonlocal taken
        while not has_ended:
            taken += 1
            await turns(1)

    beside = asyncio.create_task(others())
    with closing(Drawing(keeper.path)) as drawing:
        await drawing.follow()
    has_ended = True
    await beside

    assert taken >= 2_000 * 3 // 512


async def test_an_answer_that_was_passed_over_is_no_draft_and_a_line_is_one(keeper: Keeper) -> None:
    keeper.prints(b"first")
    keeper.is_typed_at(b"h", by="ben")
    keeper.goes_on_and_on()
    keeper.prints(b"\x1b[H\x1b[2Jok?")
    keeper.is_typed_at(b"y", by="ada")
    keeper.is_typed_at(b"es", by="ada")
    keeper.goes_on_and_on()
    with closing(Drawing(keeper.path, asks=asks)) as drawing:
        before = await drawing.follow()
        keeper.is_typed_at(b"h", by="ada")
        after = await drawing.follow()

    assert (before.drafts, after.drafts) == ({"ben"}, {"ada", "ben"})


async def test_a_line_behind_an_answer_is_a_draft_also_where_both_were_passed_over(keeper: Keeper) -> None:
    keeper.prints(b"ok?")
    keeper.is_typed_at(b"y", by="ada")
    keeper.prints(b"\x1b[H\x1b[2Jgood")
    keeper.is_typed_at(b"x", by="ada")
    keeper.goes_on_and_on()
    with closing(Drawing(keeper.path, asks=asks)) as drawing:
        sight = await drawing.follow()

    assert sight.drafts == {"ada"}


async def test_very_many_keys_that_were_passed_over_are_a_draft_without_another_look(keeper: Keeper) -> None:
    keeper.prints(b"ok?")
    for _ in range(KEYS_JUDGED_MAX + 1):
        keeper.is_typed_at(b"y", by="ada")
    keeper.goes_on_and_on()
    with closing(Drawing(keeper.path, asks=asks)) as drawing:
        many = await drawing.follow()
        keeper.is_typed_at(b"\r", by="ada")
        sent = await drawing.follow()

    assert (many.drafts, sent.drafts) == ({"ada"}, frozenset())


async def test_a_torn_frame_is_waited_for(keeper: Keeper) -> None:
    keeper.prints(b"whole")
    whole = keeper.path.read_bytes()
    keeper.prints(b" and the rest")
    all_of_it = keeper.path.read_bytes()
    torn = keeper.path.with_name("torn")
    torn.write_bytes(all_of_it[: len(whole) + 9])
    with closing(Drawing(torn)) as drawing:
        before = await drawing.follow()
        torn.write_bytes(all_of_it)
        after = await drawing.follow()

    assert (before.lines[0], after.lines[0]) == ("whole", "whole and the rest")


def test_what_is_no_recording_is_not_drawn(tmp_path: Path) -> None:
    path = tmp_path / "recording.mprec"
    path.write_bytes(b"something else, long enough")

    with pytest.raises(RecordingError):
        Drawing(path)
