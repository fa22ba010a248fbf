"""Makes worktrees, commits, merges and removals come true, and reports what git said."""

from pathlib import Path
from typing import Final

from moduprompt.domain.decider import Intent
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.worktree.commands import (
    Operation,
    ReportCommitted,
    ReportCreated,
    ReportDeleted,
    ReportFailed,
    ReportMerged,
    ReportSettled,
)
from moduprompt.domain.worktree.intents import (
    MakeCommit,
    MakeMerge,
    MakeWorktree,
    RemoveWorktree,
    SettleBranch,
    WorktreeIntent,
)
from moduprompt.effects.git.port import (
    CommitSpec,
    GitRefusal,
    Home,
    MergeSpec,
    RefusalReason,
    RemoveSpec,
    SettleSpec,
    Worktrees,
    WorktreeSpec,
)
from moduprompt.effects.reporter import Reporter, report
from moduprompt.protocol import REASON_MAX

FAILURES: Final[dict[RefusalReason, FailureClass]] = {
    "merge_conflict": FailureClass.MERGE_CONFLICT,
    "dirty_repository": FailureClass.WORKTREE_CONFLICT,
    "branch_exists": FailureClass.WORKTREE_CONFLICT,
    "branch_checked_out": FailureClass.WORKTREE_CONFLICT,
    "branch_diverged": FailureClass.WORKTREE_CONFLICT,
    "worktree_conflict": FailureClass.WORKTREE_CONFLICT,
    "timed_out": FailureClass.TIMEOUT,
    "git_missing": FailureClass.PROGRAM_MISSING,
}
AUTHOR_EMAIL: Final = "agent@moduprompt.localhost"  # an agent has no mailbox; the name says who it was


class GitHand:
    """The `Hand` for worktrees."""

    handles = (MakeWorktree, MakeCommit, SettleBranch, MakeMerge, RemoveWorktree)

    def __init__(self, git: Worktrees, reporter: Reporter, *, worktrees_dir: Path) -> None:
        self._git = git
        self._reporter = reporter
        self._worktrees_dir = worktrees_dir

    async def carry_out(self, intent: Intent) -> bool:
        """One operation, then its report. Git refusing is a result, not a failure of ours."""
        match intent:
            case MakeWorktree():
                await self._create(intent)
            case MakeCommit():
                await self._commit(intent)
            case SettleBranch():
                await self._settle(intent)
            case MakeMerge():
                await self._merge(intent)
            case RemoveWorktree():
                await self._remove(intent)
            case _:
                raise AssertionError(f"BUG: {type(intent).__name__} is not for git")
        return True

    async def _create(self, intent: MakeWorktree) -> None:
        path = self._worktrees_dir / intent.worktree_id
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = await self._git.create(
            WorktreeSpec(
                repository=intent.repository,
                path=str(path),
                branch=intent.branch,
                base=intent.base,
                mode="shared_branch" if intent.is_shared else "new_branch",
                work_of=intent.work_of,
            )
        )
        if isinstance(made, GitRefusal):
            await self._refused(intent, made, operation="create")
            return
        done = ReportCreated(
            workspace_id=intent.workspace_id, worktree_id=intent.worktree_id, path=made.path, head=made.head
        )
        await report(self._reporter, done, key=f"{intent.name}/done")

    async def _commit(self, intent: MakeCommit) -> None:
        made = await self._git.commit(
            CommitSpec(
                path=intent.path,
                branch=None if intent.is_shared else intent.branch,  # a shared one is settled
                message=intent.message,
                author_name=intent.author,
                author_email=AUTHOR_EMAIL,
                since=intent.since,
            )
        )
        if isinstance(made, GitRefusal):
            await self._refused(intent, made, operation="commit")
            return
        done = ReportCommitted(
            workspace_id=intent.workspace_id,
            worktree_id=intent.worktree_id,
            generation=intent.generation,
            head=made.head,
            commits=made.commits,
            files_changed=made.files_changed,
        )
        await report(self._reporter, done, key=f"{intent.name}/done")

    async def _settle(self, intent: SettleBranch) -> None:
        made = await self._git.settle(
            SettleSpec(repository=intent.repository, path=intent.path, branch=intent.branch)
        )
        if isinstance(made, GitRefusal):
            await self._refused(intent, made, operation="settle")
            return
        done = ReportSettled(
            workspace_id=intent.workspace_id,
            worktree_id=intent.worktree_id,
            generation=intent.generation,
            head=made.head,
        )
        await report(self._reporter, done, key=f"{intent.name}/done")

    async def _merge(self, intent: MakeMerge) -> None:
        made = await self._git.merge(
            MergeSpec(
                repository=intent.repository,
                branch=intent.branch,
                home=Home(path=intent.path, branch=intent.branch) if intent.path else None,
                into=intent.into,
                message=f"Merge {intent.branch}",
                author_name="ModuPrompt",
                author_email=AUTHOR_EMAIL,
            )
        )
        if isinstance(made, GitRefusal):
            await self._refused(intent, made, operation="merge")
            return
        done = ReportMerged(
            workspace_id=intent.workspace_id,
            worktree_id=intent.worktree_id,
            generation=intent.generation,
            commit=made.merge_commit or made.tip,
            into=intent.into,
            brought_nothing=made.merge_commit is None,
        )
        await report(self._reporter, done, key=f"{intent.name}/done")

    async def _remove(self, intent: RemoveWorktree) -> None:
        made = await self._git.remove(
            RemoveSpec(repository=intent.repository, path=intent.path, worktree_id=intent.worktree_id)
        )
        if isinstance(made, GitRefusal):
            await self._refused(intent, made, operation="delete")
            return
        done = ReportDeleted(
            workspace_id=intent.workspace_id, worktree_id=intent.worktree_id, salvage_ref=made.salvage_ref
        )
        await report(self._reporter, done, key=f"{intent.name}/done")

    async def _refused(self, intent: WorktreeIntent, refusal: GitRefusal, *, operation: Operation) -> None:
        told = _told(refusal)
        if isinstance(intent, SettleBranch) and refusal.hint:
            told = f"{told}, then mpctl worktree commit {intent.worktree_id}"
        failed = ReportFailed(
            workspace_id=intent.workspace_id,
            worktree_id=intent.worktree_id,
            operation=operation,
            generation=intent.generation if isinstance(intent, SettleBranch) else None,
            failure=FAILURES.get(refusal.reason, FailureClass.INTERNAL),
            reason=told[:REASON_MAX],
        )
        await report(self._reporter, failed, key=f"{intent.name}/failed")


def _told(refusal: GitRefusal) -> str:
    """What hinders, and what to do: whoever reads it, now or much later, has to mend it by hand."""
    names_them = not refusal.files or refusal.files[0] in refusal.message
    what = refusal.message if names_them else f"{refusal.message} ({', '.join(refusal.files)})"
    return f"{what}; {refusal.hint}" if refusal.hint else what
