"""Lines to programs on pipes: whole, once, never into another; and who learns what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from moduprompt.domain.approval.commands import ReportAnswered
from moduprompt.domain.approval.intents import AnswerPermission
from moduprompt.domain.run.said import PermissionAsked, PermissionWithdrawn, TurnEnded
from moduprompt.effects.agents.claude_channel import ClaudeChannel
from moduprompt.effects.agents.port import Asked, InputOver, Owed
from moduprompt.effects.runner import port
from moduprompt.effects.runner.answering import Answerer
from moduprompt.effects.runner.speaking import PIECE_BYTES, NotSent, Sent, Speaker, line_of
from moduprompt.effects.runner.talking import QUESTIONS_MAX, Talk
from moduprompt.protocol import ApprovalId, RunId, WorkspaceId
from tests.support.fake_runner import RUN, STARTED, Backend, Keeper, QuickClock, Reports, gone
from tests.support.kept_journals import applied, failed, intended, kept

ME = port.Author(kind="kernel", id=RUN)
ANSWER = AnswerPermission(
    name="answer",
    workspace_id=WorkspaceId(RUN),
    run_id=RunId(RUN),
    approval_id=ApprovalId(RUN),
    request_id="r1",
    tool="Write",
    arguments_digest="0" * 64,
    option="allow_once",
)
ANSWERED = f"answer/{RUN}"


async def test_a_line_goes_in_whole_under_its_id(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    sent = await Speaker(Backend(tmp_path, keeper)).say(RUN, b"{}\n", input_id="owed/a", author=ME)
    assert sent == Sent(output_bytes=None)
    assert keeper.typed == {"owed/a": b"{}\n"}


async def test_a_long_line_goes_in_pieces_and_its_own_id_comes_last(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    line = b"x" * (2 * PIECE_BYTES) + b"\n"
    await Speaker(Backend(tmp_path, keeper)).say(RUN, line, input_id="owed/a", author=ME)
    assert list(keeper.typed) == ["owed/a/piece-0", "owed/a/piece-1", "owed/a"]
    assert b"".join(keeper.typed.values()) == line


async def test_a_line_that_was_sent_is_not_sent_again_however_long_ago(tmp_path: Path) -> None:
    kept(tmp_path, intended("owed/a"), applied("owed/a"))
    keeper = Keeper(STARTED)
    sent = await Speaker(Backend(tmp_path, keeper)).say(RUN, b"{}\n", input_id="owed/a", author=ME)
    assert sent == Sent(output_bytes=9)
    assert keeper.typed == {}


async def test_no_line_goes_into_the_middle_of_another(tmp_path: Path) -> None:
    kept(tmp_path, intended("p/piece-0"), applied("p/piece-0"))
    keeper = Keeper(STARTED)
    speaker = Speaker(Backend(tmp_path, keeper))
    assert await speaker.say(RUN, b"{}\n", input_id="owed/a", author=ME) is None
    assert keeper.typed == {}
    assert await speaker.say(RUN, b"x\n", input_id="p", author=ME) == Sent(output_bytes=None)


@pytest.mark.parametrize("input_id", ["p", "p/piece-0"])
async def test_a_line_whose_program_ended_first_is_never_sent_again(tmp_path: Path, input_id: str) -> None:
    kept(tmp_path, intended(input_id), failed(input_id))
    keeper = Keeper(STARTED)
    sent = await Speaker(Backend(tmp_path, keeper)).say(RUN, b"{}\n", input_id="p", author=ME)
    assert isinstance(sent, NotSent)
    assert keeper.typed == {}


async def test_who_can_not_be_reached_is_asked_again_and_who_is_gone_is_not(tmp_path: Path) -> None:
    silent = port.Unreachable(run_id=RUN, evidence="stopped")
    for found, expected in ((silent, None), (gone(STARTED), NotSent(why=gone(STARTED).evidence))):
        said = await Speaker(Backend(tmp_path, found)).say(RUN, b"{}\n", input_id="p", author=ME)
        assert said == expected


async def test_the_end_of_the_input_is_asked_for_and_settled(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    assert await Speaker(Backend(tmp_path, keeper)).end(RUN) is True
    assert keeper.asked == ["close input"]


def asked(request_id: str, *, tool: str = "Write", digest: str = "0" * 64, yes: bytes = b"yes\n") -> Asked:
    said = PermissionAsked(request_id=request_id, tool=tool, arguments_digest=digest, options=())
    return Asked(said=said, text="", answers={"allow_once": yes})


def open_in(talk: Talk, request_id: str) -> Mapping[str, bytes] | None:
    return talk.answers_to(request_id, tool="Write", arguments_digest="0" * 64)


def a_talk() -> Talk:
    return Talk(ClaudeChannel(is_for_one_turn=False), run_id=RUN)


async def test_a_question_can_be_answered_until_it_is_withdrawn_or_its_turn_ends() -> None:
    for end in (PermissionWithdrawn(request_id="r1"), TurnEnded(how="done")):
        talk = a_talk()
        await talk.heard(asked("r1"))
        assert open_in(talk, "r1") == {"allow_once": b"yes\n"}
        await talk.heard(end)
        assert open_in(talk, "r1") is None


async def test_the_answers_of_questions_without_end_are_not_kept_without_end() -> None:
    talk = a_talk()
    for number in range(QUESTIONS_MAX + 1):
        await talk.heard(asked(f"r{number}"))
    assert open_in(talk, "r0") is None
    assert open_in(talk, f"r{QUESTIONS_MAX}") is not None


async def test_what_is_owed_is_sent_in_order_and_the_end_after_it(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    keeper.breaks_on = "close input"
    talk = a_talk()
    for each in (Owed(name="a", line=b"1\n"), Owed(name="b", line=b"2\n"), InputOver()):
        await talk.heard(each)

    class Ended(QuickClock):
        async def sleep(self, seconds: float) -> None:
            raise EOFError(seconds)

    with pytest.raises(EOFError):  # the end could not be asked for: it would be, again
        await talk.run_errands(Speaker(Backend(tmp_path, keeper)), clock=Ended())
    assert keeper.typed == {"owed/a": b"1\n", "owed/b": b"2\n"}
    assert keeper.asked[-1] == "close input"


REFUSED_FOR_GOOD = ("not_running", "input_closed", "no_terminal", "of_a_newer_keeper")
REFUSED_FOR_NOW = ("input_full", "disk_refused", "unacknowledged", "not_taken")


@pytest.mark.parametrize("code", [*REFUSED_FOR_GOOD, *REFUSED_FOR_NOW])
async def test_a_line_is_given_up_unless_its_keeper_may_take_it_later(tmp_path: Path, code: str) -> None:
    keeper = Keeper(STARTED)
    keeper.input_answer = port.RequestRefused(code=code, message="no")
    sent = await Speaker(Backend(tmp_path, keeper)).say(RUN, b"{}\n", input_id="p", author=ME)
    assert sent == (NotSent(why="no") if code in REFUSED_FOR_GOOD else None)


async def errands(keeper: Keeper, folder: Path, *owed: Owed) -> None:
    """Until the end behind them is asked for."""
    talk = a_talk()
    for each in (*owed, InputOver(), Owed(name="behind", line=b"")):
        await talk.heard(each)
    keeper.breaks_on = "close input"

    class Ended(QuickClock):
        async def sleep(self, seconds: float) -> None:
            raise EOFError(seconds)

    with pytest.raises(EOFError):
        await talk.run_errands(Speaker(Backend(folder, keeper)), clock=Ended())


async def test_an_errand_that_is_refused_for_good_holds_up_no_other(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    keeper.input_answer = port.RequestRefused(code="input_closed", message="it is closed")
    await errands(keeper, tmp_path, Owed(name="a", line=b"1\n"), Owed(name="b", line=b"2\n"))
    assert keeper.asked == ["input", "input", "close input"]


@pytest.mark.parametrize(
    "name", ["no " + "r" * 97, "no \0", "no \ud83d", "no a/piece-0", "no ä", "no a\nb", "owed-digest/x" * 9]
)
async def test_an_errand_has_an_id_that_every_keeper_takes_whatever_its_program_called_it(
    tmp_path: Path, name: str
) -> None:
    keeper = Keeper(STARTED)
    await errands(
        keeper, tmp_path, Owed(name=name, line=b"x" * (PIECE_BYTES + 1)), Owed(name=name + "2", line=b"y")
    )
    piece, whole, other = (each or "" for each in keeper.typed)
    assert whole != other
    assert piece == f"{whole}/piece-0"
    assert all(len(each) <= 100 and each.isascii() and each.isprintable() for each in (piece, whole, other))
    assert line_of(whole) == whole


@pytest.mark.parametrize("name", ["session/new", "session/set_mode 12", "no 7f0c-a", "permission 3"])
async def test_an_errand_with_a_plain_name_keeps_it(tmp_path: Path, name: str) -> None:
    """Daemons of before have sent it under that: it must not be sent again."""
    keeper = Keeper(STARTED)
    await errands(keeper, tmp_path, Owed(name=name, line=b"1\n"))
    assert list(keeper.typed) == [f"owed/{name}"]


class Scene:
    """An answerer, and one run that is listened to."""

    def __init__(self, folder: Path, *, has_caught_up: bool = True) -> None:
        self.keeper = Keeper(STARTED)
        backend = Backend(folder, self.keeper)
        self.reports = Reports()
        self.talk = a_talk()
        self.talk.has_caught_up = has_caught_up
        self.hand = Answerer(self.reports, talk_with=lambda _: self.talk, speaker=Speaker(backend))

    @property
    def told(self) -> list[str]:
        return [each.how for each in self.reports.commands if isinstance(each, ReportAnswered)]


async def test_an_answer_is_sent_and_reported(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.talk.heard(asked("r1"))
    assert await scene.hand.carry_out(ANSWER) is True
    assert (scene.keeper.typed, scene.told) == ({ANSWERED: b"yes\n"}, ["given"])


@pytest.mark.parametrize(
    "other", [asked("r1", digest="1" * 64, yes=b"rm -rf\n"), asked("r1", tool="Bash", yes=b"rm -rf\n")]
)
async def test_an_answer_goes_to_the_question_that_was_shown_and_to_no_other_of_its_name(
    tmp_path: Path, other: Asked
) -> None:
    for before, after in ((asked("r1"), other), (other, asked("r1"))):
        scene = Scene(tmp_path)
        await scene.talk.heard(before)
        await scene.talk.heard(after)
        assert await scene.hand.carry_out(ANSWER) is True
        assert (scene.keeper.typed, scene.told) == ({ANSWERED: b"yes\n"}, ["given"])


async def test_a_question_that_was_not_shown_gets_no_answer(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    await scene.talk.heard(asked("r1", digest="1" * 64))
    assert await scene.hand.carry_out(ANSWER) is True
    assert (scene.keeper.typed, scene.told) == ({}, ["not_taken"])


async def test_an_answer_waits_until_its_run_has_been_heard_from_the_beginning(tmp_path: Path) -> None:
    scene = Scene(tmp_path, has_caught_up=False)
    assert await scene.hand.carry_out(ANSWER) is False
    assert scene.told == []


async def test_an_answer_that_nobody_wants_any_more_is_not_sent(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert await scene.hand.carry_out(ANSWER) is True
    assert (scene.keeper.typed, scene.told) == ({}, ["not_taken"])


async def test_an_answer_of_a_daemon_before_is_known_from_the_journal(tmp_path: Path) -> None:
    kept(tmp_path, intended(ANSWERED), applied(ANSWERED))
    scene = Scene(tmp_path)
    assert await scene.hand.carry_out(ANSWER) is True
    assert (scene.keeper.typed, scene.told) == ({}, ["given"])


async def test_an_answer_that_has_begun_is_never_said_not_to_be_taken(tmp_path: Path) -> None:
    kept(tmp_path, intended(ANSWERED))
    scene = Scene(tmp_path)
    assert await scene.hand.carry_out(ANSWER) is False
    assert scene.told == []
