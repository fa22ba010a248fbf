"""What a program said becomes facts: one to one, in order, each once."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportSaid, Sighting
from moduprompt.domain.run.events import (
    OfferedOption,
    RunConversationNamed,
    RunLineSkipped,
    RunPermissionAsked,
    RunPermissionWithdrawn,
    RunStatusObserved,
    RunToolCalled,
    RunToolEnded,
    RunTroubleObserved,
    RunTurnBegan,
    RunTurnEnded,
    RunUsageReported,
)
from moduprompt.domain.run.said import (
    ConversationNamed,
    LineSkipped,
    PermissionAsked,
    PermissionOption,
    PermissionWithdrawn,
    PromptTaken,
    Said,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.domain.run.state import RunState, Trouble
from moduprompt.domain.run.usage import SUM_MAX, Usage
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import ReportPrompt
from moduprompt.domain.session.events import PromptSubmitted, TurnObserved
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import PromptId, RunId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import a_prompt, a_session, a_working_session, exited, its_run, observed, started

DIGEST = "0" * 64


def say(scene: Scene, run: RunId, *said: Said, upto: int, seen: Sighting | None = None) -> Outcome:
    command = ReportSaid(workspace_id=WORKSPACE, run_id=run, upto=upto, said=said, seen=seen)
    return scene.when(command, actor=KERNEL)


def a_run(scene: Scene) -> RunId:
    return its_run(scene, a_working_session(scene))


def typed(scene: Scene, session: SessionId, prompt: PromptId, *, output_bytes: int | None = 0) -> None:
    """A prompt goes in, with so much printed before its last key."""
    for outcome in ("placed", "submitted"):
        report = ReportPrompt(
            workspace_id=WORKSPACE,
            session_id=session,
            prompt_id=prompt,
            outcome=outcome,  # type: ignore[arg-type]  # one of the two
            run_id=its_run(scene, session),
            output_bytes=output_bytes,
        )
        scene.when(report, actor=KERNEL)


def test_each_thing_said_is_one_fact_in_its_order() -> None:
    scene = Scene()
    run = a_run(scene)
    option = PermissionOption(id="y", kind="allow_once", label="Yes")
    outcome = say(
        scene,
        run,
        ConversationNamed(conversation_id="c"),
        TurnBegan(),
        ToolCalled(call_id="t", tool="write", arguments_digest=DIGEST, paths=("a.txt",)),
        PermissionAsked(request_id="r", tool="write", arguments_digest=DIGEST, options=(option,)),
        PermissionWithdrawn(request_id="r"),
        ToolEnded(call_id="t", how="refused"),
        LineSkipped(bytes=9),
        TroubleSeen(failure=FailureClass.NETWORK, message="a stream was cut", retry_after_s=2),
        UsageReported(input_tokens=5, cached_tokens=2, output_tokens=1, cost_micros=40),
        TurnEnded(how="done"),
        upto=700,
    )
    offered = OfferedOption(id="y", kind="allow_once", label="Yes")
    assert [event for event in outcome.events if event.kind == "run"] == [
        RunConversationNamed(run_id=run, upto=700, conversation_id="c"),
        RunTurnBegan(run_id=run, upto=700, turn=1),
        RunToolCalled(
            run_id=run, upto=700, call_id="t", tool="write", arguments_digest=DIGEST, paths=("a.txt",)
        ),
        RunPermissionAsked(
            run_id=run, upto=700, request_id="r", tool="write", arguments_digest=DIGEST, options=(offered,)
        ),
        RunPermissionWithdrawn(run_id=run, upto=700, request_id="r"),
        RunToolEnded(run_id=run, upto=700, call_id="t", how="refused"),
        RunLineSkipped(run_id=run, upto=700, bytes=9),
        RunTroubleObserved(run_id=run, upto=700, failure=FailureClass.NETWORK, retry_after_s=2),
        RunUsageReported(
            run_id=run, upto=700, turn=1, input_tokens=5, cached_tokens=2, output_tokens=1, cost_micros=40
        ),
        RunTurnEnded(run_id=run, upto=700, turn=1, how="done"),
    ]


@pytest.mark.parametrize("upto", [1, 99, 100])
def test_what_was_taken_before_is_a_wish_fulfilled(upto: int) -> None:
    scene = Scene()
    run = a_run(scene)
    say(scene, run, TurnBegan(), upto=100)
    say(scene, run, TurnBegan(), upto=upto).then_nothing()
    say(scene, run, TurnBegan(), upto=101).then(RunTurnBegan(run_id=run, upto=101, turn=2))


def test_of_a_report_that_overlaps_only_what_is_new_is_taken() -> None:
    scene = Scene()
    run = a_run(scene)
    first = ReportSaid(
        workspace_id=WORKSPACE,
        run_id=run,
        upto=20,
        said=(LineSkipped(bytes=1), LineSkipped(bytes=2)),
        places=(10, 20),
    )
    scene.when(first, actor=KERNEL).then(
        RunLineSkipped(run_id=run, upto=10, bytes=1), RunLineSkipped(run_id=run, upto=20, bytes=2)
    )
    again = ReportSaid(
        workspace_id=WORKSPACE,
        run_id=run,
        upto=30,
        said=(LineSkipped(bytes=2), LineSkipped(bytes=3)),
        places=(20, 30),
    )
    scene.when(again, actor=KERNEL).then(RunLineSkipped(run_id=run, upto=30, bytes=3))


def test_a_look_from_outside_does_not_count_against_the_programs_own_word() -> None:
    scene = Scene()
    run = a_run(scene)
    observed(scene, run, "waiting_input")
    seen = Sighting(status="working", rule="said_turn", rule_version=1, evidence="it began a turn")
    say(scene, run, TurnBegan(), upto=1, seen=seen)
    observed(scene, run, "waiting_input")
    assert scene.state(RunState, run).observed == "working"


def test_nothing_is_said_behind_the_end() -> None:
    scene = Scene()
    run = a_run(scene)
    exited(scene, run)
    say(scene, run, TurnBegan(), upto=1).then_nothing()


def test_a_program_may_speak_before_its_start_is_known() -> None:
    scene = Scene()
    run = its_run(scene, a_session(scene))
    say(scene, run, TurnBegan(), upto=5).then_wires("run.turn_began")
    started(scene, run)
    assert scene.state(RunState, run).is_in_turn


def test_a_conversation_that_is_named_again_is_no_news() -> None:
    scene = Scene()
    run = a_run(scene)
    named = ConversationNamed(conversation_id="c")
    say(scene, run, named, named, upto=1).then_wires("run.conversation_named")
    say(scene, run, named, upto=2).then_nothing()
    say(scene, run, ConversationNamed(conversation_id="d"), upto=3).then_wires("run.conversation_named")
    assert scene.state(RunState, run).conversation_id == "d"


def test_usage_is_summed_and_a_price_that_nobody_knows_is_kept_apart() -> None:
    scene = Scene()
    run = a_run(scene)
    say(scene, run, UsageReported(input_tokens=5, cached_tokens=4, cost_micros=40), upto=1)
    say(scene, run, UsageReported(input_tokens=1, output_tokens=2), upto=2)
    expected = Usage(input_tokens=6, cached_tokens=4, output_tokens=2, cost_micros=40, reports=2, unpriced=1)
    assert scene.state(RunState, run).usage == expected
    assert scene.row(RunItem, run).usage == expected


def test_a_program_that_counts_without_end_makes_no_number_that_can_not_be_written() -> None:
    scene = Scene()
    run = a_run(scene)
    most = UsageReported(input_tokens=SUM_MAX, output_tokens=SUM_MAX, cost_micros=SUM_MAX)
    say(scene, run, most, most, upto=1)
    usage = scene.state(RunState, run).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cost_micros) == (SUM_MAX, SUM_MAX, SUM_MAX)


def test_trouble_stays_until_a_turn_is_done_or_another_begins() -> None:
    scene = Scene()
    run = a_run(scene)
    trouble = TroubleSeen(failure=FailureClass.RATE_LIMITED, message="slow down", is_final=True)
    say(scene, run, TurnBegan(), trouble, upto=1)
    assert scene.state(RunState, run).trouble == Trouble(failure=FailureClass.RATE_LIMITED, is_final=True)
    say(scene, run, TurnEnded(how="failed", failure=FailureClass.RATE_LIMITED), upto=2)
    assert scene.state(RunState, run).trouble is not None
    assert scene.row(RunItem, run).trouble == "rate_limited"
    say(scene, run, TurnBegan(), upto=3)
    assert scene.state(RunState, run).trouble is None
    say(scene, run, trouble, TurnEnded(how="done"), upto=4)
    assert (scene.state(RunState, run).trouble, scene.row(RunItem, run).trouble) == (None, None)


def test_a_run_that_ends_is_in_no_turn() -> None:
    scene = Scene()
    run = a_run(scene)
    say(scene, run, TurnBegan(), upto=1)
    assert scene.state(RunState, run).is_in_turn
    assert scene.row(RunItem, run).is_in_turn
    exited(scene, run)
    assert not scene.state(RunState, run).is_in_turn
    assert not scene.row(RunItem, run).is_in_turn


def test_what_is_seen_with_it_is_one_observation_in_the_same_decision() -> None:
    scene = Scene()
    run = a_run(scene)
    seen = Sighting(status="working", rule="said_turn", rule_version=1, evidence="it began a turn")
    say(scene, run, TurnBegan(), upto=1, seen=seen).then(
        RunTurnBegan(run_id=run, upto=1, turn=1),
        RunStatusObserved(
            run_id=run, status="working", rule="said_turn", rule_version=1, evidence="it began a turn"
        ),
    )
    say(scene, run, LineSkipped(bytes=1), upto=2, seen=seen).then_wires("run.line_skipped")


def test_a_turn_that_begins_behind_the_last_key_shows_that_the_prompt_has_arrived() -> None:
    scene = Scene()
    session = a_working_session(scene)
    run = its_run(scene, session)
    observed(scene, run, "waiting_input")
    prompt = a_prompt(scene, session)
    typed(scene, session, prompt, output_bytes=50)
    say(scene, run, TurnBegan(), upto=50).then_wires("run.turn_began")
    seen = Sighting(status="working", rule="said_turn", rule_version=1, evidence="it began a turn")
    outcome = say(scene, run, TurnBegan(), TurnBegan(), upto=60, seen=seen)
    assert outcome.one(TurnObserved).prompt_id == prompt
    assert scene.state(SessionState, session).submitted is None


def test_a_prompt_that_is_called_by_its_name_has_arrived_whoever_reports_first() -> None:
    scene = Scene()
    session = a_working_session(scene)
    run = its_run(scene, session)
    observed(scene, run, "waiting_input")
    prompt = a_prompt(scene, session)
    placed = ReportPrompt(
        workspace_id=WORKSPACE, session_id=session, prompt_id=prompt, outcome="placed", run_id=run
    )
    scene.when(placed, actor=KERNEL)
    taken = PromptTaken(prompt_id=prompt)
    outcome = say(scene, run, taken, taken, upto=1)
    assert outcome.one(PromptSubmitted).run_id == run
    assert outcome.one(TurnObserved).rule == "said_prompt"
    typed(scene, session, prompt)  # the slower report changes nothing
    state = scene.state(SessionState, session)
    assert (state.prompts, state.submitted) == ((), None)


def test_a_name_that_no_prompt_on_its_way_has_is_no_fact() -> None:
    scene = Scene()
    session = a_working_session(scene)
    run = its_run(scene, session)
    waiting = a_prompt(scene, session)
    say(scene, run, PromptTaken(prompt_id=waiting), upto=1).then_nothing()
    say(scene, run, PromptTaken(prompt_id=PromptId(run)), upto=2).then_nothing()


def test_the_row_shows_the_conversation_the_turns_and_the_calls() -> None:
    scene = Scene()
    run = a_run(scene)
    call = ToolCalled(call_id="t", tool="write", arguments_digest=DIGEST)
    say(scene, run, ConversationNamed(conversation_id="c"), TurnBegan(), call, TurnBegan(), upto=1)
    row = scene.row(RunItem, run)
    assert (row.conversation, row.turns, row.tools, row.is_in_turn) == ("c", 2, 1, True)
