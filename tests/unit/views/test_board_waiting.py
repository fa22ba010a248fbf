"""What a board says waits, on whom, and by which command it ends: told by the real deciders."""

import pytest
from msgspec.structs import replace

from moduprompt.domain.approval.commands import DenyApproval, GrantApproval
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.item import Stamp
from moduprompt.domain.run.commands import ObservedStatus, ReportExited, ReportLost, ReportSaid, RunOutcome
from moduprompt.domain.run.said import UsageReported
from moduprompt.domain.session.commands import (
    AgentSpec,
    AttachWorktree,
    CloseSession,
    DetachWorktree,
    ReportPrompt,
    SetBudget,
    SpawnSession,
)
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.commands import AssignTask, PauseTask, ResumeTask, StartTask
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.commands import CommitWorktree, ReportFailed, ReportMerged
from moduprompt.protocol import SessionId, TaskId, to_timestamp
from moduprompt.views.board import Board, board_snapshot, fold
from moduprompt.views.board_rows import SessionFacts, Wait, short
from moduprompt.views.memory import MemoryRows
from tests.support.domain import KERNEL, NOW, OWNER, WORKSPACE, Scene
from tests.support.stories import (
    a_project,
    a_prompt,
    a_running_task,
    a_session,
    a_task,
    a_waiting_session,
    a_working_session,
    advanced,
    exited,
    its_run,
    its_tree,
    made,
    observed,
    stage,
    started,
    waiting_approvals,
)


def board_of(scene: Scene) -> Board:
    """The board after the scene; each event comes a second after the one before."""
    rows = MemoryRows()
    versions: dict[str, int] = {}
    for seq, event in enumerate(scene.history, 1):
        id_ = event.subject().id
        versions[id_] = versions.get(id_, 0) + 1
        at = to_timestamp(NOW + seq * 1_000_000)  # type: ignore[arg-type]
        stamp = Stamp(workspace_id=WORKSPACE, seq=seq, version=versions[id_], timestamp=at, actor=OWNER)
        fold(rows, event, stamp)
    return board_snapshot(rows, seq=len(scene.history))


def waits_of(scene: Scene) -> list[Wait]:
    return [each.wait for each in board_of(scene).waiting]


def only_wait(scene: Scene) -> Wait:
    waits = waits_of(scene)
    assert len(waits) == 1, waits
    return waits[0]


def status_of(scene: Scene, id_: str) -> str:
    return next(node.status for node in board_of(scene).nodes if node.id == id_)


def test_a_worktree_being_made_waits_for_git() -> None:
    scene = Scene()
    a_waiting_session(scene, a_project(scene))

    assert (only_wait(scene).on, only_wait(scene).command) == ("git", None)


def test_a_worktree_that_could_not_be_made_waits_for_a_person() -> None:
    scene = Scene()
    session_id = a_waiting_session(scene, a_project(scene))
    scene.when(
        ReportFailed(
            workspace_id=WORKSPACE,
            worktree_id=its_tree(scene, session_id),
            operation="create",
            failure=FailureClass.WORKTREE_CONFLICT,
            reason="the branch exists",
        ),
        actor=KERNEL,
    )

    wait = only_wait(scene)
    assert (wait.on, wait.command) == ("person", f"mpctl session close {short(session_id)}")
    assert wait.note is not None
    assert "the branch exists" in wait.note


def test_a_requested_run_waits_for_its_keeper() -> None:
    scene = Scene()
    a_session(scene)

    assert only_wait(scene).on == "keeper"


@pytest.mark.parametrize(
    ("status", "on"),
    [("waiting_input", "person"), ("blocked_on_permission", "person"), ("rate_limited", "provider")],
)
def test_a_program_that_is_held_says_by_whom(status: ObservedStatus, on: str) -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    observed(scene, its_run(scene, session_id), status)

    assert only_wait(scene).on == on
    assert status_of(scene, session_id) == status


def test_a_question_names_the_command_that_answers_it() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    observed(scene, its_run(scene, session_id), "waiting_input")

    assert only_wait(scene).command == f"mpctl session prompt {short(session_id)} 'your answer'"


@pytest.mark.parametrize("status", ["working", "idle"])
def test_a_program_at_work_waits_for_nobody(status: ObservedStatus) -> None:
    scene = Scene()
    observed(scene, its_run(scene, a_working_session(scene)), status)

    assert waits_of(scene) == []


def test_a_prompt_waits_for_the_program_until_it_reads_and_for_the_keeper_then() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    run_id = its_run(scene, session_id)
    observed(scene, run_id, "working")
    prompt_id = a_prompt(scene, session_id)
    assert only_wait(scene).on == "program"

    observed(scene, run_id, "waiting_input")
    assert only_wait(scene).on == "keeper"

    for outcome in ("placed", "submitted"):
        scene.when(
            ReportPrompt(workspace_id=WORKSPACE, session_id=session_id, prompt_id=prompt_id, outcome=outcome),
            actor=KERNEL,
        )
    assert waits_of(scene) == []


def test_a_prompt_for_a_program_that_no_rule_knows_names_the_command_that_looks_at_it() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    run_id = its_run(scene, session_id)
    a_prompt(scene, session_id)
    wait = only_wait(scene)
    assert (wait.on, wait.command) == ("program", f"mpctl run attach {short(run_id)}")

    observed(scene, run_id, "working")
    assert only_wait(scene).command is None


def test_a_prompt_that_may_be_lost_leaves_the_question_open() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    observed(scene, its_run(scene, session_id), "waiting_input")
    prompt_id = a_prompt(scene, session_id)
    scene.when(
        ReportPrompt(workspace_id=WORKSPACE, session_id=session_id, prompt_id=prompt_id, outcome="uncertain"),
        actor=KERNEL,
    )

    assert only_wait(scene).on == "person"


def test_what_has_ended_waits_for_nothing() -> None:
    scene = Scene()
    ended, lost = a_working_session(scene), a_working_session(scene)
    closed = a_working_session(scene)
    for session_id in (ended, lost, closed):
        observed(scene, its_run(scene, session_id), "waiting_input")
    exited(scene, its_run(scene, ended), code=3)
    scene.when(ReportLost(workspace_id=WORKSPACE, run_id=its_run(scene, lost), evidence="gone"), actor=KERNEL)
    scene.when(CloseSession(workspace_id=WORKSPACE, session_id=closed))

    assert waits_of(scene) == []
    assert [status_of(scene, id_) for id_ in (ended, lost, closed)] == ["failed", "lost", "stopping"]


def test_a_held_stage_waits_for_the_owner_until_the_word_is_given() -> None:
    scene, task_id = held_task()
    approval_id = waiting_approvals(scene)[0]

    wait = only_wait(scene)
    assert (wait.on, wait.command) == ("owner", f"mpctl approval grant {short(approval_id)}")
    node = next(node for node in board_of(scene).nodes if node.id == task_id)
    assert [stage.mark for stage in node.stages] == ["here", "held"]

    scene.when(GrantApproval(workspace_id=WORKSPACE, approval_id=approval_id))
    assert waits_of(scene) == []


def test_a_denied_task_waits_for_no_owner() -> None:
    scene, task_id = held_task()
    scene.when(DenyApproval(workspace_id=WORKSPACE, approval_id=waiting_approvals(scene)[0]))

    assert waits_of(scene) == []
    assert status_of(scene, task_id) == "failed"


def test_a_task_that_was_not_started_or_is_paused_waits_for_a_person() -> None:
    scene = Scene()
    task_id = a_task(scene, a_project(scene))
    assert only_wait(scene).command == f"mpctl task start {short(task_id)}"

    scene.when(StartTask(workspace_id=WORKSPACE, task_id=task_id))
    assert waits_of(scene) == []

    scene.when(PauseTask(workspace_id=WORKSPACE, task_id=task_id))
    assert only_wait(scene).command == f"mpctl task resume {short(task_id)}"

    scene.when(ResumeTask(workspace_id=WORKSPACE, task_id=task_id))
    assert waits_of(scene) == []


def test_a_retry_waits_for_the_clock_until_its_time() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)
    task_id = a_running_task(
        scene, project_id, session_id=session_id, retry=RetryRule(max_attempts=2, jitter="none")
    )
    exited(scene, its_run(scene, session_id), code=1)

    wait = only_wait(scene)
    assert (wait.on, wait.command) == ("clock", None)
    assert wait.until == scene.state(TaskState, task_id).retry_due


def test_a_merge_under_way_waits_for_git_and_then_the_task_is_done() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_working_session(scene, project_id)
    task_id = a_running_task(
        scene, project_id, session_id=session_id, stages=(stage("build"), stage("merge", "merge"))
    )
    advanced(scene, task_id)
    assert only_wait(scene).on == "git"
    assert "merged" in only_wait(scene).what

    scene.when(
        ReportMerged(
            workspace_id=WORKSPACE,
            worktree_id=its_tree(scene, session_id),
            generation=1,
            commit="c0ffee",
            into="main",
        ),
        actor=KERNEL,
    )
    assert waits_of(scene) == []
    assert status_of(scene, task_id) == "succeeded"


def test_a_commit_under_way_waits_for_git() -> None:
    scene = Scene()
    session_id = a_working_session(scene)
    tree_id = its_tree(scene, session_id)
    scene.when(CommitWorktree(workspace_id=WORKSPACE, worktree_id=tree_id, message="half"))

    assert only_wait(scene).on == "git"
    assert status_of(scene, tree_id) == "committing"


def test_a_new_session_for_a_task_takes_the_place_of_the_one_before() -> None:
    scene = Scene()
    project_id = a_project(scene)
    first, second = (a_working_session(scene, project_id) for _ in range(2))
    task_id = a_task(scene, project_id, session_id=first)
    scene.when(AssignTask(workspace_id=WORKSPACE, task_id=task_id, session_id=SessionId(second)))

    assigned = [e.target for e in board_of(scene).edges if e.kind == "assignment"]
    assert assigned == [second]


def test_what_a_person_can_end_stands_before_what_ends_by_itself() -> None:
    scene = Scene()
    project_id = a_project(scene)
    a_session(scene, project_id)
    observed(scene, its_run(scene, a_working_session(scene, project_id)), "waiting_input")

    assert [wait.on for wait in waits_of(scene)] == ["person", "keeper"]


def held_task() -> tuple[Scene, TaskId]:
    scene = Scene()
    stages = (stage("build"), stage("ship", gates=1))
    task_id = a_running_task(scene, a_project(scene), stages=stages)
    advanced(scene, task_id)
    return scene, task_id


@pytest.mark.parametrize(
    ("outcome", "status"), [("succeeded", "exited"), ("failed", "failed"), ("unclear", "unclear")]
)
def test_a_session_stands_as_its_runs_outcome_was_although_the_program_said_0(
    outcome: RunOutcome, status: str
) -> None:
    scene = Scene()
    session_id = a_working_session(scene, a_project(scene))
    ended = ReportExited(
        workspace_id=WORKSPACE,
        run_id=its_run(scene, session_id),
        how="exited",
        code=0,
        failure=FailureClass.PERMISSION_DENIED if outcome == "failed" else None,
        outcome=outcome,
        rule="turn_done",
        evidence="it was looked at",
    )
    scene.when(ended, actor=KERNEL)

    assert status_of(scene, session_id) == status


def test_a_session_that_works_in_another_worktree_shows_the_branch_there() -> None:
    scene = Scene()
    project_id = a_project(scene)
    left, comes = a_session(scene, project_id), a_session(scene, project_id)
    tree_id, branch = its_tree(scene, left), scene.row(SessionItem, left).branch
    for session_id in (left, comes):
        exited(scene, its_run(scene, session_id))
    scene.when(CloseSession(workspace_id=WORKSPACE, session_id=left))
    scene.when(DetachWorktree(workspace_id=WORKSPACE, session_id=comes))
    scene.when(AttachWorktree(workspace_id=WORKSPACE, session_id=comes, worktree_id=tree_id))

    node = next(node for node in board_of(scene).nodes if node.id == comes)
    assert isinstance(node.facts, SessionFacts)
    assert node.facts.branch == branch


def test_a_session_whose_budget_is_used_up_waits_for_whoever_raises_it() -> None:
    scene = Scene()
    project_id, agent = a_project(scene), AgentSpec(adapter="claude")  # one that tells what it uses
    spawn = SpawnSession(workspace_id=WORKSPACE, project_id=project_id, name="payer", agent=agent)
    payer = SessionId(scene.when(spawn).subject())
    made(scene, its_tree(scene, payer))
    run_id = its_run(scene, payer)
    started(scene, run_id)
    below = replace(spawn, name="child", parent_session_id=payer)
    child = SessionId(scene.when(below).subject())
    used = ReportSaid(workspace_id=WORKSPACE, run_id=run_id, upto=1, said=(UsageReported(input_tokens=200),))
    scene.when(used, actor=KERNEL)
    scene.when(SetBudget(workspace_id=WORKSPACE, session_id=payer, tokens=100))
    exited(scene, run_id)
    made(scene, its_tree(scene, child))

    wait = only_wait(scene)
    assert (wait.what, wait.on) == ("child begins when its budget has room", "person")
    assert wait.command == f"mpctl session set-budget {short(payer)} --tokens N --cost USD"

    scene.when(SetBudget(workspace_id=WORKSPACE, session_id=payer, tokens=1_000))
    assert only_wait(scene).what == "the program of child starts"
