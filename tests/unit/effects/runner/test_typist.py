"""Prompts are typed once, and it is always known how far one came."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.domain.run.intents import TypePrompt
from moduprompt.domain.session.commands import ReportPrompt, ReportPromptHeld
from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.keys import LINE_BYTES_MAX
from moduprompt.effects.runner.typist import Typist
from moduprompt.keeper.journal import Journal
from moduprompt.keeper.wire import INPUT_BYTES_MAX
from moduprompt.protocol import ArtifactRef, PromptId, Refused, SessionId, TextRef
from tests.support.fake_runner import (
    EXITED,
    RUN,
    STARTED,
    UNREACHABLE,
    WAITING,
    WORKSPACE,
    Backend,
    Keeper,
    KilledHere,
    QuickClock,
    Reports,
    Texts,
    gone,
)

ADA = "00000000-0000-7000-8000-0000000000ad"
PROMPT = PromptId("00000000-0000-7000-8000-0000000000d1")
REF = ArtifactRef(f"blake3:{'1' * 64}")
TYPE = TypePrompt(
    name="type",
    workspace_id=WORKSPACE,
    run_id=RUN,
    session_id=SessionId(RUN),
    adapter="command",
    prompt_id=PROMPT,
    text=TextRef(ref=REF, chars=2),
    is_placed=False,
)
PLACED = replace(TYPE, is_placed=True)


def reading() -> Keeper:
    """A keeper whose program reads a line."""
    keeper = Keeper(STARTED)
    keeper.statuses = [WAITING]
    return keeper


class Scene:
    """A typist before one run, with one text."""

    def __init__(
        self, folder: Path, found: Keeper | port.Gone | port.Unreachable, *, text: str | None = "go"
    ) -> None:
        self.reports = Reports()
        self.typed: list[str] = []
        self.composers = Composers()
        texts = Texts(**({} if text is None else {REF: text}))
        self.hand = Typist(
            Backend(folder, found),
            self.reports,
            artifacts=texts,
            typed=self.typed.append,
            composers=self.composers,
            clock=QuickClock(),
        )

    @property
    def outcomes(self) -> list[str]:
        return [each.outcome for each in self.reports.commands if isinstance(each, ReportPrompt)]

    @property
    def evidence(self) -> str:
        said = self.reports.commands[-1]
        assert isinstance(said, ReportPrompt)
        return said.evidence


async def test_a_prompt_is_placed_typed_and_submitted(tmp_path: Path) -> None:
    keeper = reading()
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is True
    assert keeper.typed == {PROMPT: b"go\r"}
    assert list(scene.reports.by_key) == [f"prompt/{PROMPT}/placed", f"prompt/{PROMPT}/typed"]
    assert scene.typed == [RUN]


async def test_nothing_is_typed_before_it_is_durable_that_it_may_be(tmp_path: Path) -> None:
    keeper = reading()
    scene = Scene(tmp_path, keeper)
    scene.reports.refusing = 1

    with pytest.raises(Refused):
        await scene.hand.carry_out(TYPE)
    assert keeper.typed == {}


async def test_a_daemon_that_dies_after_typing_learns_that_it_was_typed(tmp_path: Path) -> None:
    keeper = reading()
    first = Scene(tmp_path, keeper)

    first.reports.dies_at = "typed"
    with pytest.raises(KilledHere):
        await first.hand.carry_out(TYPE)

    second = Scene(tmp_path, keeper)
    assert await second.hand.carry_out(PLACED) is True
    assert keeper.typed == {PROMPT: b"go\r"}
    assert second.outcomes == ["submitted"]


async def test_a_link_that_breaks_while_typing_is_asked_again_under_the_same_id(tmp_path: Path) -> None:
    keeper = reading()
    keeper.breaks_on = "input"
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is False
    keeper.breaks_on = None
    assert await scene.hand.carry_out(PLACED) is True
    assert keeper.asked == ["input", "input"]
    assert scene.outcomes == ["placed", "submitted"]


@pytest.mark.parametrize("code", ["input_full", "unacknowledged", "disk_refused"])
async def test_a_keeper_that_takes_nothing_now_is_asked_again(tmp_path: Path, code: str) -> None:
    keeper = reading()
    keeper.input_answer = port.RequestRefused(code=code, message="not now")
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is False
    assert scene.outcomes == ["placed"]


async def test_a_program_that_has_ended_makes_it_uncertain(tmp_path: Path) -> None:
    keeper = reading()
    keeper.input_answer = port.RequestRefused(code="not_running", message="it has ended")
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is True
    assert scene.outcomes == ["placed", "uncertain"]


async def test_a_program_that_ends_while_it_is_typed_makes_it_uncertain(tmp_path: Path) -> None:
    keeper = reading()
    keeper.input_answer = port.InputResult(input_id=PROMPT, outcome="failed", bytes=1)
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is True
    assert scene.outcomes == ["placed", "uncertain"]
    assert "1 bytes" in scene.evidence
    assert scene.typed == []


async def test_an_unreachable_keeper_is_asked_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, UNREACHABLE)

    assert await scene.hand.carry_out(PLACED) is False
    assert scene.outcomes == []


async def test_what_was_never_placed_waits_for_the_next_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone(STARTED, EXITED))

    assert await scene.hand.carry_out(TYPE) is True
    assert scene.outcomes == []


@pytest.mark.parametrize(
    ("reports", "outcome", "words"),
    [
        ((port.InputIntended(input_id=PROMPT),), "uncertain", "not alive"),
        ((), "uncertain", "not alive"),
        ((port.InputApplied(input_id="another", bytes=3),), "uncertain", "not alive"),
        ((port.InputFailed(input_id=PROMPT, bytes=7),), "uncertain", "after 7 bytes"),
        ((port.InputIntended(input_id=PROMPT), port.InputApplied(input_id=PROMPT, bytes=3)), "submitted", ""),
    ],
)
async def test_a_dead_keepers_journal_says_what_became_of_it(
    tmp_path: Path, reports: tuple[port.Report, ...], outcome: str, words: str
) -> None:
    scene = Scene(tmp_path, gone(STARTED, *reports))

    assert await scene.hand.carry_out(PLACED) is True
    assert scene.outcomes == [outcome]
    assert words in scene.evidence


async def test_what_was_withdrawn_goes_on_as_if_nothing_had_been_tried(tmp_path: Path) -> None:
    keeper = reading()
    keeper.statuses = [replace(WAITING, draft_by=ADA), WAITING]
    scene = Scene(tmp_path, keeper)
    (tmp_path / RUN).mkdir()
    journal = Journal(str(tmp_path / RUN))
    journal.append("input_intended", {"input_id": PROMPT}, at_us=1)
    journal.append("input_failed", {"input_id": PROMPT, "bytes": 0, "withdrawn": True}, at_us=2)

    assert await scene.hand.carry_out(PLACED) is False
    assert keeper.typed == {}
    assert await scene.hand.carry_out(PLACED) is True
    assert keeper.typed == {PROMPT: b"go\r"}
    assert scene.outcomes == ["submitted"]


async def test_a_dead_keeper_typed_what_it_withdrew_before_and_tried_again(tmp_path: Path) -> None:
    scene = Scene(
        tmp_path,
        gone(
            STARTED,
            port.InputIntended(input_id=PROMPT),
            port.InputFailed(input_id=PROMPT, bytes=0, withdrawn=True),
            port.InputIntended(input_id=PROMPT),
            port.InputApplied(input_id=PROMPT, bytes=3),
        ),
    )

    assert await scene.hand.carry_out(PLACED) is True
    assert scene.outcomes == ["submitted"]


async def test_a_text_that_was_erased_is_not_typed(tmp_path: Path) -> None:
    keeper = reading()
    scene = Scene(tmp_path, keeper, text=None)

    assert await scene.hand.carry_out(TYPE) is True
    assert scene.outcomes == ["uncertain"]
    assert keeper.asked == []


@pytest.mark.parametrize(
    ("text", "is_typed"),
    [
        ("x" * LINE_BYTES_MAX, True),
        ("x" * (LINE_BYTES_MAX + 1), False),
        ("ok\n" + "ü" * (LINE_BYTES_MAX // 2) + "x", False),
        ("a line\n" * (INPUT_BYTES_MAX // 7), True),
    ],
)
async def test_what_would_be_cut_is_not_typed_at_all(tmp_path: Path, text: str, is_typed: bool) -> None:
    keeper = reading()
    scene = Scene(tmp_path, keeper, text=text)

    assert await scene.hand.carry_out(TYPE) is True
    assert bool(keeper.typed) is is_typed
    assert scene.outcomes == (["placed", "submitted"] if is_typed else ["uncertain"])
    assert is_typed or scene.evidence.startswith("not typed: ")


async def test_a_text_of_any_size_is_typed_in_parts_and_sent_once(tmp_path: Path) -> None:
    keeper = reading()
    text = "a line of some length\n" * (2 * INPUT_BYTES_MAX // 20)
    scene = Scene(tmp_path, keeper, text=text)

    assert await scene.hand.carry_out(TYPE) is True
    assert b"".join(keeper.typed.values()) == text.replace("\n", "\r").encode()
    assert list(keeper.typed) == [f"{PROMPT}/lines/0", f"{PROMPT}/lines/1", PROMPT]
    assert scene.outcomes == ["placed", "submitted"]


async def test_nothing_is_typed_of_a_prompt_that_was_taken_back_in_the_last_moment(tmp_path: Path) -> None:
    keeper = reading()
    scene = Scene(tmp_path, keeper)
    scene.reports.changes_nothing.add(f"prompt/{PROMPT}/placed")

    assert await scene.hand.carry_out(TYPE) is True
    assert keeper.typed == {}


async def test_nothing_is_typed_while_the_program_does_not_read(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is False
    assert (keeper.typed, scene.outcomes) == ({}, [])


@pytest.mark.parametrize("is_known_by_keeper", [False, True])
async def test_a_prompt_waits_visibly_for_a_persons_draft(
    tmp_path: Path, *, is_known_by_keeper: bool
) -> None:
    keeper = reading()
    scene = Scene(tmp_path, keeper)
    if is_known_by_keeper:
        keeper.statuses = [replace(WAITING, draft_by=ADA)]
    else:
        scene.composers.typed(RUN, b"half", port.Author(kind="user", id=ADA))

    assert await scene.hand.carry_out(TYPE) is False
    assert keeper.typed == {}
    (held,) = scene.reports.commands
    assert isinstance(held, ReportPromptHeld)
    assert (held.by, held.user_id) == ("draft", ADA)

    keeper.statuses = [WAITING]
    scene.composers.typed(RUN, b"\r", port.Author(kind="user", id=ADA))
    assert await scene.hand.carry_out(TYPE) is True
    assert keeper.typed == {PROMPT: b"go\r"}


@pytest.mark.parametrize(("draft_by", "is_typed"), [(None, True), (ADA, False)])
async def test_which_keys_end_a_line_is_for_its_keeper_to_say(
    tmp_path: Path, draft_by: str | None, *, is_typed: bool
) -> None:
    keeper = reading()
    keeper.statuses = [replace(WAITING, printed_since_typed=0, draft_by=draft_by)]
    scene = Scene(tmp_path, keeper)
    scene.composers.typed(RUN, b"half\n", port.Author(kind="user", id=ADA))

    assert await scene.hand.carry_out(TYPE) is is_typed
    assert bool(keeper.typed) is is_typed


async def test_a_program_that_moved_on_since_the_look_is_looked_at_again(tmp_path: Path) -> None:
    keeper = reading()
    keeper.moves_on = 3
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is True
    assert keeper.asked == ["input"] * 4
    assert keeper.typed == {PROMPT: b"go\r"}


async def test_a_program_that_never_stands_still_is_left_alone_for_a_while(tmp_path: Path) -> None:
    keeper = reading()
    keeper.moves_on = 1_000
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is False
    assert keeper.typed == {}


async def test_while_a_person_types_a_prompt_does_not(tmp_path: Path) -> None:
    keeper = reading()
    keeper.looks_wanted = 1
    scene = Scene(tmp_path, keeper)
    async with scene.composers.turn(RUN):
        typing = asyncio.create_task(scene.hand.carry_out(TYPE))
        await keeper.was_looked_at.wait()
        scene.composers.typed(RUN, b"h", port.Author(kind="user", id=ADA))
        assert keeper.typed == {}
    assert await typing is False
    assert keeper.typed == {}
