"""What a demo leaves in the log, as a hand would write it: three sessions, one task, one question.

`planner` is the root, `tester` its child, `variant` a fork of planner. planner asks once
and is answered; the task goes through its five stages, is held at the gate to merge, an
agent tries to approve and is refused, the owner grants, git merges.
"""

from itertools import pairwise

from moduprompt.domain.approval.events import ApprovalGranted, ApprovalRequested
from moduprompt.domain.gate.events import GateBlocked, GateSatisfied
from moduprompt.domain.project.events import ProjectCreated, RepositoryAttached
from moduprompt.domain.run.commands import ObservedStatus
from moduprompt.domain.run.events import (
    RunExited,
    RunOutputRecorded,
    RunRequested,
    RunStarted,
    RunStatusObserved,
)
from moduprompt.domain.session.commands import AgentSpec
from moduprompt.domain.session.events import (
    PromptAccepted,
    PromptPlaced,
    PromptSubmitted,
    SessionForked,
    SessionSpawned,
    SessionWorktreeAttached,
)
from moduprompt.domain.task.events import (
    StageChanged,
    TaskAssigned,
    TaskBlocked,
    TaskCompleted,
    TaskCreated,
    TaskStarted,
    TaskUnblocked,
)
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.task.stages import Stage
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.domain.worktree.events import (
    CommitRequested,
    MergeRequested,
    WorktreeCommitted,
    WorktreeCreated,
    WorktreeMerged,
    WorktreeRequested,
    WriterLocked,
    WriterReleased,
)
from moduprompt.policy.rights import DEFAULT_RIGHTS
from moduprompt.protocol import (
    Actor,
    ApprovalId,
    ArtifactRef,
    CommandRejected,
    GateId,
    ProjectId,
    PromptId,
    RepositoryId,
    RunId,
    SessionId,
    TaskId,
    UserId,
    WorktreeId,
)
from tests.support.histories import OWNER, WORKSPACE, History, text_ref

REPOSITORY = "/srv/demo/moduprompt"
STAGES = ("plan", "implement", "test", "review")


class DemoHistory:
    """Writes it down, noun by noun."""

    def __init__(self) -> None:
        self.log = History()
        self.project = ProjectId(self.log.new_id())
        self.task, self.gate = TaskId(self.log.new_id()), GateId(self.log.new_id())
        self.approval = ApprovalId(self.log.new_id())
        self.planner, self.tester, self.variant = (SessionId(self.log.new_id()) for _ in range(3))
        self.trees = {id_: WorktreeId(self.log.new_id()) for id_ in (self.planner, self.tester, self.variant)}
        self.runs = {id_: RunId(self.log.new_id()) for id_ in self.trees}
        self.heads: dict[str, str] = {}

    def write(self) -> History:
        """All of it."""
        self._open()
        self._spawn(self.planner, "planner")
        self._begin_task()
        self._spawn(self.tester, "tester", parent=self.planner)
        self._spawn(self.variant, "variant", fork_of=self.planner)
        self._ask_and_answer()
        self._work_through_stages()
        self._approve_and_merge()
        return self.log

    def _open(self) -> None:
        self.log.add(
            WorkspaceCreated(workspace_id=WORKSPACE, name="demo", owner_id=UserId(OWNER.id)), by=OWNER
        )
        self.log.after(0.2).add(
            ProjectCreated(project_id=self.project, name="moduprompt"),
            RepositoryAttached(
                project_id=self.project,
                repository_id=RepositoryId(self.log.new_id()),
                path=REPOSITORY,
                branch="main",
                head="4f1d" * 10,
            ),
            by=OWNER,
        )

    def _spawn(
        self, id_: SessionId, name: str, *, parent: SessionId | None = None, fork_of: SessionId | None = None
    ) -> None:
        agent = AgentSpec(adapter="scripted", argv=(f"{name}.script",))
        branch = f"mp/{name}-{id_[-8:]}"
        path = (id_,) if parent is None else (parent, id_)
        base = "main" if parent is None and fork_of is None else f"mp/planner-{self.planner[-8:]}"
        begun = SessionSpawned(
            session_id=id_, project_id=self.project, name=name, agent=agent, may=DEFAULT_RIGHTS,
            root_session_id=path[0], path=path, place="new_worktree", branch=branch, base=base,
            parent_session_id=parent, prompt=text_ref(f"{name}, do your part"),
        )  # fmt: skip
        if fork_of is not None:
            begun = SessionForked(
                session_id=id_, project_id=self.project, name=name, agent=agent, may=DEFAULT_RIGHTS,
                root_session_id=id_, path=path, place="new_worktree", branch=branch, base=base,
                prompt=text_ref(f"{name}, do your part"), fork_of=fork_of, mode="default",
            )  # fmt: skip
        tree, run = self.trees[id_], self.runs[id_]
        self.log.after(0.3).add(
            begun,
            WorktreeRequested(
                worktree_id=tree, project_id=self.project, repository=REPOSITORY, branch=branch, base=base,
                session_id=id_,
            ),
            by=OWNER,
        )  # fmt: skip
        self.heads[id_] = f"{tree[-8:]}00" * 4
        self.log.after(0.12).add(
            WorktreeCreated(worktree_id=tree, path=f"{REPOSITORY}.trees/{name}", head=self.heads[id_]),
            WriterLocked(worktree_id=tree, session_id=id_, fence=1),
            SessionWorktreeAttached(session_id=id_, worktree_id=tree),
            RunRequested(
                run_id=run, session_id=id_, project_id=self.project, worktree_id=tree, agent=agent, ordinal=1,
                token_sha256="0" * 64, rows=24, cols=80,
            ),
        )  # fmt: skip
        self.log.after(0.15).add(RunStarted(run_id=run, pid=4_000 + len(self.heads), start_time=123_456))
        self._observe(id_, "working", "it prints")

    def _begin_task(self) -> None:
        stages = (
            *(Stage(name=name, kind=name) for name in STAGES),
            Stage(name="merge", kind="merge", gate_ids=(self.gate,)),
        )
        self.log.after(0.1).add(
            TaskCreated(
                task_id=self.task, project_id=self.project, title="Add a greeting", stages=stages,
                retry=RetryRule(max_attempts=2), priority=5,
            ),
            GateBlocked(
                gate_id=self.gate, task_id=self.task, stage="merge", gate_kind="manual_approval", approvals_needed=1
            ),
            by=OWNER,
        )  # fmt: skip
        self.log.add(TaskAssigned(task_id=self.task, session_id=self.planner), by=OWNER)
        self.log.after(0.1).add(
            TaskStarted(task_id=self.task, attempt=1), StageChanged(task_id=self.task, stage="plan"), by=OWNER
        )

    def _ask_and_answer(self) -> None:
        self.log.after(1.4)
        self._observe(self.planner, "waiting_input", "it asks: Which greeting?")
        self.log.add(TaskBlocked(task_id=self.task, by="user_input"))
        prompt = PromptId(self.log.new_id())
        self.log.after(2.5).add(
            PromptAccepted(session_id=self.planner, prompt_id=prompt, prompt=text_ref("Grüße, 世界")),
            by=OWNER,
        )
        self.log.after(0.05).add(PromptPlaced(session_id=self.planner, prompt_id=prompt))
        self.log.after(0.05).add(PromptSubmitted(session_id=self.planner, prompt_id=prompt))
        self._observe(self.planner, "working", f"prompt {prompt} was typed")
        self.log.add(TaskUnblocked(task_id=self.task, by="user_input"))

    def _work_through_stages(self) -> None:
        agent = Actor(kind="session", id=self.planner)
        for before, stage in pairwise(STAGES):
            self.log.after(0.8).add(StageChanged(task_id=self.task, stage=stage, before=before), by=agent)
        self._commit(self.planner, "Greet the world", files=2)
        self._commit(self.tester, "Test the greeting", files=1)
        self._exit(self.tester)
        self._commit(self.variant, "Greet it differently", files=3)
        self._exit(self.variant)

    def _approve_and_merge(self) -> None:
        agent = Actor(kind="session", id=self.planner)
        self.log.after(0.4).add(
            TaskBlocked(task_id=self.task, by="approval", stage="merge", gate_ids=(self.gate,)),
            ApprovalRequested(
                approval_id=self.approval, gate_id=self.gate, task_id=self.task, stage="merge",
                reason="the task wants to enter merge",
            ),
            by=agent,
        )  # fmt: skip
        refused = CommandRejected(
            command_type="approval.grant", code="policy_denied",
            message="approval.grant is never open to a session", reason="never_for_sessions",
        )  # fmt: skip
        self.log.after(0.6).refuse(refused, by=agent)
        self._exit(self.planner)
        self.log.after(3.1).add(
            ApprovalGranted(approval_id=self.approval, user_id=UserId(OWNER.id), reason="reads well"),
            GateSatisfied(gate_id=self.gate, evidence="1 of 1 approvals granted"),
            TaskUnblocked(task_id=self.task, by="approval"),
            StageChanged(task_id=self.task, stage="merge", before="review"),
            MergeRequested(worktree_id=self.trees[self.planner], generation=1, into="main"),
            by=OWNER,
        )
        self.log.after(0.3).add(
            WorktreeMerged(
                worktree_id=self.trees[self.planner], generation=1, commit="9c0ffee1" * 5, into="main"
            ),
            TaskCompleted(task_id=self.task),
        )

    def _observe(self, id_: SessionId, status: ObservedStatus, evidence: str) -> None:
        rule = "screen" if status == "waiting_input" else "output"
        self.log.add(
            RunStatusObserved(
                run_id=self.runs[id_], status=status, rule=rule, rule_version=1, evidence=evidence
            )
        )

    def _commit(self, id_: SessionId, message: str, *, files: int) -> None:
        tree, agent = self.trees[id_], Actor(kind="session", id=id_)
        self.log.after(0.4).add(CommitRequested(worktree_id=tree, generation=1, message=message), by=agent)
        head = f"{id_[-8:]}ab" * 4
        self.log.after(0.1).add(
            WorktreeCommitted(worktree_id=tree, generation=1, head=head, commits=(head,), files_changed=files)
        )

    def _exit(self, id_: SessionId) -> None:
        run = self.runs[id_]
        recording = ArtifactRef("blake3:" + f"{run[-8:]}" * 8)
        self.log.after(0.2).add(
            RunOutputRecorded(run_id=run, output_bytes=2_048, recording=recording),
            RunExited(run_id=run, how="exited", code=0, output_bytes=2_048),
            WriterReleased(worktree_id=self.trees[id_], fence=1),
        )


def demo_history() -> History:
    """The whole of it."""
    return DemoHistory().write()
