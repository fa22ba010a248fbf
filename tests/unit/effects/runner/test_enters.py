"""An Enter that was not taken is typed once more, into the same text in the same place, and into nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.domain.run.intents import TypePrompt
from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.desk import Desk
from moduprompt.effects.runner.enters import AGAIN_MS, AGAINS_MAX, GONE_LOOKS, UNCLEAR_LOOKS, Enters
from moduprompt.effects.runner.status.onlooker import Onlooker
from moduprompt.keeper.recording import OUTPUT, RECORDING_NAME, RESIZE, Recording, pack_size
from moduprompt.protocol import ArtifactRef, PromptId, SessionId, TextRef
from tests.support.fake_runner import RUN, STARTED, WORKING, WORKSPACE, Keeper, Link, QuickClock

PROMPT = PromptId("00000000-0000-7000-8000-0000000000d1")
NEXT = PromptId("00000000-0000-7000-8000-0000000000d2")
TEXT = "say something long"
TYPE = TypePrompt(
    name="type",
    workspace_id=WORKSPACE,
    run_id=RUN,
    session_id=SessionId(RUN),
    adapter="command",
    prompt_id=PROMPT,
    text=TextRef(ref=ArtifactRef(f"blake3:{'1' * 64}"), chars=len(TEXT)),
    is_placed=True,
)
RAW = replace(
    WORKING, canonical=False, echo=False, since_typed_ms=AGAIN_MS, printed_since_typed=9, unread_bytes=0
)
PAGE = "\x1b[?2004h\x1b]2;✳ Claude\x07\x1b[H\x1b[2J"
STANDS = f"{PAGE}hello\r\n❯ {TEXT}\r\n? for shortcuts"
ASKS = f"{PAGE}Do you want to?\r\n ❯ 1. Yes\r\n   2. No\r\n Esc to cancel"
GONE = f"{PAGE}> {TEXT}\r\nok\r\n❯ \r\n? for shortcuts"
WORKS = f"{PAGE}❯ \x1b]2;⠂ Claude\x07"


class Scene:
    """A prompt whose Enter has just been typed; `shows` says what stands on the screen at each look from then on."""

    def __init__(self, folder: Path, recording: Recording) -> None:
        self.keeper = Keeper(STARTED)
        self.keeper.statuses = [RAW]
        self.composers = Composers()
        self.drafts: list[str] = []
        self._recording = recording
        link = Link(self.keeper)
        self.onlooker = Onlooker(link, run_dir=folder, program="claude")
        self.desk = Desk(intent=TYPE, link=link, onlooker=self.onlooker, text=TEXT.encode())
        self.next_desk = Desk(
            intent=replace(TYPE, prompt_id=NEXT), link=link, onlooker=self.onlooker, text=b"next"
        )
        self.enters = Enters(
            composers=self.composers,
            clock=QuickClock(),
            draft_by=lambda _desk, _look: self.drafts[0] if self.drafts else None,
        )

    def shows(self, *pictures: str) -> None:
        for number, picture in enumerate(pictures, self.keeper.looks + 1):
            self.keeper.on_look[number] = lambda picture=picture: self._print(picture)

    def _print(self, picture: str) -> None:
        self._recording.append(OUTPUT, 1, picture.encode())

    async def press(self) -> None:
        self.shows(STANDS)
        self.enters.pressed(self.desk, b"\r", seen=await self.onlooker.glance())

    @property
    def agains(self) -> list[str | None]:
        return list(self.keeper.typed)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    recording = Recording(str(tmp_path / RECORDING_NAME), started_us=1)
    recording.append(RESIZE, 0, pack_size(24, 80))
    with closing(recording):
        made = Scene(tmp_path, recording)
        with closing(made.onlooker):
            yield made


async def test_what_a_question_swallowed_is_typed_once_more_when_it_is_answered(scene: Scene) -> None:
    await scene.press()
    scene.shows(ASKS, ASKS, WORKS, STANDS, STANDS, *(GONE,) * GONE_LOOKS)
    await scene.enters.see_it_go(scene.desk)

    assert scene.keeper.typed == {f"{PROMPT}/again/1": b"\r"}


async def test_what_was_taken_before_the_question_is_not_typed_again(scene: Scene) -> None:
    await scene.press()
    scene.shows(ASKS, ASKS, WORKS, GONE)
    await scene.enters.see_it_go(scene.desk)

    assert scene.agains == []


async def test_what_a_busy_program_took_for_a_lines_end_is_typed_once_more_after_a_while(
    scene: Scene,
) -> None:
    await scene.press()
    scene.keeper.statuses = [replace(RAW, since_typed_ms=AGAIN_MS - 1)] * 3 + [RAW]
    scene.shows("", "", "", "", "", *(GONE,) * GONE_LOOKS)
    await scene.enters.see_it_go(scene.desk)

    assert scene.agains == [f"{PROMPT}/again/1"]


@pytest.mark.parametrize(
    ("in_between", "looks"),
    [(PAGE, UNCLEAR_LOOKS), (f"{PAGE}❯ ", UNCLEAR_LOOKS), (WORKS, GONE_LOOKS), (GONE, GONE_LOOKS)],
)
async def test_a_picture_that_is_only_half_drawn_tells_nothing(
    scene: Scene, in_between: str, looks: int
) -> None:
    await scene.press()
    scene.shows(*(in_between,) * (looks - 1), STANDS, STANDS, *(GONE,) * GONE_LOOKS)
    await scene.enters.see_it_go(scene.desk)

    assert scene.agains == [f"{PROMPT}/again/1"]


async def test_a_footer_that_has_lost_a_line_is_no_sign_that_the_text_has_gone(scene: Scene) -> None:
    await scene.press()
    scene.shows(STANDS.removesuffix("? for shortcuts"))
    await scene.enters.see_it_go(scene.desk)

    assert scene.agains


async def test_a_text_that_never_goes_is_left_to_a_person(scene: Scene) -> None:
    await scene.press()
    await scene.enters.see_it_go(scene.desk)

    assert scene.agains == [f"{PROMPT}/again/{n}" for n in range(1, AGAINS_MAX + 1)]


async def test_a_program_that_moves_on_since_the_look_is_looked_at_again(scene: Scene) -> None:
    await scene.press()
    scene.keeper.moves_on = 3
    await scene.enters.see_it_go(scene.desk)

    assert scene.agains == [f"{PROMPT}/again/{n}" for n in range(1, AGAINS_MAX + 1)]


async def test_where_a_persons_line_stands_by_now_no_enter_is_typed(scene: Scene) -> None:
    await scene.press()
    scene.drafts.append("ada")
    await scene.enters.see_it_go(scene.desk)

    assert scene.agains == []


async def test_until_it_is_seen_to_go_no_other_prompt_is_typed_there(scene: Scene) -> None:
    assert not scene.enters.is_unsure_for(scene.next_desk)
    await scene.press()

    assert scene.enters.is_unsure_for(scene.next_desk)
    assert not scene.enters.is_unsure_for(scene.desk)
    scene.enters.give_up(scene.next_desk)
    assert scene.enters.is_unsure_for(scene.next_desk)
    scene.enters.give_up(scene.desk)
    assert not scene.enters.is_unsure_for(scene.next_desk)


async def test_while_a_question_is_open_a_person_can_type(scene: Scene) -> None:
    await scene.press()
    scene.shows(ASKS, ASKS, GONE)
    could_type: list[bool] = []
    scene.keeper.on_look[scene.keeper.looks + 2] = lambda: could_type.append(
        not scene.composers.turn(RUN).locked()
    )
    await scene.enters.see_it_go(scene.desk)

    assert could_type == [True]


async def test_a_program_that_has_ended_is_looked_at_no_more(scene: Scene) -> None:
    await scene.press()
    scene.keeper.statuses = [replace(RAW, state="ended")]
    await scene.enters.see_it_go(scene.desk)

    assert (scene.agains, scene.keeper.looks) == ([], 2)


async def test_a_keeper_that_takes_nothing_is_not_asked_for_ever(scene: Scene) -> None:
    await scene.press()
    scene.keeper.input_answer = port.RequestRefused(code="disk_refused", message="not now")
    await scene.enters.see_it_go(scene.desk)

    assert scene.keeper.asked == ["input"]
