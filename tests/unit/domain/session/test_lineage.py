"""Spawning and forking: the lineage tree, its depth, and rights that only get narrower."""

from __future__ import annotations

import pytest

from moduprompt.domain.project.commands import ArchiveProject, DetachRepository
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.session.commands import CloseSession, ForkMode, ForkSession, Place, SpawnSession
from moduprompt.domain.session.decide import DEPTH_MAX, branch_name
from moduprompt.domain.session.events import SessionForked, SessionSpawned
from moduprompt.domain.session.limits import RunLimits, RunLimitsSpec
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.worktree.events import WorktreeRequested
from moduprompt.domain.worktree.intents import MakeWorktree
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.policy.rights import DEFAULT_RIGHTS, Right
from moduprompt.protocol import Actor, ProjectId, Rejection, SessionId, invalid
from tests.support.domain import WORKSPACE, Outcome, Scene, an_id, text_ref
from tests.support.stories import AGENT, a_project, a_session, a_waiting_session, a_working_session

NO_PROGRAM = invalid("program_missing", "no program `agent`")


def spawn(
    scene: Scene,
    project_id: ProjectId,
    *,
    parent: SessionId | None = None,
    place: Place = "new_worktree",
    may: tuple[Right, ...] | None = None,
    observed: Rejection | None = None,
    limits: RunLimitsSpec | None = None,
) -> Outcome:
    command = SpawnSession(
        workspace_id=WORKSPACE,
        project_id=project_id,
        name="Fix the Thing!",
        agent=AGENT,
        place=place,
        parent_session_id=parent,
        may=may,
        prompt="make it so",
        limits=limits,
    )
    return scene.when(command, observed=observed)


def fork(scene: Scene, session_id: SessionId, mode: ForkMode = "default", *, dirty: bool = False) -> Outcome:
    return scene.when(
        ForkSession(workspace_id=WORKSPACE, session_id=session_id, name="another way", mode=mode, dirty=dirty)
    )


def close(scene: Scene, session_id: SessionId) -> Outcome:
    return scene.when(CloseSession(workspace_id=WORKSPACE, session_id=session_id))


def test_a_root_session_asks_for_a_worktree_from_the_projects_branch() -> None:
    scene = Scene()
    outcome = spawn(scene, a_project(scene))
    outcome.then_wires("session.spawned", "worktree.requested")
    spawned = outcome.one(SessionSpawned)
    assert spawned.path == (spawned.session_id,)
    assert spawned.root_session_id == spawned.session_id
    assert spawned.branch == branch_name("Fix the Thing!", spawned.session_id)
    assert spawned.base == "main"
    assert spawned.prompt == text_ref("make it so")


def test_a_branch_is_named_after_its_session_readably_and_uniquely() -> None:
    assert branch_name("Fix the Thing!", SessionId(an_id(0xABC))) == "mp/fix-the-thing-00000abc"
    assert branch_name("…", SessionId(an_id(1))) == "mp/session-00000001"


def test_a_child_stands_below_its_parent_and_starts_from_its_branch() -> None:
    scene = Scene()
    project_id = a_project(scene)
    parent_id = a_session(scene, project_id)
    child_id = SessionId(spawn(scene, project_id, parent=parent_id).subject())
    parent, child = scene.state(SessionState, parent_id), scene.state(SessionState, child_id)
    assert child.path == (parent_id, child_id)
    assert child.root_session_id == parent_id
    assert child.base == parent.branch
    assert parent.is_above(child)
    assert not child.is_above(parent)
    assert not parent.is_above(parent)


def test_a_child_of_a_session_without_a_place_starts_from_the_projects_branch() -> None:
    scene = Scene()
    project_id = a_project(scene)
    parent_id = a_waiting_session(scene, project_id, place="none")
    assert spawn(scene, project_id, parent=parent_id).one(SessionSpawned).base == "main"


def test_a_session_without_a_place_runs_at_once() -> None:
    scene = Scene()
    spawn(scene, a_project(scene, repository=None), place="none").then_wires(
        "session.spawned", "run.requested"
    )


def test_rights_narrow_from_generation_to_generation() -> None:
    scene = Scene()
    project_id = a_project(scene)
    root = spawn(scene, project_id).one(SessionSpawned)
    assert root.may == DEFAULT_RIGHTS
    child = spawn(scene, project_id, parent=root.session_id, may=(Right.SPAWN, Right.COMMIT)).one(
        SessionSpawned
    )
    assert set(child.may) == {Right.SPAWN, Right.COMMIT}
    wants_more = spawn(scene, project_id, parent=child.session_id, may=DEFAULT_RIGHTS).one(SessionSpawned)
    assert wants_more.may == child.may


def test_a_lineage_has_an_end() -> None:
    scene = Scene()
    project_id = a_project(scene)
    parent: SessionId | None = None
    for _ in range(DEPTH_MAX):
        parent = SessionId(spawn(scene, project_id, parent=parent, place="none").subject())
    spawn(scene, project_id, parent=parent, place="none").refused("lineage_too_deep")


def test_a_spawn_needs_a_project_a_parent_a_repository_and_a_program() -> None:
    scene = Scene()
    project_id = a_project(scene)
    spawn(scene, ProjectId(an_id(1))).refused("project", code="not_found")
    spawn(scene, project_id, parent=SessionId(an_id(1))).refused("session", code="not_found")
    spawn(scene, a_project(scene, repository=None)).refused("no_repository")
    spawn(scene, project_id, observed=NO_PROGRAM).refused("program_missing")


def test_a_spawn_is_refused_by_an_archived_project_and_by_a_parent_that_is_closed_or_elsewhere() -> None:
    scene = Scene()
    project_id = a_project(scene)
    parent_id = a_session(scene, project_id)
    spawn(scene, a_project(scene), parent=parent_id).refused("other_project")
    close(scene, parent_id)
    spawn(scene, project_id, parent=parent_id).refused("session_closed")
    scene.when(ArchiveProject(workspace_id=WORKSPACE, project_id=project_id))
    spawn(scene, project_id).refused("project_archived")


def test_a_fork_stands_beside_its_original_with_the_same_rights_and_a_branch_from_its_branch() -> None:
    scene = Scene()
    project_id = a_project(scene)
    root_id = a_session(scene, project_id)
    original_id = a_session(scene, project_id, parent=root_id)
    outcome = fork(scene, original_id)
    outcome.then_wires("session.forked", "worktree.requested")
    forked, original = outcome.one(SessionForked), scene.state(SessionState, original_id)
    assert forked.fork_of == original_id
    assert forked.path == (root_id, forked.session_id)
    assert (forked.parent_session_id, forked.root_session_id) == (root_id, root_id)
    assert forked.base == original.branch
    assert forked.branch != original.branch
    assert (forked.may, forked.agent) == (original.may, original.agent)


def test_a_fork_of_a_root_is_a_root() -> None:
    scene = Scene()
    forked = fork(scene, a_session(scene)).one(SessionForked)
    assert forked.path == (forked.session_id,)
    assert forked.root_session_id == forked.session_id


def test_a_dirty_fork_asks_for_the_uncommitted_work_of_its_originals_worktree() -> None:
    scene = Scene()
    original_id = a_session(scene)
    original = scene.state(SessionState, original_id)

    outcome = fork(scene, original_id, dirty=True)

    assert outcome.one(SessionForked).dirty
    assert outcome.one(WorktreeRequested).work_of == original.worktree_id
    assert fork(scene, original_id).one(WorktreeRequested).work_of is None
    (make,) = (
        each for each in scene.intents() if isinstance(each, MakeWorktree) and each.work_of is not None
    )
    assert original.worktree_id is not None
    assert make.work_of == scene.state(WorktreeState, original.worktree_id).path


def test_a_fork_with_no_place_takes_no_uncommitted_work_along() -> None:
    scene = Scene()
    fork(scene, a_session(scene), "planning_only", dirty=True).refused("no_worktree")


def test_a_fork_for_planning_has_no_place_and_runs_at_once() -> None:
    scene = Scene()
    session_id = a_waiting_session(scene, a_project(scene))
    outcome = fork(scene, session_id, "planning_only")
    outcome.then_wires("session.forked", "run.requested")
    forked = outcome.one(SessionForked)
    assert (forked.place, forked.branch, forked.base) == ("none", None, None)


def test_a_fork_needs_a_worktree_to_start_from() -> None:
    scene = Scene()
    fork(scene, a_waiting_session(scene, a_project(scene))).refused("no_worktree")


@pytest.mark.parametrize("mode", ["default", "same_branch", "planning_only"])
def test_a_fork_begins_new_work_and_an_archived_project_takes_none(mode: ForkMode) -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_session(scene, project_id)
    scene.when(ArchiveProject(workspace_id=WORKSPACE, project_id=project_id))
    fork(scene, session_id, mode).refused("project_archived")


def test_a_fork_is_refused_where_the_repository_is_gone_and_its_worktree_would_never_come() -> None:
    scene = Scene()
    project_id = a_project(scene)
    session_id = a_session(scene, project_id)
    repository_id = scene.state(ProjectState, project_id).repositories[0].repository_id
    scene.when(DetachRepository(workspace_id=WORKSPACE, project_id=project_id, repository_id=repository_id))
    fork(scene, session_id).refused("no_repository")


def test_a_fork_of_a_closed_session_takes_up_what_it_left() -> None:
    scene = Scene()
    session_id = a_session(scene)
    close(scene, session_id)
    fork(scene, session_id).then_wires("session.forked", "worktree.requested")


def test_a_child_is_given_no_more_than_its_parent_has() -> None:
    scene = Scene()
    project_id = a_project(scene)
    given = RunLimitsSpec(wall_s=60, memory_bytes_max=2**30)
    parent = spawn(scene, project_id, limits=given).one(SessionSpawned)
    assert parent.limits == RunLimits(wall_s=60, memory_bytes_max=2**30)

    silent = spawn(scene, project_id, parent=parent.session_id).one(SessionSpawned)
    assert silent.limits == parent.limits
    greedy = RunLimitsSpec(wall_s=90, memory_bytes_max=2**29, processes_max=7)
    asked = spawn(scene, project_id, parent=parent.session_id, limits=greedy).one(SessionSpawned)
    assert asked.limits == RunLimits(wall_s=60, memory_bytes_max=2**29, processes_max=7)


def test_a_root_session_without_limits_has_none_of_its_own() -> None:
    scene = Scene()
    assert spawn(scene, a_project(scene)).one(SessionSpawned).limits is None


def test_a_fork_has_the_limits_of_its_origin() -> None:
    scene = Scene()
    origin = spawn(scene, a_project(scene), limits=RunLimitsSpec(wall_s=60), place="none").one(SessionSpawned)
    assert fork(scene, origin.session_id, "planning_only").one(SessionForked).limits == RunLimits(wall_s=60)


def test_an_agent_gives_its_child_no_more_patience_than_it_may_have_itself() -> None:
    scene = Scene()
    project_id = a_project(scene)
    parent = a_working_session(scene, project_id)
    spawn = SpawnSession(
        workspace_id=WORKSPACE,
        project_id=project_id,
        name="child",
        agent=AGENT,
        parent_session_id=parent,
        patience="endless",
    )

    scene.when(spawn, actor=Actor(kind="session", id=parent)).refused(
        "never_for_sessions", code="policy_denied"
    )
    scene.when(spawn).then_wires("session.spawned", "session.patience_set", "worktree.requested")
