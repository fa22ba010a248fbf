"""A branch that several sessions share: one of them writes at a time, and each begins where the branch stands."""

from __future__ import annotations

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportLost, StartRun
from moduprompt.domain.run.events import RunRequested
from moduprompt.domain.run.intents import KeepRun
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import CloseSession, DetachWorktree, FireUnpark, ForkSession
from moduprompt.domain.session.events import SessionForked
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.workspace.commands import AdoptWorkspace
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.domain.worktree.commands import (
    AcquireWriter,
    CommitWorktree,
    DeleteWorktree,
    ReleaseWriter,
    ReportCommitted,
    ReportDeleted,
    ReportFailed,
    ReportSettled,
)
from moduprompt.domain.worktree.events import WorktreeRequested
from moduprompt.domain.worktree.intents import MakeWorktree, SettleBranch
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.domain.worktree.view import WorktreeItem
from moduprompt.protocol import SessionId, UserId, WorktreeId
from tests.support.domain import KERNEL, OWNER, WORKSPACE, Outcome, Scene
from tests.support.stories import (
    a_project,
    a_running_task,
    a_session,
    a_working_session,
    exited,
    its_run,
    its_tree,
    made,
    started,
)


def fork(scene: Scene, session_id: SessionId, *, branch: str | None = None, dirty: bool = False) -> Outcome:
    return scene.when(
        ForkSession(
            workspace_id=WORKSPACE,
            session_id=session_id,
            name="another way",
            mode="same_branch",
            branch=branch,
            dirty=dirty,
        )
    )


def a_fork(scene: Scene, session_id: SessionId) -> SessionId:
    """An alternative on the same branch whose worktree is there."""
    forked = fork(scene, session_id).one(SessionForked).session_id
    made(scene, its_tree(scene, forked))
    return forked


def settled(scene: Scene, tree: WorktreeId, *, head: str = "c2", generation: int | None = None) -> list[str]:
    now = scene.state(WorktreeState, tree).settle_generation
    report = ReportSettled(workspace_id=WORKSPACE, worktree_id=tree, generation=generation or now, head=head)
    return [event.wire for event in scene.when(report, actor=KERNEL).events]


def not_settled(scene: Scene, tree: WorktreeId) -> list[str]:
    report = ReportFailed(
        workspace_id=WORKSPACE,
        worktree_id=tree,
        operation="settle",
        generation=scene.state(WorktreeState, tree).settle_generation,
        failure=FailureClass.WORKTREE_CONFLICT,
        reason="each has commits that the other has not",
    )
    return [event.wire for event in scene.when(report, actor=KERNEL).events]


def start(scene: Scene, session_id: SessionId) -> Outcome:
    return scene.when(StartRun(workspace_id=WORKSPACE, session_id=session_id))


def close(scene: Scene, session_id: SessionId) -> Outcome:
    return scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))


def waits(scene: Scene, session_id: SessionId) -> str | None:
    return scene.row(SessionItem, session_id).branch_holder


def keeps(scene: Scene, session_id: SessionId) -> bool:
    """Whether the session's run is wanted to have a keeper."""
    run = its_run(scene, session_id)
    return any(isinstance(each, KeepRun) and each.run_id == run for each in scene.intents())


def at_work_and_waiting(scene: Scene) -> tuple[SessionId, SessionId]:
    """A session that writes, and its alternative that waits for the branch."""
    original = a_working_session(scene)
    return original, a_fork(scene, original)


def test_a_fork_on_the_same_branch_gets_a_worktree_of_its_own_there() -> None:
    scene = Scene()
    original_id = a_session(scene)
    outcome = fork(scene, original_id)
    outcome.then_wires("session.forked", "worktree.requested")
    original = scene.state(SessionState, original_id)
    forked, wanted = outcome.one(SessionForked), outcome.one(WorktreeRequested)
    assert (forked.branch, forked.base) == (original.branch, original.branch)
    assert (wanted.branch, wanted.is_shared) == (original.branch, True)
    makes = [each for each in scene.intents() if isinstance(each, MakeWorktree)]
    assert [each.is_shared for each in makes] == [True]


def test_a_fork_on_the_same_branch_is_on_no_other() -> None:
    scene = Scene()
    fork(scene, a_session(scene), branch="topic").refused("branch_given")


def test_a_fork_on_the_same_branch_takes_uncommitted_work_along() -> None:
    scene = Scene()
    original_id = a_session(scene)
    wanted = fork(scene, original_id, dirty=True).one(WorktreeRequested)
    assert wanted.work_of == scene.state(SessionState, original_id).worktree_id


def test_a_fork_waits_while_its_original_writes_and_shows_for_whom() -> None:
    scene = Scene()
    original, forked = at_work_and_waiting(scene)
    assert waits(scene, forked) == original
    assert scene.row(SessionItem, forked).awaits == scene.state(SessionState, original).branch
    assert scene.state(WorktreeState, its_tree(scene, forked)).writer is None


def test_the_wait_ends_with_the_run_and_the_fork_begins_where_the_branch_stands_by_then() -> None:
    scene = Scene()
    original, forked = at_work_and_waiting(scene)
    assert exited(scene, its_run(scene, original)) == [
        "run.exited",
        "worktree.writer_released",
        "worktree.writer_locked",
        "worktree.settle_requested",
        "session.branch_given",
        "run.requested",
    ]
    assert waits(scene, forked) is None
    assert not keeps(scene, forked), "its program would begin on what the branch was before"
    assert settled(scene, its_tree(scene, forked)) == ["worktree.settled"]
    assert keeps(scene, forked)


def test_a_run_begins_also_where_its_worktree_and_branch_could_not_be_settled() -> None:
    scene = Scene()
    original, forked = at_work_and_waiting(scene)
    exited(scene, its_run(scene, original))
    assert not_settled(scene, its_tree(scene, forked)) == ["worktree.failed"]
    assert keeps(scene, forked), "who else should bring the two together?"
    assert "each has commits" in (scene.row(WorktreeItem, its_tree(scene, forked)).failure or "")


def a_fork_at_work(scene: Scene) -> tuple[SessionId, SessionId]:
    """An alternative that writes on the branch of its original, which rests."""
    original, forked = at_work_and_waiting(scene)
    exited(scene, its_run(scene, original))
    settled(scene, its_tree(scene, forked))
    started(scene, its_run(scene, forked))
    return original, forked


def test_the_lease_ends_when_what_a_fork_has_done_lies_on_the_branch() -> None:
    scene = Scene()
    _, forked = a_fork_at_work(scene)
    tree = its_tree(scene, forked)
    assert exited(scene, its_run(scene, forked)) == ["run.exited", "worktree.settle_requested"]
    assert scene.state(WorktreeState, tree).writer == forked
    (wanted,) = (each for each in scene.intents() if isinstance(each, SettleBranch))
    assert wanted.worktree_id == tree
    assert settled(scene, tree) == ["worktree.settled", "worktree.writer_released"]
    row = scene.row(WorktreeItem, tree)
    assert (row.head, row.writer, row.is_settling) == ("c2", None, False)


def test_the_lease_ends_also_where_a_conflict_keeps_the_work_from_the_branch() -> None:
    scene = Scene()
    original, forked = a_fork_at_work(scene)
    tree = its_tree(scene, forked)
    exited(scene, its_run(scene, forked))
    assert not_settled(scene, tree) == ["worktree.failed", "worktree.writer_released"]
    assert "settle: " in (scene.row(WorktreeItem, tree).failure or "")
    start(scene, original).one(RunRequested)


def test_a_lost_run_settles_too() -> None:
    scene = Scene()
    _, forked = a_fork_at_work(scene)
    report = ReportLost(workspace_id=WORKSPACE, run_id=its_run(scene, forked), evidence="no keeper")
    scene.when(report, actor=KERNEL).then_wires("run.lost", "worktree.settle_requested")


def test_a_person_is_refused_the_branch_with_who_holds_it() -> None:
    scene = Scene()
    original, forked = a_fork_at_work(scene)
    refused = start(scene, original).refused("branch_locked")
    assert (refused.details or {})["writer"] == forked
    acquire = AcquireWriter(
        workspace_id=WORKSPACE, worktree_id=its_tree(scene, original), session_id=original
    )
    scene.when(acquire).refused("branch_locked")
    exited(scene, its_run(scene, forked))
    start(scene, original).refused("branch_locked")
    settled(scene, its_tree(scene, forked))
    start(scene, original).one(RunRequested)


def test_several_wait_in_the_order_in_which_they_came_and_know_for_whom() -> None:
    scene = Scene()
    original = a_working_session(scene)
    first, second = a_fork(scene, original), a_fork(scene, original)
    assert (waits(scene, first), waits(scene, second)) == (original, original)
    outcome = exited(scene, its_run(scene, original))
    assert outcome[-1] == "session.branch_awaited"
    assert (waits(scene, first), waits(scene, second)) == (None, first)
    settled(scene, its_tree(scene, first))
    exited(scene, its_run(scene, first))
    assert waits(scene, second) == first
    settled(scene, its_tree(scene, first))
    assert its_run(scene, second)


def test_who_is_closed_while_it_waits_loses_its_turn_to_the_next() -> None:
    scene = Scene()
    original = a_working_session(scene)
    first, second = a_fork(scene, original), a_fork(scene, original)
    close(scene, first)
    assert scene.row(SessionItem, first).awaits is None
    exited(scene, its_run(scene, original))
    assert its_run(scene, second)


def test_who_leaves_the_place_where_it_waits_stands_in_no_line() -> None:
    scene = Scene()
    writer = a_working_session(scene)
    waiting = a_fork(scene, writer)

    scene.when(DetachWorktree(workspace_id=WORKSPACE, session_id=waiting)).then_wires(
        "session.worktree_detached", "session.branch_given"
    )

    assert (scene.state(SessionState, waiting).waiting, scene.row(SessionItem, waiting).awaits) == (
        None,
        None,
    )


def test_who_waits_in_a_worktree_that_is_deleted_stands_in_no_line() -> None:
    scene = Scene()
    writer = a_working_session(scene)
    waiting = a_fork(scene, writer)
    tree = its_tree(scene, waiting)
    scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=tree))

    scene.when(ReportDeleted(workspace_id=WORKSPACE, worktree_id=tree), actor=KERNEL)

    assert scene.state(SessionState, waiting).waiting is None


def test_who_can_not_run_when_its_turn_comes_lets_the_next_one_go() -> None:
    scene = Scene()
    original = a_working_session(scene)
    first, second = a_fork(scene, original), a_fork(scene, original)
    scene.when(DetachWorktree(workspace_id=WORKSPACE, session_id=first))
    exited(scene, its_run(scene, original))
    assert its_run(scene, second)


def test_a_fork_carries_on_what_its_original_has_said_by_the_time_it_begins() -> None:
    scene = Scene()
    original, forked = at_work_and_waiting(scene)
    run = its_run(scene, original)
    exited(scene, run)
    assert scene.state(RunState, its_run(scene, forked)).resumes == run


def test_a_session_whose_window_has_opened_waits_for_its_branch_and_then_carries_on() -> None:
    scene = Scene()
    original, forked = at_work_and_waiting(scene)
    limited = its_run(scene, original)
    exited(scene, limited, code=1, failure=FailureClass.RATE_LIMITED)
    fire = FireUnpark(workspace_id=WORKSPACE, session_id=original, run_id=limited)
    scene.when(fire, actor=KERNEL).then_wires("session.unparked", "session.branch_awaited")
    assert waits(scene, original) == forked
    exited(scene, its_run(scene, forked))
    settled(scene, its_tree(scene, forked))
    assert scene.state(RunState, its_run(scene, original)).resumes == limited


def test_a_tasks_next_attempt_waits_for_its_branch_without_what_was_said_before() -> None:
    scene = Scene()
    project_id = a_project(scene)
    original = a_working_session(scene, project_id)
    rule = RetryRule(max_attempts=2, backoff="fixed", jitter="none")
    task = a_running_task(scene, project_id, retry=rule, session_id=original)
    forked = a_fork(scene, original)
    exited(scene, its_run(scene, original), code=1, failure=FailureClass.EXIT_NONZERO)
    (due,) = (timer.command for timer in scene.timers())
    scene.when(due, actor=KERNEL)
    assert scene.state(TaskState, task).attempt == 2
    assert waits(scene, original) == forked
    exited(scene, its_run(scene, forked))
    settled(scene, its_tree(scene, forked))
    assert scene.state(RunState, its_run(scene, original)).resumes is None


def test_a_closed_fork_keeps_the_lease_until_its_work_lies_on_the_branch() -> None:
    scene = Scene()
    _, forked = a_fork_at_work(scene)
    tree, run = its_tree(scene, forked), its_run(scene, forked)
    close(scene, forked).then_wires("session.closed", "run.stop_requested")
    assert exited(scene, run) == ["run.exited", "worktree.settle_requested"]
    close(scene, forked).then_nothing()
    assert settled(scene, tree) == ["worktree.settled", "worktree.writer_released"]


def test_what_is_committed_beside_a_shared_branch_goes_onto_it() -> None:
    scene = Scene()
    _, forked = a_fork_at_work(scene)
    tree = its_tree(scene, forked)
    assert committed(scene, tree) == ["worktree.committed", "worktree.settle_requested"]
    assert settled(scene, tree) == ["worktree.settled"]
    assert scene.state(WorktreeState, tree).writer == forked, "its run goes on"


def test_what_is_committed_while_another_writes_stays_where_it_is() -> None:
    scene = Scene()
    _, forked = at_work_and_waiting(scene)
    assert committed(scene, its_tree(scene, forked)) == ["worktree.committed"]


def committed(scene: Scene, tree: WorktreeId) -> list[str]:
    scene.when(CommitWorktree(workspace_id=WORKSPACE, worktree_id=tree, message="work"))
    report = ReportCommitted(
        workspace_id=WORKSPACE,
        worktree_id=tree,
        generation=scene.state(WorktreeState, tree).commit_generation,
        head="c2",
        commits=("c2",),
        files_changed=1,
    )
    return [event.wire for event in scene.when(report, actor=KERNEL).events]


def test_an_old_report_decides_nothing_once_the_settling_was_begun_anew() -> None:
    scene = Scene()
    _, forked = a_fork_at_work(scene)
    tree = its_tree(scene, forked)
    committed(scene, tree)
    before = scene.state(WorktreeState, tree).settle_generation
    exited(scene, its_run(scene, forked))
    assert settled(scene, tree, generation=before) == []
    assert scene.state(WorktreeState, tree).writer == forked


def test_a_worktree_that_is_being_settled_is_not_deleted_and_blocks_the_branch() -> None:
    scene = Scene()
    original, forked = a_fork_at_work(scene)
    tree = its_tree(scene, forked)
    exited(scene, its_run(scene, forked))
    settled(scene, tree)
    committed(scene, tree)
    start(scene, original).refused("branch_locked")
    scene.when(DeleteWorktree(workspace_id=WORKSPACE, worktree_id=tree)).refused("settling_under_way")
    settled(scene, tree)
    start(scene, original).one(RunRequested)


def test_a_lease_that_a_person_took_is_given_back_by_a_settling() -> None:
    scene = Scene()
    original, forked = a_fork_at_work(scene)
    tree = its_tree(scene, forked)
    exited(scene, its_run(scene, forked))
    settled(scene, tree)
    scene.when(AcquireWriter(workspace_id=WORKSPACE, worktree_id=tree, session_id=forked)).then_wires(
        "worktree.writer_locked", "worktree.settle_requested"
    )
    settled(scene, tree)
    release = ReleaseWriter(
        workspace_id=WORKSPACE, worktree_id=tree, fence=scene.state(WorktreeState, tree).fence
    )
    scene.when(release).then_wires("worktree.settle_requested")
    scene.when(release).then_nothing()
    assert settled(scene, tree) == ["worktree.settled", "worktree.writer_released"]
    start(scene, original).one(RunRequested)


def test_nobody_waits_in_a_workspace_that_was_adopted() -> None:
    created = WorkspaceCreated(workspace_id=WORKSPACE, name="core", owner_id=UserId(OWNER.id))
    scene = Scene().given(created)
    _, forked = at_work_and_waiting(scene)
    scene.is_frozen = True
    outcome = scene.when(AdoptWorkspace(workspace_id=WORKSPACE))
    assert outcome.rejection is None
    assert scene.row(SessionItem, forked).awaits is None
    assert not [each for each in outcome.events if isinstance(each, RunRequested)]
