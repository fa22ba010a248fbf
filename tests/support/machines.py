"""The machines of the domain and the orders that are tried at each place of them.

What their walks give is kept in `tests/golden/machines/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from moduprompt.domain.approval.commands import DenyApproval, GrantApproval, ReportAnswered, RevokeApproval
from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.artifact.commands import EraseArtifact
from moduprompt.domain.capsule.commands import WriteCapsule
from moduprompt.domain.decider import ArtifactFacts, Command
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.gate.commands import RequestApproval, SatisfyGate
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.project.commands import (
    ArchiveProject,
    AttachRepository,
    CreateProject,
    DetachRepository,
    RenameProject,
)
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.run.commands import (
    ObservedStatus,
    ReportConversation,
    ReportExited,
    ReportLost,
    ReportSaid,
    ReportStarted,
    ReportStatus,
    ResizeRun,
    StartRun,
    StopRun,
)
from moduprompt.domain.run.progress import SAME_CALL_MAX
from moduprompt.domain.run.said import (
    ConversationNamed,
    LineSkipped,
    PermissionAsked,
    PermissionOption,
    PermissionWithdrawn,
    PromptAwaited,
    Said,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import (
    AgentSpec,
    CancelPrompt,
    CloseSession,
    DetachWorktree,
    FireUnpark,
    ForkSession,
    InterruptOutcome,
    InterruptSession,
    PromptSession,
    RenameSession,
    ReportHomeErased,
    ReportInterrupt,
    ReportPrompt,
    ReportPromptHeld,
    ReportTurn,
    ResendPrompt,
    SetBudget,
    SetPatience,
    SpawnSession,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.commands import (
    AdvanceStage,
    AssignTask,
    CancelTask,
    CompleteTask,
    CreateTask,
    FailTask,
    PauseTask,
    ResumeTask,
    RetryTask,
    SetDeadline,
    StartTask,
)
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.user.commands import CreateUser
from moduprompt.domain.workspace.commands import AdoptWorkspace, ArchiveWorkspace, RenameWorkspace
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.domain.worktree.commands import (
    AcquireWriter,
    CommitWorktree,
    DeleteWorktree,
    MergeWorktree,
    Operation,
    ReleaseWriter,
    ReportCommitted,
    ReportCreated,
    ReportDeleted,
    ReportFailed,
    ReportMerged,
    ReportSettled,
)
from moduprompt.domain.worktree.state import WorktreeState
from moduprompt.protocol import SYSTEM_WORKSPACE, UserId
from moduprompt.storage.hashing import content_hash
from tests.support.domain import OWNER, SEEN, WORKSPACE, Scene
from tests.support.stories import AGENT, a_project, a_session, a_working_session, stage
from tests.support.walks import Machine, edges


def _begin_workspace() -> Scene:
    created = WorkspaceCreated(workspace_id=WORKSPACE, name="home", owner_id=UserId(OWNER.id))
    scene = Scene().given(created)
    scene.is_frozen = True  # so that adoption is tried; the kernel lets no other order through meanwhile
    return scene


def _workspace(_: Scene) -> Iterator[Command]:
    yield RenameWorkspace(workspace_id=WORKSPACE, name="house")
    yield ArchiveWorkspace(workspace_id=WORKSPACE)
    yield AdoptWorkspace(workspace_id=WORKSPACE)


def _begin_user() -> Scene:
    scene = Scene(SYSTEM_WORKSPACE)
    scene.when(CreateUser(workspace_id=SYSTEM_WORKSPACE, name="me"))
    return scene


def _nothing(_: Scene) -> Iterator[Command]:
    return iter(())


def _begin_project() -> Scene:
    scene = Scene()
    scene.when(CreateProject(workspace_id=WORKSPACE, name="core"))
    return scene


def _project(scene: Scene) -> Iterator[Command]:
    for own in scene.world.every(ProjectState):
        id_ = own.project_id
        yield RenameProject(workspace_id=WORKSPACE, project_id=id_, name="kernel")
        yield ArchiveProject(workspace_id=WORKSPACE, project_id=id_)
        yield AttachRepository(workspace_id=WORKSPACE, project_id=id_, repository=SEEN.path)
        for each in own.repositories:
            yield DetachRepository(workspace_id=WORKSPACE, project_id=id_, repository_id=each.repository_id)


def _begin_session() -> Scene:
    scene = Scene()
    agent = AgentSpec(adapter="claude")  # one that tells what it uses
    scene.when(SpawnSession(workspace_id=WORKSPACE, project_id=a_project(scene), name="worker", agent=agent))
    return scene


def _session(scene: Scene) -> Iterator[Command]:
    sessions = list(scene.world.every(SessionState))
    yield from _of_session(sessions[0])
    for tree in list(scene.world.every(WorktreeState))[:1]:
        yield from _making(tree)
        yield from _removing(tree)
    for run in list(scene.world.every(RunState))[:1]:
        yield ReportExited(workspace_id=WORKSPACE, run_id=run.run_id, how="exited", code=0)
        yield _limited(run)
        if run.usage.reports == 0:
            used = UsageReported(output_tokens=9)
            yield ReportSaid(workspace_id=WORKSPACE, run_id=run.run_id, upto=run.said_upto + 1, said=(used,))
    if len(sessions) == 1:
        yield ForkSession(
            workspace_id=WORKSPACE, session_id=sessions[0].session_id, name="other", mode="planning_only"
        )
    yield from _beside(scene)


def _beside(scene: Scene) -> Iterator[Command]:
    """A fork on the branch of a worktree with which nothing else has happened, and what becomes of it."""
    trees = list(scene.world.every(WorktreeState))
    (first, *others), sessions = trees, list(scene.world.every(SessionState))
    own = sessions[0]
    is_plain = own.budget is None and own.parked is None and not own.prompts and own.patience == "bounded"
    if (
        len(sessions) == 1
        and is_plain
        and first.writer
        and not first.commit_generation + first.merge_generation
    ):
        id_ = sessions[0].session_id
        yield ForkSession(workspace_id=WORKSPACE, session_id=id_, name="same", mode="same_branch")
    for tree in others[:1]:
        yield ReportCreated(workspace_id=WORKSPACE, worktree_id=tree.worktree_id, path="/srv/u", head="c0")
        yield ReportSettled(
            workspace_id=WORKSPACE,
            worktree_id=tree.worktree_id,
            generation=tree.settle_generation,
            head="c1",
        )
        yield _failure(tree, "settle")


def _limited(run: RunState) -> Command:
    failure = FailureClass.RATE_LIMITED
    return ReportExited(workspace_id=WORKSPACE, run_id=run.run_id, how="exited", code=1, failure=failure)


def _of_session(own: SessionState) -> Iterator[Command]:
    id_ = own.session_id
    yield RenameSession(workspace_id=WORKSPACE, session_id=id_, name="reviewer")
    yield DetachWorktree(workspace_id=WORKSPACE, session_id=id_)
    yield CloseSession(workspace_id=WORKSPACE, session_id=id_)
    if own.budget is None and not own.prompts and own.parked is None:
        yield SetPatience(workspace_id=WORKSPACE, session_id=id_, patience="endless")
    if own.parked is not None:
        yield FireUnpark(workspace_id=WORKSPACE, session_id=id_, run_id=own.parked.run_id)
    yield ReportHomeErased(workspace_id=WORKSPACE, session_id=id_)
    if own.budget is None:
        yield SetBudget(workspace_id=WORKSPACE, session_id=id_, tokens=9)
    elif own.unfunded is not None:
        yield SetBudget(workspace_id=WORKSPACE, session_id=id_, tokens=99)
    if not own.prompts:
        yield PromptSession(workspace_id=WORKSPACE, session_id=id_, prompt="go on")
    for doubtful in own.uncertain[:1]:
        yield ResendPrompt(workspace_id=WORKSPACE, session_id=id_, prompt_id=doubtful.prompt_id)
    if own.submitted is not None:
        yield ReportTurn(
            workspace_id=WORKSPACE,
            session_id=id_,
            prompt_id=own.submitted.prompt_id,
            rule="input_read",
            rule_version=1,
            evidence="as it is",
        )
    for prompt in own.prompts:
        yield CancelPrompt(workspace_id=WORKSPACE, session_id=id_, prompt_id=prompt.prompt_id)
        yield ReportPromptHeld(
            workspace_id=WORKSPACE,
            session_id=id_,
            prompt_id=prompt.prompt_id,
            by="draft",
            evidence="as it is",
        )
        for outcome in ("placed", "submitted", "uncertain"):
            yield ReportPrompt(
                workspace_id=WORKSPACE,
                session_id=id_,
                prompt_id=prompt.prompt_id,
                outcome=outcome,  # type: ignore[arg-type]  # each is one of the three
            )


def _begin_turn() -> Scene:
    scene = Scene()
    a_working_session(scene)
    return scene


def _turn(scene: Scene) -> Iterator[Command]:
    (own,), (run,) = scene.world.every(SessionState), scene.world.every(RunState)
    yield InterruptSession(workspace_id=WORKSPACE, session_id=own.session_id)
    yield _sighting(run, "waiting_input")
    yield CloseSession(workspace_id=WORKSPACE, session_id=own.session_id)
    if own.interrupt is not None:
        for outcome in get_args(InterruptOutcome):
            yield ReportInterrupt(
                workspace_id=WORKSPACE,
                session_id=own.session_id,
                interrupt_id=own.interrupt.interrupt_id,
                outcome=outcome,
            )
    yield from (timer.command for timer in scene.timers())
    yield ReportExited(workspace_id=WORKSPACE, run_id=run.run_id, how="signalled", signal=2)


def _making(tree: WorktreeState) -> Iterator[Command]:
    yield ReportCreated(workspace_id=WORKSPACE, worktree_id=tree.worktree_id, path="/srv/t", head="c0")
    yield _failure(tree, "create")


def _removing(tree: WorktreeState) -> Iterator[Command]:
    yield DeleteWorktree(workspace_id=WORKSPACE, worktree_id=tree.worktree_id)
    yield ReportDeleted(workspace_id=WORKSPACE, worktree_id=tree.worktree_id, salvage_ref="refs/s")
    yield _failure(tree, "delete")


def _failure(tree: WorktreeState, operation: Operation) -> Command:
    return ReportFailed(
        workspace_id=WORKSPACE,
        worktree_id=tree.worktree_id,
        operation=operation,
        failure=FailureClass.MERGE_CONFLICT,
        reason="it did not work",
    )


def _worktree(scene: Scene) -> Iterator[Command]:
    tree = next(iter(scene.world.every(WorktreeState)))
    session = next(iter(scene.world.every(SessionState)))
    id_ = tree.worktree_id
    yield from _making(tree)
    yield from _removing(tree)
    yield from _merging(tree)
    yield CommitWorktree(workspace_id=WORKSPACE, worktree_id=id_, message="a change")
    yield ReportCommitted(
        workspace_id=WORKSPACE,
        worktree_id=id_,
        generation=tree.commit_generation,
        head="c1",
        commits=("c1",),
        files_changed=1,
    )
    yield _failure(tree, "commit")
    yield AcquireWriter(workspace_id=WORKSPACE, worktree_id=id_, session_id=session.session_id)
    yield ReleaseWriter(workspace_id=WORKSPACE, worktree_id=id_, fence=tree.fence)
    yield CloseSession(workspace_id=WORKSPACE, session_id=session.session_id)
    yield from _beside(scene)
    if len(list(scene.world.every(WorktreeState))) > 1:
        for run in scene.world.every(RunState):
            yield ReportExited(workspace_id=WORKSPACE, run_id=run.run_id, how="exited", code=0)


def _merging(tree: WorktreeState) -> Iterator[Command]:
    yield MergeWorktree(workspace_id=WORKSPACE, worktree_id=tree.worktree_id)
    yield ReportMerged(
        workspace_id=WORKSPACE,
        worktree_id=tree.worktree_id,
        generation=tree.merge_generation,
        commit="c2",
        into="main",
    )
    yield _failure(tree, "merge")


QUESTION: Final = PermissionAsked(
    request_id="r1",
    tool="shell",
    arguments_digest="0" * 64,
    options=(
        PermissionOption(id="yes", kind="allow_once", label="Yes"),
        PermissionOption(id="no", kind="reject_once", label="No"),
    ),
)
EVERYTHING_SAID: tuple[Said, ...] = (
    ConversationNamed(conversation_id="c1"),
    PromptAwaited(),
    TurnBegan(),
    ToolCalled(call_id="t1", tool="write", arguments_digest="0" * 64),
    ToolEnded(call_id="t1", how="done"),
    QUESTION,
    PermissionWithdrawn(request_id="r1"),
    UsageReported(input_tokens=7, output_tokens=3),
    TroubleSeen(failure=FailureClass.NETWORK, message="a stream was cut"),
    LineSkipped(bytes=9),
    TurnEnded(how="done"),
)


STUCK: tuple[Said, ...] = (
    ToolCalled(call_id="t2", tool="shell", arguments_digest="0" * 64),
    ToolEnded(call_id="t2", how="failed"),
) * SAME_CALL_MAX


def _begin_run() -> Scene:
    scene = Scene()
    a_session(scene)
    return scene


def _run(scene: Scene) -> Iterator[Command]:
    runs = list(scene.world.every(RunState))
    for own in runs:
        yield from _of_run(own)
    if len(runs) == 1:
        yield StartRun(workspace_id=WORKSPACE, session_id=runs[0].session_id, resume=True)
    yield CloseSession(workspace_id=WORKSPACE, session_id=runs[0].session_id)


def _of_run(own: RunState) -> Iterator[Command]:
    id_ = own.run_id
    yield ReportConversation(workspace_id=WORKSPACE, run_id=id_, begun="fresh", why="nothing was saved")
    yield ReportStarted(workspace_id=WORKSPACE, run_id=id_, pid=7, start_time=9)
    yield _sighting(own, "waiting_input")
    yield _sighting(own, "working")
    yield ReportSaid(workspace_id=WORKSPACE, run_id=id_, upto=own.said_upto + 1, said=EVERYTHING_SAID)
    if own.status == "started" and not own.stop_requested and own.said_upto == 0:
        yield ReportSaid(workspace_id=WORKSPACE, run_id=id_, upto=1, said=STUCK)
    yield ResizeRun(workspace_id=WORKSPACE, run_id=id_, rows=own.rows + 1, cols=own.cols)
    yield StopRun(workspace_id=WORKSPACE, run_id=id_)
    recording = f"blake3:{'0' * 64}"
    yield ReportExited(
        workspace_id=WORKSPACE,
        run_id=id_,
        how="exited",
        code=1,
        recording=recording,  # type: ignore[arg-type]  # a reference by its form
    )
    yield ReportLost(workspace_id=WORKSPACE, run_id=id_, evidence="no keeper")


def _sighting(own: RunState, status: ObservedStatus) -> Command:
    return ReportStatus(
        workspace_id=WORKSPACE, run_id=own.run_id, status=status, rule="marker", rule_version=1, evidence=""
    )


def _begin_gate() -> Scene:
    scene = Scene()
    stages = (stage("plan"), stage("build"), stage("ship", gates=1))
    scene.when(
        CreateTask(workspace_id=WORKSPACE, project_id=a_project(scene), title="a change", stages=stages)
    )
    return scene


def _gate(scene: Scene) -> Iterator[Command]:
    for gate in scene.world.every(GateState):
        yield RequestApproval(workspace_id=WORKSPACE, gate_id=gate.gate_id)
        yield SatisfyGate(workspace_id=WORKSPACE, gate_id=gate.gate_id, evidence="it came")
    yield from _approvals(scene)


def _begin_question() -> Scene:
    """Beside a gate of a task that can go back, a run whose program asks for permission."""
    scene = _begin_gate()
    task_id = next(iter(scene.world.every(TaskState))).task_id
    scene.when(StartTask(workspace_id=WORKSPACE, task_id=task_id))
    scene.when(AdvanceStage(workspace_id=WORKSPACE, task_id=task_id))
    scene.when(
        SpawnSession(
            workspace_id=WORKSPACE,
            project_id=next(iter(scene.world.every(ProjectState))).project_id,
            name="worker",
            agent=AGENT,
            place="none",
        )
    )
    run = next(iter(scene.world.every(RunState)))
    scene.when(ReportStarted(workspace_id=WORKSPACE, run_id=run.run_id, pid=7, start_time=9))
    return scene


def _questioned(scene: Scene) -> Iterator[Command]:
    for gate in scene.world.every(GateState):
        yield RequestApproval(workspace_id=WORKSPACE, gate_id=gate.gate_id)
        yield AdvanceStage(workspace_id=WORKSPACE, task_id=gate.task_id, to="plan")
    run = next(iter(scene.world.every(RunState)))
    if not any(each.question for each in scene.world.every(ApprovalState)):
        yield ReportSaid(workspace_id=WORKSPACE, run_id=run.run_id, upto=run.said_upto + 1, said=(QUESTION,))
    gone = PermissionWithdrawn(request_id=QUESTION.request_id)
    yield ReportSaid(workspace_id=WORKSPACE, run_id=run.run_id, upto=run.said_upto + 1, said=(gone,))
    yield from _approvals(scene)
    for approval in scene.world.every(ApprovalState):
        yield ReportAnswered(
            workspace_id=WORKSPACE, approval_id=approval.approval_id, how="given", evidence="told"
        )


def _approvals(scene: Scene) -> Iterator[Command]:
    for approval in scene.world.every(ApprovalState):
        id_ = approval.approval_id
        yield GrantApproval(workspace_id=WORKSPACE, approval_id=id_)
        yield DenyApproval(workspace_id=WORKSPACE, approval_id=id_)
        yield RevokeApproval(workspace_id=WORKSPACE, approval_id=id_)


def _begin_task() -> Scene:
    scene = Scene()
    project_id = a_project(scene)
    scene.when(SpawnSession(workspace_id=WORKSPACE, project_id=project_id, name="worker", agent=AGENT))
    tree = next(iter(scene.world.every(WorktreeState)))
    scene.when(ReportCreated(workspace_id=WORKSPACE, worktree_id=tree.worktree_id, path="/t", head="c0"))
    run = next(iter(scene.world.every(RunState)))
    scene.when(ReportStarted(workspace_id=WORKSPACE, run_id=run.run_id, pid=7, start_time=9))
    stages = (stage("build"), stage("land", "merge", gates=1))
    rule = RetryRule(max_attempts=2, backoff="fixed", jitter="none")
    scene.when(
        CreateTask(workspace_id=WORKSPACE, project_id=project_id, title="a change", stages=stages, retry=rule)
    )
    return scene


def _task(scene: Scene) -> Iterator[Command]:
    own = next(iter(scene.world.every(TaskState)))
    session = next(iter(scene.world.every(SessionState)))
    id_ = own.task_id
    for kind in (
        StartTask, AdvanceStage, CompleteTask, CancelTask, RetryTask, PauseTask, ResumeTask,
    ):  # fmt: skip
        yield kind(workspace_id=WORKSPACE, task_id=id_)
    yield AssignTask(workspace_id=WORKSPACE, task_id=id_, session_id=session.session_id)
    yield FailTask(workspace_id=WORKSPACE, task_id=id_, failure=FailureClass.TIMEOUT, reason="slow")
    yield SetDeadline(workspace_id=WORKSPACE, task_id=id_, due_at="2026-06-01T00:00:00.000000Z")
    yield from (timer.command for timer in scene.timers())
    yield from _approvals(scene)
    for tree in scene.world.every(WorktreeState):
        yield from list(_merging(tree))[1:]
    for run in scene.world.every(RunState):
        if run.is_live():
            yield _sighting(run, "waiting_input")
            yield _sighting(run, "working")
            yield ReportExited(workspace_id=WORKSPACE, run_id=run.run_id, how="exited", code=1)
            yield _limited(run)


def _begin_artifact() -> Scene:
    scene = Scene()
    (erase,) = _artifact(scene)
    scene.when(erase, observed=ArtifactFacts())
    return scene


def _artifact(_: Scene) -> Iterator[Command]:
    yield EraseArtifact(workspace_id=WORKSPACE, ref=content_hash(b"a text"), reason="wrong place")


def _begin_capsule() -> Scene:
    scene = _begin_session()
    scene.when(next(_capsule(scene)))
    return scene


def _capsule(scene: Scene) -> Iterator[Command]:
    session = next(iter(scene.world.every(SessionState)))
    for account in ("half done", "done"):
        yield WriteCapsule(
            workspace_id=WORKSPACE, session_id=session.session_id, capsule_kind="status", account=account
        )


MACHINES: tuple[Machine, ...] = (
    Machine(noun="workspace", begin=_begin_workspace, orders=_workspace, depth=4),
    Machine(noun="user", begin=_begin_user, orders=_nothing, depth=1),
    Machine(noun="project", begin=_begin_project, orders=_project, depth=5),
    Machine(
        noun="session",
        begin=_begin_session,
        orders=_session,
        depth=5,
        beside=Machine(noun="session", begin=_begin_turn, orders=_turn, depth=6),
    ),
    Machine(noun="worktree", begin=_begin_session, orders=_worktree, depth=7),
    Machine(noun="run", begin=_begin_run, orders=_run, depth=6),
    Machine(noun="approval", begin=_begin_question, orders=_questioned, depth=5),
    Machine(noun="gate", begin=_begin_gate, orders=_gate, depth=5),
    Machine(noun="task", begin=_begin_task, orders=_task, depth=6),
    Machine(noun="artifact", begin=_begin_artifact, orders=_artifact, depth=2),
    Machine(noun="capsule", begin=_begin_capsule, orders=_capsule, depth=3),
)


def machines() -> dict[str, bytes]:
    """The golden files: one a noun, an edge a line."""
    return {
        f"{machine.noun}.txt": "".join(f"{edge}\n" for edge in edges(machine)).encode()
        for machine in MACHINES
    }
