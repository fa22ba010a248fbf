"""What the clients of a simulation do: the stories of the kernel's tests, and what leads further.

Adds to them tasks that are tried again, approvals, commits, merges and runs that are
stopped, so that reactions, timers and hands have work.
"""

import msgspec

from moduprompt.domain.approval.commands import DenyApproval, GrantApproval
from moduprompt.domain.decider import Command
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import StopRun
from moduprompt.domain.task.commands import AdvanceStage, CreateTask, FailTask, StartTask
from moduprompt.domain.task.retries import RetryRule
from moduprompt.domain.worktree.commands import CommitWorktree, MergeWorktree
from moduprompt.protocol import (
    Accepted,
    Actor,
    Answer,
    ApprovalId,
    RunId,
    TaskId,
    WorkspaceId,
    WorktreeId,
    decode_event,
)
from tests.support.kernel_stories import Asked, Story
from tests.support.simulation.submitting import Promise

AGAIN = RetryRule(max_attempts=5, backoff="fixed", delay_s=3, jitter="full")
MORE = ("approval", "worktree", "run")


class Orders(Story):
    """A story with more in it. `promises` are the answers that must hold."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.known |= {kind: [] for kind in MORE}
        self.promises: list[Promise] = []

    def next_asked(self, owner: Actor) -> Asked:
        """What one of the clients does next."""
        asked = super().next_asked(owner)
        if any(asked is each for each, _ in self.told):
            return asked  # word for word, as a client that missed the answer does
        asked = msgspec.structs.replace(asked, command=self._at_home(asked.command))
        if self.random.random() < 0.25 and any(self.known[kind] for kind in MORE):
            return msgspec.structs.replace(asked, command=self._further(), actor=owner, expected_version=None)
        return asked

    def learn(self, asked: Asked, answer: Answer) -> None:
        """What an answer taught the clients, and what it promised."""
        super().learn(asked, answer)
        if isinstance(answer, Accepted):
            self.promises.append(Promise(asked=asked, answer=answer))

    def hear(self, data: bytes) -> None:
        """An event that a client saw on a stream."""
        event = decode_event(data)
        if event.subject.kind in self.known and event.subject.id not in self.home:
            self.known[event.subject.kind].append(event.subject.id)
            self.home[event.subject.id] = event.workspace_id

    def unlearn(self, promised: int) -> None:
        """The world goes on from an earlier moment: what was promised after it never happened."""
        del self.promises[promised:]
        self.told = [(each.asked, each.answer) for each in self.promises]

    def _at_home(self, command: Command) -> Command:
        """Mostly where its project is: orders that nothing can come of are few."""
        if isinstance(command, CreateTask):
            command = msgspec.structs.replace(command, retry=AGAIN)
        project_id = getattr(command, "project_id", None)
        if project_id in self.home and self.random.random() < 0.9:
            return msgspec.structs.replace(command, workspace_id=self.home[project_id])
        return command

    def _further(self) -> Command:
        task, approval = TaskId(self._any("task")), ApprovalId(self._any("approval"))
        tree, run = WorktreeId(self._any("worktree")), RunId(self._any("run"))
        return self.random.choice(
            (
                StartTask(workspace_id=self._of(task), task_id=task),
                FailTask(workspace_id=self._of(task), task_id=task, failure=FailureClass.TIMEOUT),
                AdvanceStage(workspace_id=self._of(task), task_id=task),
                GrantApproval(workspace_id=self._of(approval), approval_id=approval),
                DenyApproval(workspace_id=self._of(approval), approval_id=approval),
                CommitWorktree(workspace_id=self._of(tree), worktree_id=tree, message="work"),
                MergeWorktree(workspace_id=self._of(tree), worktree_id=tree),
                StopRun(workspace_id=self._of(run), run_id=run),
            )
        )

    def _of(self, id_: str) -> WorkspaceId:
        return self.home.get(id_, WorkspaceId(self._any("workspace")))
