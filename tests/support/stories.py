"""Where a story of the domain begins: projects, sessions at work, tasks on their way.

Each function gives the orders that lead there, as a client and the hands would, so that
no story begins in a state which nothing leads to.
"""

from __future__ import annotations

from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.run.commands import ObservedStatus, ReportExited, ReportStarted, ReportStatus
from moduprompt.domain.run.decide import live_run
from moduprompt.domain.session.commands import AgentSpec, Place, PromptSession, SpawnSession
from moduprompt.domain.session.events import PromptAccepted
from moduprompt.domain.task.commands import AdvanceStage, AssignTask, CreateTask, StartTask
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.stages import DEFAULT_PIPELINE, GateSpec, StageKind, StageSpec
from moduprompt.domain.worktree.commands import ReportCreated
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import ApprovalId, ProjectId, PromptId, RunId, SessionId, TaskId, WorktreeId
from tests.support.domain import KERNEL, WORKSPACE, Scene

AGENT = AgentSpec(adapter="scripted", argv=("agent", "--now"))


def stage(name: str, kind: StageKind = "implement", *, gates: int = 0, needed: int = 1) -> StageSpec:
    """A stage behind so many approval gates."""
    return StageSpec(name=name, kind=kind, gates=(GateSpec(approvals_needed=needed),) * gates)


def a_project(scene: Scene, *, repository: str | None = "/srv/repo") -> ProjectId:
    """A project, with its repository."""
    command = CreateProject(workspace_id=WORKSPACE, name="core", repository=repository)
    return ProjectId(scene.when(command).subject())


def a_waiting_session(
    scene: Scene, project_id: ProjectId, *, place: Place = "new_worktree", parent: SessionId | None = None
) -> SessionId:
    """A session whose worktree is asked for."""
    command = SpawnSession(
        workspace_id=WORKSPACE,
        project_id=project_id,
        name="worker",
        agent=AGENT,
        place=place,
        parent_session_id=parent,
        prompt="make it so",
    )
    return SessionId(scene.when(command).subject())


def its_tree(scene: Scene, session_id: SessionId) -> WorktreeId:
    """The worktree that was made for a session."""
    trees = scene.world.every(WorktreeState)
    return next(tree.worktree_id for tree in trees if tree.session_id == session_id)


def its_run(scene: Scene, session_id: SessionId) -> RunId:
    """The live run of a session."""
    live = live_run(session_id, scene.world)
    assert live is not None, f"session {session_id} has no live run"
    return live.run_id


def a_session(
    scene: Scene, project_id: ProjectId | None = None, *, parent: SessionId | None = None
) -> SessionId:
    """A session in its worktree, whose first run is asked for."""
    session_id = a_waiting_session(scene, project_id or a_project(scene), parent=parent)
    made(scene, its_tree(scene, session_id))
    return session_id


def made(scene: Scene, worktree_id: WorktreeId) -> None:
    """A worktree lies on disk."""
    report = ReportCreated(
        workspace_id=WORKSPACE, worktree_id=worktree_id, path=f"/srv/trees/{worktree_id}", head="c0ffee"
    )
    scene.when(report, actor=KERNEL)


def a_working_session(scene: Scene, project_id: ProjectId | None = None) -> SessionId:
    """A session whose program runs."""
    session_id = a_session(scene, project_id)
    started(scene, its_run(scene, session_id))
    return session_id


def started(scene: Scene, run_id: RunId) -> None:
    """A run's program runs."""
    scene.when(ReportStarted(workspace_id=WORKSPACE, run_id=run_id, pid=7, start_time=9), actor=KERNEL)


def observed(scene: Scene, run_id: RunId, status: ObservedStatus) -> None:
    """A run is seen doing something."""
    report = ReportStatus(
        workspace_id=WORKSPACE, run_id=run_id, status=status, rule="marker", rule_version=1, evidence="> "
    )
    scene.when(report, actor=KERNEL)


def exited(
    scene: Scene, run_id: RunId, *, code: int | None = 0, failure: FailureClass | None = None
) -> list[str]:
    """A run ends; gives the names of what followed."""
    report = ReportExited(workspace_id=WORKSPACE, run_id=run_id, how="exited", code=code, failure=failure)
    return [event.wire for event in scene.when(report, actor=KERNEL).events]


def a_prompt(scene: Scene, session_id: SessionId, text: str = "go on") -> PromptId:
    """A prompt that a session has accepted."""
    outcome = scene.when(PromptSession(workspace_id=WORKSPACE, session_id=session_id, prompt=text))
    return outcome.one(PromptAccepted).prompt_id


def a_task(
    scene: Scene,
    project_id: ProjectId,
    *,
    stages: tuple[StageSpec, ...] = DEFAULT_PIPELINE,
    retry: RetryRule | None = None,
    session_id: SessionId | None = None,
) -> TaskId:
    """A task that waits for its start."""
    command = CreateTask(
        workspace_id=WORKSPACE,
        project_id=project_id,
        title="a change",
        stages=stages,
        retry=retry or RetryRule(),
    )
    task_id = TaskId(scene.when(command).subject())
    if session_id is not None:
        scene.when(AssignTask(workspace_id=WORKSPACE, task_id=task_id, session_id=session_id))
    return task_id


def a_running_task(
    scene: Scene,
    project_id: ProjectId,
    *,
    stages: tuple[StageSpec, ...] = DEFAULT_PIPELINE,
    retry: RetryRule | None = None,
    session_id: SessionId | None = None,
) -> TaskId:
    """A task in its first stage."""
    task_id = a_task(scene, project_id, stages=stages, retry=retry, session_id=session_id)
    scene.when(StartTask(workspace_id=WORKSPACE, task_id=task_id))
    return task_id


def advanced(scene: Scene, task_id: TaskId, to: str | None = None) -> list[str]:
    """A stage is proposed; gives the names of what followed."""
    outcome = scene.when(AdvanceStage(workspace_id=WORKSPACE, task_id=task_id, to=to))
    assert outcome.rejection is None, outcome.rejection
    return [event.wire for event in outcome.events]


def waiting_approvals(scene: Scene) -> list[ApprovalId]:
    """The approvals that wait for somebody's word."""
    return [each.approval_id for each in scene.world.every(ApprovalState) if each.status == "requested"]
