"""What a prompt that went in and the turn that it brought say of each other, in whatever order they become known."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ObservedStatus, ReportSaid, Sighting
from moduprompt.domain.run.events import RunStopRequested
from moduprompt.domain.run.intents import TypePrompt
from moduprompt.domain.run.said import PromptTaken, Said, TurnBegan, TurnEnded
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import ReportPrompt
from moduprompt.domain.session.events import TurnObserved
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import PromptId, RunId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import a_prompt, a_working_session, its_run

Told: TypeAlias = tuple[str, ...]
"""What a program tells of one prompt, in its own order: each word is said once."""

TELLERS: Final[tuple[Told, ...]] = (
    ("began", "ended"),
    ("taken", "began", "ended"),
    ("began", "taken", "ended"),
    ("ended",),  # of a command that it carries out by itself
    ("taken", "ended"),
)
BEFORE: Final = 100  # bytes: what was printed when the last key went in


class Answering:
    """A program that waits, told its own turns before, with a prompt at the keyboard and another one behind."""

    def __init__(self, waits: ObservedStatus) -> None:
        self.scene = Scene(views=())
        self.session_id: SessionId = a_working_session(self.scene)
        self.run_id: RunId = its_run(self.scene, self.session_id)
        self.says(TurnBegan(), TurnEnded(how="done"), upto=BEFORE - 1, seen=waits)
        self.prompt_id: PromptId = a_prompt(self.scene, self.session_id)
        self.next_id: PromptId = a_prompt(self.scene, self.session_id, "and then")
        self.reports("placed")
        self.place = BEFORE

    def says(self, *said: Said, upto: int, seen: ObservedStatus) -> Outcome:
        sighting = Sighting(status=seen, rule="said_turn", rule_version=1, evidence="")
        report = ReportSaid(workspace_id=WORKSPACE, run_id=self.run_id, upto=upto, said=said, seen=sighting)
        return self.scene.when(report, actor=KERNEL)

    def tells(self, words: Told, *, waits: ObservedStatus = "waiting_input") -> Outcome:
        """One report of these; what it is seen doing afterwards follows from the last."""
        self.place += 1
        said = tuple(self.word(each) for each in words)
        return self.says(*said, upto=self.place, seen=waits if words[-1] == "ended" else "working")

    def word(self, word: str) -> Said:
        match word:
            case "began":
                return TurnBegan()
            case "taken":
                return PromptTaken(prompt_id=self.prompt_id)
            case "limited":
                return TurnEnded(how="failed", failure=FailureClass.RATE_LIMITED)
            case _:
                return TurnEnded(how="done")

    def reports(self, outcome: str) -> Outcome:
        report = ReportPrompt(
            workspace_id=WORKSPACE,
            session_id=self.session_id,
            prompt_id=self.prompt_id,
            outcome=outcome,  # type: ignore[arg-type]  # one of its words
            run_id=self.run_id,
            output_bytes=BEFORE if outcome == "submitted" else None,
        )
        return self.scene.when(report, actor=KERNEL)

    def types_next(self) -> bool:
        """Whether the prompt behind is to be typed now."""
        wanted = (each for each in self.scene.intents() if isinstance(each, TypePrompt))
        return any(each.prompt_id == self.next_id for each in wanted)

    def run(self) -> RunState:
        return self.scene.state(RunState, self.run_id)

    def session(self) -> SessionState:
        return self.scene.state(SessionState, self.session_id)


@st.composite
def tellings(draw: st.DrawFn) -> list[Told]:
    """One teller's words, cut into reports anywhere, and where among them `submitted` is decided."""
    told = draw(st.sampled_from(TELLERS))
    cuts = sorted({0, len(told), *draw(st.sets(st.integers(0, len(told))))})
    steps: list[Told] = [told[start:end] for start, end in pairwise(cuts)]
    steps.insert(draw(st.integers(0, len(steps))), ("submitted",))
    return steps


@given(steps=tellings(), waits=st.sampled_from(["waiting_input", "idle"]))
def test_in_every_order_the_next_prompt_is_typed_when_the_turn_is_over_and_not_before(
    steps: list[Told], waits: ObservedStatus
) -> None:
    story = Answering(waits)
    told: list[str] = []
    for step in steps:
        # Who calls a prompt by its name needs nobody to say that it went in.
        assert not story.types_next() or "ended" in told, told
        if step == ("submitted",):
            story.reports("submitted")
        else:
            story.tells(step, waits=waits)
        told.extend(step)
    assert (story.run().observed, story.run().is_in_turn) == (waits, False)
    assert story.session().submitted is None
    assert story.types_next()


@given(steps=tellings())
def test_in_every_order_it_is_known_once_that_the_prompt_has_arrived(steps: list[Told]) -> None:
    story = Answering("waiting_input")
    found: list[TurnObserved] = []
    for step in steps:
        outcome = story.reports("submitted") if step == ("submitted",) else story.tells(step)
        found += [each for each in outcome.events if isinstance(each, TurnObserved)]
    assert [each.prompt_id for each in found] == [story.prompt_id]


def test_a_turn_of_before_the_last_key_is_not_the_prompts() -> None:
    story = Answering("waiting_input")
    story.reports("submitted")
    assert story.run().observed == "working"
    assert not story.types_next()


@pytest.mark.parametrize("words", [("began", "limited"), ("taken", "began", "limited")])
def test_a_turn_that_a_limit_ended_at_once_stops_its_program_too(words: Told) -> None:
    story = Answering("waiting_input")
    said = tuple(story.word(each) for each in words)
    outcome = story.says(*said, upto=BEFORE + 1, seen="waiting_input")
    assert outcome.one(RunStopRequested).failure is FailureClass.RATE_LIMITED
