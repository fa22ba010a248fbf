"""What a session may reach and see: its own lineage, and nothing beside it."""

from __future__ import annotations

import pytest

from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.capsule.commands import WriteCapsule
from moduprompt.domain.decider import Command
from moduprompt.domain.gate.commands import RequestApproval
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.registry import COMMANDS
from moduprompt.domain.scope import reads_text, scope_of, sees
from moduprompt.domain.session.commands import ForkSession, InterruptSession, PromptSession, SpawnSession
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.commands import AdvanceStage
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.commands import CommitWorktree
from moduprompt.protocol import ProjectId, SessionId, Subject, TaskId, WorkspaceId
from tests.support.domain import WORKSPACE, Scene, an_id, text_ref
from tests.support.samples import sample
from tests.support.stories import (
    AGENT,
    a_project,
    a_prompt,
    a_running_task,
    a_session,
    advanced,
    its_run,
    its_tree,
    stage,
)

GATED = (stage("build"), stage("ship", gates=1))


class Family:
    """A grandparent, a parent with two children, and a stranger, each with a task that waits at a gate."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.project_id = a_project(self.scene)
        self.grandparent = a_session(self.scene, self.project_id)
        self.parent = a_session(self.scene, self.project_id, parent=self.grandparent)
        self.child = a_session(self.scene, self.project_id, parent=self.parent)
        self.sibling = a_session(self.scene, self.project_id, parent=self.grandparent)
        self.stranger = a_session(self.scene, self.project_id)
        self.tasks = {each: self._a_task(each) for each in self.everybody()}

    def everybody(self) -> tuple[SessionId, ...]:
        return (self.grandparent, self.parent, self.child, self.sibling, self.stranger)

    def allows(self, command: Command) -> bool:
        """Whether the parent may."""
        asker = self.scene.state(SessionState, self.parent)
        return scope_of(command, asker, self.scene.world) == "within"

    def shows(self, kind: str, id_: str) -> bool:
        """Whether the parent sees it."""
        asker = self.scene.state(SessionState, self.parent)
        return sees(asker, Subject(kind=kind, id=id_), self.scene.world)

    def gate_of(self, session_id: SessionId) -> GateState:
        return next(iter(self.scene.world.related(GateState, self.tasks[session_id])))

    def _a_task(self, session_id: SessionId) -> TaskId:
        task_id = a_running_task(self.scene, self.project_id, stages=GATED, session_id=session_id)
        advanced(self.scene, task_id)
        return task_id


@pytest.fixture
def family() -> Family:
    return Family()


def spawn(family: Family, parent: SessionId | None, task_id: TaskId | None = None) -> SpawnSession:
    return SpawnSession(
        workspace_id=WORKSPACE,
        project_id=family.project_id,
        name="worker",
        agent=AGENT,
        parent_session_id=parent,
        task_id=task_id,
    )


def test_a_session_spawns_below_itself_only(family: Family) -> None:
    for parent in (None, *family.everybody()):
        assert family.allows(spawn(family, parent)) == (parent == family.parent)


def test_a_child_works_on_nothing_that_its_parent_does_not_work_on(family: Family) -> None:
    for owner, task_id in family.tasks.items():
        assert family.allows(spawn(family, family.parent, task_id)) == (owner == family.parent)
    assert not family.allows(spawn(family, family.parent, TaskId(an_id(1))))


def test_a_session_forks_itself_only(family: Family) -> None:
    for session_id in family.everybody():
        fork = ForkSession(workspace_id=WORKSPACE, session_id=session_id, name="other way")
        assert family.allows(fork) == (session_id == family.parent)


def test_a_session_prompts_and_interrupts_its_descendants_only(family: Family) -> None:
    grandchild = a_session(family.scene, family.project_id, parent=family.child)
    for session_id in (*family.everybody(), grandchild, SessionId(an_id(1))):
        prompt = PromptSession(workspace_id=WORKSPACE, session_id=session_id, prompt="go on")
        interrupt = InterruptSession(workspace_id=WORKSPACE, session_id=session_id)
        for order in (prompt, interrupt):
            assert family.allows(order) == (session_id in (family.child, grandchild))


def test_a_session_commits_in_its_own_worktree_only(family: Family) -> None:
    for session_id in family.everybody():
        tree = its_tree(family.scene, session_id)
        commit = CommitWorktree(workspace_id=WORKSPACE, worktree_id=tree, message="a change")
        assert family.allows(commit) == (session_id == family.parent)


def test_a_session_moves_the_task_it_works_on_and_asks_at_its_gates_only(family: Family) -> None:
    for session_id, task_id in family.tasks.items():
        is_own = session_id == family.parent
        assert family.allows(AdvanceStage(workspace_id=WORKSPACE, task_id=task_id)) == is_own
        gate_id = family.gate_of(session_id).gate_id
        assert family.allows(RequestApproval(workspace_id=WORKSPACE, gate_id=gate_id)) == is_own


def test_a_session_writes_its_own_capsules_only(family: Family) -> None:
    for session_id in family.everybody():
        write = WriteCapsule(
            workspace_id=WORKSPACE, session_id=session_id, capsule_kind="status", account="half done"
        )
        assert family.allows(write) == (session_id == family.parent)


def test_a_session_reads_the_texts_of_its_lineage_only(family: Family) -> None:
    world = family.scene.world
    asker = world.find(SessionState, family.parent)
    assert asker is not None
    for session_id in family.everybody():
        text = f"where {session_id} stands"
        family.scene.when(
            WriteCapsule(workspace_id=WORKSPACE, session_id=session_id, capsule_kind="status", account=text)
        )
        a_prompt(family.scene, session_id, text=f"go on, {session_id}")
        seen = session_id in (family.grandparent, family.parent, family.child)
        assert reads_text(asker, text_ref(text).ref, world) == seen
        assert reads_text(asker, text_ref(f"go on, {session_id}").ref, world) == seen
    assert not reads_text(asker, text_ref("nobody said so").ref, world)


def test_what_is_not_said_to_be_within_is_outside(family: Family) -> None:
    listed = (
        SpawnSession, ForkSession, PromptSession, InterruptSession, CommitWorktree, AdvanceStage, RequestApproval,
        WriteCapsule,
    )  # fmt: skip
    for kind in COMMANDS.values():
        if kind not in listed:
            assert not family.allows(sample(kind)), kind
    assert {kind for kind in COMMANDS.values() if kind.right} == set(listed), "each right has a scope"


def test_a_session_sees_its_lineage_and_what_hangs_on_it(family: Family) -> None:
    for session_id in family.everybody():
        seen = session_id in (family.grandparent, family.parent, family.child)
        gate = family.gate_of(session_id)
        (approval,) = family.scene.world.related(ApprovalState, gate.gate_id)
        for kind, id_ in (
            ("session", session_id),
            ("run", its_run(family.scene, session_id)),
            ("worktree", its_tree(family.scene, session_id)),
            ("task", family.tasks[session_id]),
            ("gate", gate.gate_id),
            ("approval", approval.approval_id),
        ):
            assert family.shows(kind, id_) == seen, kind


def test_a_session_sees_its_project_and_workspace_and_nothing_unknown(family: Family) -> None:
    assert family.shows("workspace", WorkspaceId(WORKSPACE))
    assert family.shows("project", family.project_id)
    assert not family.shows("project", ProjectId(an_id(1)))
    for kind in ("session", "run", "worktree", "task", "gate", "approval", "user", "command", "secret"):
        assert not family.shows(kind, an_id(1))


def test_a_session_that_was_spawned_for_a_task_works_on_it(family: Family) -> None:
    task_id = family.tasks[family.parent]
    helper = SessionId(family.scene.when(spawn(family, family.parent, task_id)).subject())
    asker = family.scene.state(SessionState, helper)
    command = AdvanceStage(workspace_id=WORKSPACE, task_id=task_id)
    assert scope_of(command, asker, family.scene.world) == "within"
    assert sees(asker, Subject(kind="task", id=task_id), family.scene.world)
    assert family.scene.state(TaskState, task_id).session_id == family.parent
