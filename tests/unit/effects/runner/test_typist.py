"""Prompts are typed once, and it is always known how far one came."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.domain.run.intents import TypePrompt
from moduprompt.domain.session.commands import ReportPrompt
from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.typist import LINE_BYTES_MAX, Typist, to_keys
from moduprompt.keeper.wire import INPUT_BYTES_MAX
from moduprompt.protocol import ArtifactRef, PromptId, Refused, SessionId, TextRef
from tests.support.fake_runner import (
    EXITED,
    RUN,
    STARTED,
    UNREACHABLE,
    WORKSPACE,
    Backend,
    Keeper,
    KilledHere,
    Reports,
    Texts,
    gone,
)

PROMPT = PromptId("00000000-0000-7000-8000-0000000000d1")
REF = ArtifactRef(f"blake3:{'1' * 64}")
TYPE = TypePrompt(
    name="type",
    workspace_id=WORKSPACE,
    run_id=RUN,
    session_id=SessionId(RUN),
    prompt_id=PROMPT,
    text=TextRef(ref=REF, chars=2),
    is_placed=False,
)
PLACED = replace(TYPE, is_placed=True)


class Scene:
    """A typist before one run, with one text."""

    def __init__(
        self, folder: Path, found: Keeper | port.Gone | port.Unreachable, *, text: str | None = "go"
    ) -> None:
        self.reports = Reports()
        self.typed: list[str] = []
        texts = Texts(**({} if text is None else {REF: text}))
        self.hand = Typist(
            Backend(folder, found),
            self.reports,
            artifacts=texts,
            typed=self.typed.append,
            composers=Composers(),
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
    keeper = Keeper(STARTED)
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is True
    assert keeper.typed == {PROMPT: b"go\r"}
    assert list(scene.reports.by_key) == [f"prompt/{PROMPT}/placed", f"prompt/{PROMPT}/submitted"]
    assert scene.typed == [RUN]


async def test_nothing_is_typed_before_it_is_durable_that_it_may_be(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    scene = Scene(tmp_path, keeper)
    scene.reports.refusing = 1

    with pytest.raises(Refused):
        await scene.hand.carry_out(TYPE)
    assert keeper.typed == {}


async def test_a_daemon_that_dies_after_typing_learns_that_it_was_typed(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    first = Scene(tmp_path, keeper)

    first.reports.dies_at = "submitted"
    with pytest.raises(KilledHere):
        await first.hand.carry_out(TYPE)

    second = Scene(tmp_path, keeper)
    assert await second.hand.carry_out(PLACED) is True
    assert keeper.typed == {PROMPT: b"go\r"}
    assert second.outcomes == ["placed", "submitted"]


async def test_a_link_that_breaks_while_typing_is_asked_again_under_the_same_id(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    keeper.breaks_on = "input"
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is False
    keeper.breaks_on = None
    assert await scene.hand.carry_out(PLACED) is True
    assert keeper.asked == ["input", "input"]
    assert scene.outcomes == ["placed", "submitted"]


@pytest.mark.parametrize("code", ["input_full", "unacknowledged", "disk_refused"])
async def test_a_keeper_that_takes_nothing_now_is_asked_again(tmp_path: Path, code: str) -> None:
    keeper = Keeper(STARTED)
    keeper.input_answer = port.RequestRefused(code=code, message="not now")
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is False
    assert scene.outcomes == ["placed"]


async def test_a_program_that_has_ended_makes_it_uncertain(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    keeper.input_answer = port.RequestRefused(code="not_running", message="it has ended")
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(TYPE) is True
    assert scene.outcomes == ["placed", "uncertain"]


async def test_a_program_that_ends_while_it_is_typed_makes_it_uncertain(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
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


async def test_a_text_that_was_erased_is_not_typed(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
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
        ("a line\n" * (INPUT_BYTES_MAX // 7 + 1), False),
    ],
)
async def test_what_would_be_cut_is_not_typed_at_all(tmp_path: Path, text: str, is_typed: bool) -> None:
    keeper = Keeper(STARTED)
    scene = Scene(tmp_path, keeper, text=text)

    assert await scene.hand.carry_out(TYPE) is True
    assert bool(keeper.typed) is is_typed
    assert scene.outcomes == (["placed", "submitted"] if is_typed else ["uncertain"])
    assert is_typed or scene.evidence.startswith("not typed: ")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("go", b"go\r"),
        ("two\nlines", b"two\rlines\r"),
        ("windows\r\nlines\r\n", b"windows\rlines\r"),
        ("\n\nround about\n\n", b"round about\r"),
        ("between\n\nlines", b"between\r\rlines\r"),
        ("tab\tstays", b"tab\tstays\r"),
        ("\x03\x04\x1a\x1b[2Jclear\x7f\x00", b"[2Jclear\r"),
        ("C1 \x9b31m \x85", b"C1 31m \r"),
        ("größe 日本 🙂", "größe 日本 🙂\r".encode()),
        ("", b"\r"),
    ],
)
def test_only_text_lines_and_tabs_are_typed(text: str, keys: bytes) -> None:
    assert to_keys(text.encode()) == keys
