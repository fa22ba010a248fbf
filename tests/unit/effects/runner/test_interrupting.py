"""Interrupts on their way: by a line, a key, a signal; each at most once, and it is always said what is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from moduprompt.domain.run.intents import InterruptTurn
from moduprompt.domain.session.commands import ReportInterrupt
from moduprompt.effects.agents.claude_channel import ClaudeChannel
from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.interrupting import Interrupter
from moduprompt.effects.runner.speaking import Speaker
from moduprompt.effects.runner.talking import Talk
from moduprompt.protocol import InterruptId, RunId, SessionId, WorkspaceId
from tests.support.fake_runner import (
    RUN,
    STARTED,
    UNREACHABLE,
    WAITING,
    Backend,
    Keeper,
    KilledHere,
    Reports,
    gone,
)
from tests.support.kept_journals import applied, failed, intended, kept

INTERRUPT = InterruptId("00000000-0000-7000-8000-0000000000e1")
SENT_AS = f"interrupt/{INTERRUPT}"
TALKED_TO = ("--turns", "many")


def an_intent(adapter: str, *argv: str, is_placed: bool = False) -> InterruptTurn:
    return InterruptTurn(
        name="interrupt",
        workspace_id=WorkspaceId(RUN),
        run_id=RunId(RUN),
        session_id=SessionId(RUN),
        adapter=adapter,
        argv=argv,
        interrupt_id=INTERRUPT,
        is_placed=is_placed,
    )


class Scene:
    """An interrupter, and one run whose program may be talked to."""

    def __init__(self, folder: Path, *, found: Keeper | port.Gone | port.Unreachable | None = None) -> None:
        self.keeper = Keeper(STARTED)
        backend = Backend(folder, found or self.keeper)
        self.reports = Reports()
        self.talk = Talk(ClaudeChannel(is_for_one_turn=False), run_id=RUN)
        self.talk.has_caught_up = True
        self.hand = Interrupter(
            backend,
            self.reports,
            talk_with=lambda _: self.talk,
            speaker=Speaker(backend),
            composers=Composers(),
        )

    @property
    def told(self) -> list[str]:
        return [each.outcome for each in self.reports.commands if isinstance(each, ReportInterrupt)]


async def test_an_interrupt_is_a_line_of_the_channel_under_its_own_name(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.hand.carry_out(an_intent("claude", *TALKED_TO)) is True
    assert list(scene.keeper.typed) == [SENT_AS]
    assert b'"interrupt"' in scene.keeper.typed[SENT_AS]
    assert scene.told == ["placed", "sent"]


async def test_it_is_placed_before_its_first_byte(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.reports.dies_at = "placed"
    with pytest.raises(KilledHere):
        await scene.hand.carry_out(an_intent("claude", *TALKED_TO))
    assert scene.keeper.typed == {}


@pytest.mark.parametrize("words", [TALKED_TO, ()])
async def test_one_whose_turn_is_over_by_then_is_not_sent(tmp_path: Path, words: tuple[str, ...]) -> None:
    scene = Scene(tmp_path)
    scene.reports.changes_nothing.add(f"interrupt/{INTERRUPT}/placed")
    assert await scene.hand.carry_out(an_intent("claude", *words)) is True
    assert (scene.keeper.typed, scene.keeper.asked) == ({}, [])


async def test_it_waits_until_its_run_has_been_heard_from_the_beginning(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.talk.has_caught_up = False
    assert await scene.hand.carry_out(an_intent("claude", *TALKED_TO)) is False
    assert scene.told == []


@pytest.mark.parametrize("adapter", [("claude", *TALKED_TO), ("command", "make")])
async def test_what_a_daemon_before_has_sent_is_known_from_the_journal(
    tmp_path: Path, adapter: tuple[str, ...]
) -> None:
    kept(tmp_path, intended(SENT_AS), applied(SENT_AS))
    went_in = port.InputIntended(input_id=SENT_AS), port.InputApplied(input_id=SENT_AS, bytes=3)
    scene = Scene(tmp_path, found=gone(STARTED, *went_in))
    assert await scene.hand.carry_out(an_intent(*adapter, is_placed=True)) is True
    assert scene.told == ["sent"]


@pytest.mark.parametrize("adapter", [("claude", *TALKED_TO), ("command", "make")])
async def test_where_a_keeper_died_over_it_nobody_can_say(tmp_path: Path, adapter: tuple[str, ...]) -> None:
    kept(tmp_path, intended(SENT_AS))
    scene = Scene(tmp_path, found=gone(STARTED, port.InputIntended(input_id=SENT_AS)))
    assert await scene.hand.carry_out(an_intent(*adapter, is_placed=True)) is True
    assert scene.told == ["uncertain"]


async def test_what_was_cut_short_is_uncertain(tmp_path: Path) -> None:
    kept(tmp_path, intended(SENT_AS), failed(SENT_AS))
    scene = Scene(tmp_path)
    assert await scene.hand.carry_out(an_intent("claude", *TALKED_TO, is_placed=True)) is True
    assert (scene.told, scene.keeper.typed) == (["uncertain"], {})


@pytest.mark.parametrize("adapter", [("claude", *TALKED_TO), ("command", "make")])
async def test_what_a_dead_keeper_never_began_was_not_taken(tmp_path: Path, adapter: tuple[str, ...]) -> None:
    scene = Scene(tmp_path, found=gone(STARTED))
    assert await scene.hand.carry_out(an_intent(*adapter, is_placed=True)) is True
    assert scene.told == ["not_taken"]


@pytest.mark.parametrize("adapter", [("claude", *TALKED_TO), ("command", "make"), ("claude",)])
async def test_who_can_not_be_reached_is_asked_again(tmp_path: Path, adapter: tuple[str, ...]) -> None:
    scene = Scene(tmp_path, found=UNREACHABLE)
    assert await scene.hand.carry_out(an_intent(*adapter)) is False
    assert set(scene.told) <= {"placed"}


async def test_a_program_in_a_terminal_gets_its_own_key(tmp_path: Path) -> None:
    for argv, key in ((("make", "all"), b"\x03"), (("/opt/bin/claude",), b"\x1b"), ((), b"\x03")):
        scene = Scene(tmp_path)
        assert await scene.hand.carry_out(an_intent("command", *argv)) is True
        assert (scene.keeper.typed, scene.told) == ({SENT_AS: key}, ["placed", "sent"])


async def test_a_program_that_waits_for_input_gets_no_key(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.keeper.statuses = [WAITING]
    assert await scene.hand.carry_out(an_intent("command", "sh")) is True
    assert (scene.keeper.typed, scene.told) == ({}, ["not_taken"])


async def test_a_link_that_breaks_over_the_key_leaves_it_to_the_next_try(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.keeper.breaks_on = "input"
    assert await scene.hand.carry_out(an_intent("command", "make")) is False
    scene.keeper.breaks_on = None
    assert await scene.hand.carry_out(an_intent("command", "make", is_placed=True)) is True
    assert scene.told == ["placed", "sent"]


async def test_a_program_for_one_prompt_that_says_so_is_sent_a_signal_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.hand.carry_out(an_intent("claude")) is True
    assert (scene.keeper.asked, scene.told) == (["signal INT"], ["placed", "sent"])


async def test_a_signal_that_was_placed_before_is_never_sent_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.hand.carry_out(an_intent("claude", is_placed=True)) is True
    assert (scene.keeper.asked, scene.told) == ([], ["uncertain"])


async def test_a_link_that_breaks_over_a_signal_leaves_it_uncertain(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.keeper.breaks_on = "signal INT"
    assert await scene.hand.carry_out(an_intent("claude")) is True
    assert scene.told == ["placed", "uncertain"]


async def test_a_program_that_ended_first_was_not_interrupted(tmp_path: Path) -> None:
    for adapter in (("claude",), ("command", "make")):
        scene = Scene(tmp_path)
        over = port.RequestRefused(code="not_running", message="the program has ended")
        scene.keeper.answer, scene.keeper.input_answer = over, over
        assert await scene.hand.carry_out(an_intent(*adapter)) is True
        assert scene.told == ["placed", "not_taken"]


@pytest.mark.parametrize(("typed_bytes", "told"), [(0, "not_taken"), (1, "uncertain")])
async def test_a_key_that_was_cut_short_is_told_as_far_as_it_came(
    tmp_path: Path, typed_bytes: int, told: str
) -> None:
    scene = Scene(tmp_path)
    scene.keeper.input_answer = port.InputResult(input_id=SENT_AS, outcome="failed", bytes=typed_bytes)
    assert await scene.hand.carry_out(an_intent("command", "make")) is True
    assert scene.told == ["placed", told]


@pytest.mark.parametrize("adapter", ["codex", "no such program any more"])
async def test_where_no_way_is_known_nothing_is_sent(tmp_path: Path, adapter: str) -> None:
    scene = Scene(tmp_path)
    assert await scene.hand.carry_out(an_intent(adapter)) is True
    assert (scene.keeper.asked, scene.told) == ([], ["not_taken"])
