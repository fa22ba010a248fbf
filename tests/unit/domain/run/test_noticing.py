"""A program that gets nowhere is noticed by what repeats, and stopped."""

from __future__ import annotations

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportExited, ReportSaid
from moduprompt.domain.run.events import RunExited, RunNoProgressObserved, RunStopRequested, RunToolEnded
from moduprompt.domain.run.progress import (
    CIRCLE_CALLS_MAX,
    CIRCLE_TREES_MAX,
    OPEN_CALLS_MAX,
    SAME_CALL_MAX,
    SAME_TREE_MAX,
    SAME_TROUBLE_MAX,
)
from moduprompt.domain.run.said import (
    Said,
    ToolCalled,
    ToolEnd,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnd,
    TurnEnded,
)
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import Patience, SetPatience
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import RunId, SessionId
from tests.support.domain import KERNEL, WORKSPACE, Outcome, Scene
from tests.support.stories import a_project, a_running_task, a_session, its_run, started


class Story:
    """A program at work on a task."""

    def __init__(self) -> None:
        self.scene = Scene()
        project_id = a_project(self.scene)
        self.session_id: SessionId = a_session(self.scene, project_id)
        self.run_id: RunId = its_run(self.scene, self.session_id)
        started(self.scene, self.run_id)
        self.task_id = a_running_task(self.scene, project_id, session_id=self.session_id)
        self.calls = 0

    def says(self, *said: Said) -> Outcome:
        upto = self.scene.state(RunState, self.run_id).said_upto + 1
        report = ReportSaid(workspace_id=WORKSPACE, run_id=self.run_id, upto=upto, said=said)
        return self.scene.when(report, actor=KERNEL)

    def edits(
        self, arguments: str, *, tree: str | None, how: ToolEnd = "done", path: str | None = "a.txt"
    ) -> Outcome:
        """A call that names a file (or none), and how the worktree stood after it."""
        self.calls += 1
        call_id = f"call-{self.calls}"
        upto = self.scene.state(RunState, self.run_id).said_upto + 1
        called = ToolCalled(
            call_id=call_id,
            tool="Edit",
            arguments_digest=(arguments * 64)[:64],
            paths=(path,) if path else (),
        )
        report = ReportSaid(
            workspace_id=WORKSPACE,
            run_id=self.run_id,
            upto=upto,
            said=(called, ToolEnded(call_id=call_id, how=how)),
            tree=tree and (tree * 64)[:64],
        )
        return self.scene.when(report, actor=KERNEL)

    def calls_tool(self, how: ToolEnd = "failed", *, tool: str = "Bash", arguments: str = "a") -> Outcome:
        self.calls += 1
        call_id = f"call-{self.calls}"
        digest = (arguments * 64)[:64]
        return self.says(
            ToolCalled(call_id=call_id, tool=tool, arguments_digest=digest),
            ToolEnded(call_id=call_id, how=how),
        )

    def patience(self, patience: Patience) -> Outcome:
        return self.scene.when(
            SetPatience(workspace_id=WORKSPACE, session_id=self.session_id, patience=patience)
        )

    def is_stopped(self) -> bool:
        return self.scene.state(RunState, self.run_id).stop_requested


def trouble(failure: FailureClass = FailureClass.NETWORK) -> TroubleSeen:
    return TroubleSeen(failure=failure, message="it tries again")


def test_the_same_call_that_fails_again_and_again_is_noticed_at_the_bound_and_stopped() -> None:
    story = Story()
    for _ in range(SAME_CALL_MAX - 1):
        story.calls_tool()
    assert not story.is_stopped()
    outcome = story.calls_tool()
    assert outcome.one(RunNoProgressObserved) == RunNoProgressObserved(
        run_id=story.run_id,
        rule="same_call",
        what="Bash",
        times=SAME_CALL_MAX,
        arguments_digest="a" * 64,
    )
    assert outcome.one(RunStopRequested).failure is FailureClass.NO_PROGRESS


def test_refused_calls_count_as_failed_ones_do() -> None:
    story = Story()
    for _ in range(SAME_CALL_MAX):
        story.calls_tool("refused")
    assert story.is_stopped()


def test_a_call_that_works_in_between_is_progress() -> None:
    story = Story()
    for _ in range(4):
        for _ in range(SAME_CALL_MAX - 1):
            story.calls_tool()
        story.calls_tool("done", tool="Edit", arguments="b")
    assert not story.is_stopped()


def test_other_arguments_and_other_tools_are_another_try() -> None:
    story = Story()
    for number in range(4 * SAME_CALL_MAX):
        story.calls_tool(arguments="abcd"[number % 4])
        story.calls_tool(tool=f"tool-{number % 3}")
    assert not story.is_stopped()


def test_a_call_that_works_again_and_again_is_left_alone() -> None:
    story = Story()
    for _ in range(3 * SAME_CALL_MAX):
        story.calls_tool("done")
    assert not story.is_stopped()


def test_the_end_of_a_call_that_nobody_saw_begin_says_nothing() -> None:
    story = Story()
    for _ in range(3 * SAME_CALL_MAX):
        story.says(ToolEnded(call_id="unseen", how="failed"))
    assert not story.is_stopped()


def test_the_same_trouble_again_and_again_is_noticed_and_stopped() -> None:
    story = Story()
    outcome = story.says(TurnBegan(), *[trouble()] * SAME_TROUBLE_MAX)
    seen = outcome.one(RunNoProgressObserved)
    assert (seen.rule, seen.what, seen.times) == ("same_trouble", "network", SAME_TROUBLE_MAX)
    assert outcome.one(RunStopRequested).failure is FailureClass.NO_PROGRESS


def test_a_limit_that_never_ends_is_parked_rather_than_failed() -> None:
    story = Story()
    outcome = story.says(TurnBegan(), *[trouble(FailureClass.RATE_LIMITED)] * SAME_TROUBLE_MAX)
    assert outcome.one(RunStopRequested).failure is FailureClass.RATE_LIMITED


def test_trouble_that_the_program_gets_over_is_forgotten() -> None:
    story = Story()
    for _ in range(4):
        story.says(*[trouble()] * (SAME_TROUBLE_MAX - 1))
        story.calls_tool("done")
    assert not story.is_stopped()


def test_an_attempt_that_got_nowhere_has_failed_so_and_is_not_made_again() -> None:
    story = Story()
    for _ in range(SAME_CALL_MAX):
        story.calls_tool()
    ended = story.scene.when(
        ReportExited(workspace_id=WORKSPACE, run_id=story.run_id, how="stopped"), actor=KERNEL
    )
    assert ended.one(RunExited).failure is FailureClass.NO_PROGRESS
    assert story.scene.state(TaskState, story.task_id).phase == "failed"


def test_a_session_with_endless_patience_goes_round_as_long_as_it_likes() -> None:
    story = Story()
    story.patience("endless").then_wires("session.patience_set")
    story.patience("endless").then_nothing()
    for _ in range(2 * SAME_CALL_MAX):
        story.calls_tool()
    assert not story.is_stopped()


def test_a_program_that_never_ends_its_calls_is_not_remembered_for_ever() -> None:
    story = Story()
    for number in range(3 * OPEN_CALLS_MAX):
        story.says(ToolCalled(call_id=f"open-{number}", tool="Bash", arguments_digest="0" * 64))
    assert len(story.scene.state(RunState, story.run_id).progress.open_calls) == OPEN_CALLS_MAX


@pytest.mark.parametrize("how", ["done", "interrupted"])
def test_a_turn_that_was_over_in_between_makes_the_same_call_a_first_try(how: TurnEnd) -> None:
    story = Story()
    for _ in range(2 * SAME_CALL_MAX):
        story.says(TurnBegan())
        story.calls_tool()
        story.says(TurnEnded(how=how))
    assert not story.is_stopped()


def test_a_turn_that_fails_asks_nobody_and_what_failed_in_it_counts() -> None:
    story = Story()
    for _ in range(SAME_CALL_MAX):
        story.says(TurnBegan())
        story.calls_tool()
        story.says(TurnEnded(how="failed", failure=FailureClass.NETWORK))
    assert story.is_stopped()


def rounds(story: Story, number: int) -> list[Outcome]:
    """So many changes, each made or taken back in turn; the first of each kind is new, and so are the trees."""
    return [story.edits("ab"[each % 2], tree="cd"[each % 2]) for each in range(number)]


def test_a_change_that_is_made_and_taken_back_again_and_again_is_noticed_and_stopped() -> None:
    story = Story()
    rounds(story, 2 + SAME_TREE_MAX - 1)
    assert not story.is_stopped()
    outcome = story.edits("b", tree="d")
    seen = outcome.one(RunNoProgressObserved)
    assert (seen.rule, seen.what, seen.times) == ("same_tree", "Edit", SAME_TREE_MAX)
    assert (seen.arguments_digest, seen.tree) == ("b" * 64, "d" * 64)
    stopped = outcome.one(RunStopRequested)
    assert stopped.failure is FailureClass.NO_PROGRESS
    assert stopped.reason is not None
    assert "had stood before" in stopped.reason


def test_the_same_that_is_written_again_and_again_is_noticed() -> None:
    story = Story()
    for _ in range(SAME_TREE_MAX + 1):
        story.edits("a", tree="c")
    assert story.is_stopped()


def test_rounds_go_on_over_the_ends_of_turns() -> None:
    story = Story()
    for _ in range(SAME_TREE_MAX + 1):
        story.says(TurnBegan())
        story.edits("a", tree="c")
        story.says(TurnEnded(how="done"))
    assert story.is_stopped()


def test_a_tree_that_never_stood_so_ends_the_rounds() -> None:
    story = Story()
    for number in range(4):
        rounds(story, SAME_TREE_MAX - 1)
        story.edits("a", tree=f"{number}")
    assert not story.is_stopped()


def test_a_call_that_was_never_made_ends_the_rounds() -> None:
    story = Story()
    for number in range(4):
        rounds(story, SAME_TREE_MAX - 1)
        story.edits(f"{number}", tree="c")
    assert not story.is_stopped()


def test_whoever_only_looks_whether_something_is_through_goes_no_rounds() -> None:
    story = Story()
    for _ in range(4 * SAME_TREE_MAX):
        story.edits("a", tree="c", path=None)
    assert not story.is_stopped()


def test_where_nobody_looked_at_the_tree_nothing_is_noticed() -> None:
    story = Story()
    for _ in range(4 * SAME_TREE_MAX):
        story.edits("a", tree=None)
    assert not story.is_stopped()


def test_calls_between_two_looks_count_when_the_next_look_finds_nothing_new() -> None:
    story = Story()
    for tree in (*[None] * 5, "c", *[None] * (SAME_TREE_MAX - 1)):
        story.edits("a", tree=tree)
    assert not story.is_stopped(), "before the first look nobody knew the tree"
    outcome = story.edits("a", tree="c")
    assert outcome.one(RunNoProgressObserved).times == SAME_TREE_MAX


def test_looks_and_failed_calls_in_between_do_not_end_the_rounds() -> None:
    story = Story()
    for _ in range(SAME_TREE_MAX + 1):
        story.edits("a", tree="c")
        story.edits("e", tree="c", path=None)
        story.edits("f", tree=None, how="failed")
    assert story.is_stopped()


def test_rounds_of_a_session_with_endless_patience_are_left_alone() -> None:
    story = Story()
    story.patience("endless")
    rounds(story, 3 * SAME_TREE_MAX)
    assert not story.is_stopped()


def test_what_is_remembered_of_rounds_is_bounded() -> None:
    story = Story()
    for number in range(0x100):
        story.edits(f"{number:02x}", tree=f"{number:02x}")
    kept = story.scene.state(RunState, story.run_id).progress.round
    assert (len(kept.calls), len(kept.trees)) == (CIRCLE_CALLS_MAX, CIRCLE_TREES_MAX)


def test_a_tree_is_told_of_the_last_call_in_a_report() -> None:
    story = Story()
    outcome = story.edits("a", tree="c")
    assert outcome.one(RunToolEnded).tree == "c" * 64
