"""What a session may reach and see: its own lineage, and what hangs on it.

A lineage is the sessions above and below it and itself; a sibling is not in it. What
hangs on a session: its runs, its worktree, its capsules, the tasks it works on, their gates
and approvals, its project and its workspace.
"""

from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.capsule.commands import WriteCapsule
from moduprompt.domain.capsule.state import CapsuleState
from moduprompt.domain.decider import Command, World
from moduprompt.domain.gate.commands import RequestApproval
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import ForkSession, InterruptSession, PromptSession, SpawnSession
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.commands import AdvanceStage
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.worktree.commands import CommitWorktree
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.policy.rights import Scope
from moduprompt.protocol import ArtifactRef, Subject


def scope_of(command: Command, asker: SessionState, world: World) -> Scope:
    """Whether what a session orders lies within its reach. What is not listed is outside."""
    match command:
        case SpawnSession():
            within = command.parent_session_id == asker.session_id
            # A child works on what its parent works on: else it would open its parent any task by name.
            within = within and (command.task_id is None or _works_on(asker, command.task_id, world))
        case ForkSession():
            within = command.session_id == asker.session_id
        case PromptSession() | InterruptSession():
            target = world.find(SessionState, command.session_id)
            within = target is not None and asker.is_above(target)
        case CommitWorktree():
            within = command.worktree_id == asker.worktree_id
        case WriteCapsule():
            within = command.session_id == asker.session_id
        case AdvanceStage():
            within = _works_on(asker, command.task_id, world)
        case RequestApproval():
            gate = world.find(GateState, command.gate_id)
            within = gate is not None and _works_on(asker, gate.task_id, world)
        case _:
            within = False
    return "within" if within else "outside"


def sees(asker: SessionState, subject: Subject, world: World) -> bool:
    """Whether a session may read about a subject."""
    match subject.kind:
        case "workspace":
            return True
        case "project":
            return subject.id == asker.project_id
        case "session":
            return _in_lineage(asker, subject.id, world)
        case "run":
            run = world.find(RunState, subject.id)
            return run is not None and _in_lineage(asker, run.session_id, world)
        case "worktree":
            tree = world.find(WorktreeState, subject.id)
            return (
                tree is not None
                and tree.session_id is not None
                and _in_lineage(asker, tree.session_id, world)
            ) or (asker.worktree_id is not None and subject.id == asker.worktree_id)
        case "task":
            return _task_in_lineage(asker, subject.id, world)
        case "gate":
            gate = world.find(GateState, subject.id)
            return gate is not None and _task_in_lineage(asker, gate.task_id, world)
        case "approval":
            approval = world.find(ApprovalState, subject.id)
            return approval is not None and _sees_approval(asker, approval, world)
        case "capsule":
            capsule = world.find(CapsuleState, subject.id)
            return capsule is not None and _in_lineage(asker, capsule.session_id, world)
        case _:
            return False


def reads_text(asker: SessionState, ref: ArtifactRef, world: World) -> bool:
    """Whether a session may read a text: one that was said to its lineage, or that its lineage wrote."""
    for each in world.every(SessionState):
        if not _in_lineage(asker, each.session_id, world):
            continue
        said = (each.prompt, *(prompt.text for prompt in each.prompts))
        told = (run.prompt for run in world.related(RunState, each.session_id))
        written = (capsule.text for capsule in world.related(CapsuleState, each.session_id))
        if any(text is not None and text.ref == ref for text in (*said, *told, *written)):
            return True
    return False


def _in_lineage(asker: SessionState, session_id: str, world: World) -> bool:
    if session_id == asker.session_id or session_id in asker.path:
        return True
    other = world.find(SessionState, session_id)
    return other is not None and asker.is_above(other)


def _sees_approval(asker: SessionState, approval: ApprovalState, world: World) -> bool:
    if approval.question is not None:
        return _in_lineage(asker, approval.question.session_id, world)
    return approval.task_id is not None and _task_in_lineage(asker, approval.task_id, world)


def _works_on(asker: SessionState, task_id: str, world: World) -> bool:
    task = world.find(TaskState, task_id)
    return task is not None and (task.session_id == asker.session_id or asker.task_id == task_id)


def _task_in_lineage(asker: SessionState, task_id: str, world: World) -> bool:
    task = world.find(TaskState, task_id)
    if task is None:
        return False
    if asker.task_id == task_id:
        return True
    return task.session_id is not None and _in_lineage(asker, task.session_id, world)
