"""Prompts said over pipes: placed before the first byte, each once, and what is unclear is told as that."""

from __future__ import annotations

from pathlib import Path

import pytest

from moduprompt.domain.run.intents import TypePrompt
from moduprompt.domain.run.said import TurnBegan
from moduprompt.domain.session.commands import ReportPrompt
from moduprompt.effects.agents.claude_channel import ClaudeChannel
from moduprompt.effects.runner import port
from moduprompt.effects.runner.prompting import Teller, is_talked_to
from moduprompt.effects.runner.speaking import PIECE_BYTES, Speaker
from moduprompt.effects.runner.talking import Talk
from moduprompt.protocol import ArtifactRef, PromptId, RunId, SessionId, TextRef, WorkspaceId
from tests.support.fake_runner import (
    RUN,
    STARTED,
    UNREACHABLE,
    Backend,
    Keeper,
    KilledHere,
    Reports,
    gone,
)
from tests.support.kept_journals import Line, applied, failed, intended, kept

PROMPT = PromptId("00000000-0000-7000-8000-0000000000d1")
LONG = "x" * (PIECE_BYTES + 1)  # goes in two pieces
BEGINS = b'{"type":"system","subtype":"init","session_id":"s"}'
PIECE = f"{PROMPT}/piece-0"


def an_intent(*, is_placed: bool = False, is_steering: bool = False) -> TypePrompt:
    return TypePrompt(
        name="prompt",
        workspace_id=WorkspaceId(RUN),
        run_id=RunId(RUN),
        session_id=SessionId(RUN),
        adapter="claude",
        argv=("--turns", "many"),
        prompt_id=PROMPT,
        text=TextRef(ref=ArtifactRef(f"blake3:{'0' * 64}"), chars=1),
        is_placed=is_placed,
        is_steering=is_steering,
    )


class Scene:
    """A teller, and one run that is talked to."""

    def __init__(
        self, folder: Path, *journal: Line, found: Keeper | port.Gone | port.Unreachable | None = None
    ) -> None:
        if journal:
            kept(folder, *journal)
        self.keeper = Keeper(STARTED)
        backend = Backend(folder, found or self.keeper)
        self.reports = Reports()
        self.talk = Talk(ClaudeChannel(is_for_one_turn=False), run_id=RUN)
        self.talk.has_caught_up = True
        self.teller = Teller(self.reports, talk_with=lambda _: self.talk, speaker=Speaker(backend))

    def in_a_turn(self) -> None:
        assert TurnBegan() in self.talk.channel.read(BEGINS)

    @property
    def told(self) -> list[str]:
        return [each.outcome for each in self.reports.commands if isinstance(each, ReportPrompt)]


async def test_a_prompt_is_placed_then_said_under_its_own_name(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.teller.tell(an_intent(), text="go on") is True
    assert list(scene.keeper.typed) == [PROMPT]
    assert scene.told == ["placed", "submitted"]


async def test_a_daemon_that_dies_before_the_prompt_is_placed_has_written_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.reports.dies_at = "placed"
    with pytest.raises(KilledHere):
        await scene.teller.tell(an_intent(), text="go on")
    assert scene.keeper.typed == {}


async def test_one_that_was_placed_and_never_written_is_written_by_the_next_daemon(tmp_path: Path) -> None:
    """Its keeper's journal has no word of it: so it was not begun."""
    scene = Scene(tmp_path)
    assert await scene.teller.tell(an_intent(is_placed=True), text="go on") is True
    assert (list(scene.keeper.typed), scene.told) == ([PROMPT], ["submitted"])


async def test_a_daemon_that_dies_after_the_write_leaves_the_next_one_to_tell_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path, intended(PROMPT), applied(PROMPT))
    scene.in_a_turn()
    assert await scene.teller.tell(an_intent(is_placed=True), text="go on") is True
    assert (scene.keeper.typed, scene.told) == ({}, ["submitted"])


async def test_one_that_is_taken_back_in_the_last_moment_is_not_said(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.reports.changes_nothing.add(f"prompt/{PROMPT}/placed")
    assert await scene.teller.tell(an_intent(), text="go on") is True
    assert scene.keeper.typed == {}


async def test_a_keeper_that_died_over_it_leaves_it_uncertain(tmp_path: Path) -> None:
    scene = Scene(tmp_path, intended(PROMPT), found=gone(STARTED, port.InputIntended(input_id=PROMPT)))
    assert await scene.teller.tell(an_intent(is_placed=True), text="go on") is True
    assert scene.told == ["uncertain"]


async def test_a_pipe_that_broke_under_it_leaves_it_uncertain_and_unsaid(tmp_path: Path) -> None:
    scene = Scene(tmp_path, intended(PROMPT), failed(PROMPT))
    assert await scene.teller.tell(an_intent(is_placed=True), text="go on") is True
    assert (scene.keeper.typed, scene.told) == ({}, ["uncertain"])


async def test_a_program_that_ends_while_it_is_written_leaves_it_uncertain(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.keeper.input_answer = port.InputResult(input_id=PROMPT, outcome="failed", bytes=3)
    assert await scene.teller.tell(an_intent(), text="go on") is True
    assert scene.told == ["placed", "uncertain"]


async def test_a_link_that_breaks_leaves_it_to_the_next_try_under_the_same_name(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.keeper.breaks_on = "input"
    assert await scene.teller.tell(an_intent(), text="go on") is False
    scene.keeper.breaks_on = None
    assert await scene.teller.tell(an_intent(is_placed=True), text="go on") is True
    assert (list(scene.keeper.typed), scene.told) == ([PROMPT], ["placed", "submitted"])


async def test_a_long_line_of_which_a_piece_was_written_is_ended_even_in_a_turn(tmp_path: Path) -> None:
    """Half a line would spoil whatever is said next."""
    scene = Scene(tmp_path, intended(PIECE), applied(PIECE))
    scene.in_a_turn()
    assert await scene.teller.tell(an_intent(is_placed=True), text=LONG) is True
    assert list(scene.keeper.typed) == [PIECE, PROMPT]
    assert scene.told == ["submitted"]


async def test_a_long_line_that_broke_in_its_first_piece_is_never_ended(tmp_path: Path) -> None:
    scene = Scene(tmp_path, intended(PIECE), failed(PIECE))
    assert await scene.teller.tell(an_intent(is_placed=True), text=LONG) is True
    assert (scene.keeper.typed, scene.told) == ({}, ["uncertain"])


async def test_between_turns_it_is_said_and_in_one_it_waits_unless_it_steers(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.in_a_turn()
    assert await scene.teller.tell(an_intent(), text="go on") is False
    assert scene.told == []
    assert await scene.teller.tell(an_intent(is_steering=True), text="left") is True
    assert (list(scene.keeper.typed), scene.told) == ([PROMPT], ["placed", "submitted"])


async def test_nothing_is_said_to_a_program_that_has_not_been_heard_out(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.talk.has_caught_up = False
    assert await scene.teller.tell(an_intent(), text="go on") is False
    assert (scene.keeper.typed, scene.told) == ({}, [])


async def test_who_can_not_be_reached_is_asked_again_and_nothing_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path, found=UNREACHABLE)
    assert await scene.teller.tell(an_intent(is_placed=True), text="go on") is False
    assert scene.told == []


@pytest.mark.parametrize(
    ("adapter", "argv", "expected"),
    [("claude", ("--turns", "many"), True), ("claude", (), False), ("command", ("sh",), False)],
)
def test_who_is_talked_to_is_said_by_its_adapter(
    adapter: str, argv: tuple[str, ...], *, expected: bool
) -> None:
    intent = TypePrompt(
        name="prompt",
        workspace_id=WorkspaceId(RUN),
        run_id=RunId(RUN),
        session_id=SessionId(RUN),
        adapter=adapter,
        argv=argv,
        prompt_id=PROMPT,
        text=TextRef(ref=ArtifactRef(f"blake3:{'0' * 64}"), chars=1),
        is_placed=False,
    )
    assert is_talked_to(intent) is expected
