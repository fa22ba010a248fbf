"""The hand that has worktrees made: what git said becomes a report, whatever it said."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.intents import EndRun
from moduprompt.domain.worktree.commands import (
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
from moduprompt.effects.git import port
from moduprompt.effects.git.hand import FAILURES, GitHand
from moduprompt.protocol import REASON_MAX, Refused, WorktreeId
from tests.support.fake_git import FakeGit
from tests.support.fake_runner import RUN, WORKSPACE, Reports

TREE = WorktreeId("00000000-0000-7000-8000-0000000000e1")
CREATE = MakeWorktree(
    name="worktree/t/create",
    workspace_id=WORKSPACE,
    worktree_id=TREE,
    repository="/srv/repo",
    branch="mp/one",
    base="main",
)
COMMIT = MakeCommit(
    name="worktree/t/commit/1",
    workspace_id=WORKSPACE,
    worktree_id=TREE,
    repository="/srv/repo",
    branch="mp/one",
    path="/srv/tree",
    since="c0",
    message="Work",
    generation=1,
    author="ada",
)
SETTLE = SettleBranch(
    name="worktree/t/settle/3",
    workspace_id=WORKSPACE,
    worktree_id=TREE,
    repository="/srv/repo",
    branch="mp/one",
    path="/srv/tree",
    generation=3,
)
MERGE = MakeMerge(
    name="worktree/t/merge/2",
    workspace_id=WORKSPACE,
    worktree_id=TREE,
    repository="/srv/repo",
    branch="mp/one",
    into="main",
    generation=2,
)
REMOVE = RemoveWorktree(
    name="worktree/t/delete/1",
    workspace_id=WORKSPACE,
    worktree_id=TREE,
    repository="/srv/repo",
    branch="mp/one",
    path="/srv/tree",
    into="main",
)
OPERATIONS = {"create": CREATE, "commit": COMMIT, "settle": SETTLE, "merge": MERGE, "delete": REMOVE}


class Scene:
    """A hand between a git and a kernel."""

    def __init__(self, folder: Path, *, refusal: port.GitRefusal | None = None) -> None:
        self.git = FakeGit(refusal)
        self.reports = Reports()
        self.hand = GitHand(self.git, self.reports, worktrees_dir=folder / "trees")


async def test_a_worktree_is_made_below_the_daemons_folder(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    assert await scene.hand.carry_out(CREATE) is True

    path = str(tmp_path / "trees" / TREE)
    assert scene.git.asked == [
        port.WorktreeSpec(repository="/srv/repo", path=path, branch="mp/one", base="main")
    ]
    assert scene.reports.by_key == {
        "worktree/t/create/done": ReportCreated(
            workspace_id=WORKSPACE, worktree_id=TREE, path=path, head="c1"
        )
    }


async def test_a_commit_names_its_session_and_no_mailbox_of_anyone(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    assert await scene.hand.carry_out(COMMIT) is True

    (spec,) = scene.git.asked
    assert isinstance(spec, port.CommitSpec)
    assert (spec.path, spec.message, spec.author_name, spec.since) == ("/srv/tree", "Work", "ada", "c0")
    assert spec.author_email.endswith(".localhost")
    assert scene.reports.commands == [
        ReportCommitted(
            workspace_id=WORKSPACE,
            worktree_id=TREE,
            generation=1,
            head="c2",
            commits=("c1", "c2"),
            files_changed=3,
        )
    ]


@pytest.mark.parametrize(("is_shared", "branch"), [(False, "mp/one"), (True, None)])
async def test_a_commit_is_brought_to_its_branch_unless_that_is_settled(
    tmp_path: Path, is_shared: bool, branch: str | None
) -> None:
    scene = Scene(tmp_path)

    await scene.hand.carry_out(msgspec.structs.replace(COMMIT, is_shared=is_shared))

    (spec,) = scene.git.asked
    assert isinstance(spec, port.CommitSpec)
    assert spec.branch == branch


async def test_a_merge_is_told_where_its_branch_was_worked_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    await scene.hand.carry_out(msgspec.structs.replace(MERGE, path="/srv/tree"))

    (spec,) = scene.git.asked
    assert isinstance(spec, port.MergeSpec)
    assert spec.home == port.Home(path="/srv/tree", branch="mp/one")


@pytest.mark.parametrize(("merge_commit", "reported"), [("m1", "m1"), (None, "t1")])
async def test_a_merge_reports_the_commit_that_holds_it_and_never_anothers(
    tmp_path: Path, merge_commit: str | None, reported: str
) -> None:
    scene = Scene(tmp_path)
    scene.git.merge_commit = merge_commit

    assert await scene.hand.carry_out(MERGE) is True
    assert scene.reports.commands == [
        ReportMerged(
            workspace_id=WORKSPACE,
            worktree_id=TREE,
            generation=2,
            commit=reported,
            into="main",
            brought_nothing=merge_commit is None,
        )
    ]


async def test_a_settling_reports_where_both_stand(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    assert await scene.hand.carry_out(SETTLE) is True

    assert scene.git.asked == [port.SettleSpec(repository="/srv/repo", path="/srv/tree", branch="mp/one")]
    assert scene.reports.commands == [
        ReportSettled(workspace_id=WORKSPACE, worktree_id=TREE, generation=3, head="c2")
    ]


async def test_what_could_not_be_settled_is_told_with_what_a_person_can_do(tmp_path: Path) -> None:
    refusal = port.GitRefusal(
        reason="branch_diverged", message="each has commits", path="/srv/tree", hint="git merge mp/one"
    )
    scene = Scene(tmp_path, refusal=refusal)

    await scene.hand.carry_out(SETTLE)

    (failed,) = scene.reports.commands
    assert isinstance(failed, ReportFailed)
    assert (failed.operation, failed.generation) == ("settle", 3)
    assert failed.failure is FailureClass.WORKTREE_CONFLICT
    assert failed.reason == f"each has commits; git merge mp/one, then mpctl worktree commit {TREE}"


async def test_a_shared_worktree_is_made_beside_its_branch(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    await scene.hand.carry_out(msgspec.structs.replace(CREATE, is_shared=True))

    (spec,) = scene.git.asked
    assert isinstance(spec, port.WorktreeSpec)
    assert spec.mode == "shared_branch"


async def test_a_removal_says_where_it_saved_what_was_unsaved(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    assert await scene.hand.carry_out(REMOVE) is True
    assert scene.reports.commands == [
        ReportDeleted(workspace_id=WORKSPACE, worktree_id=TREE, salvage_ref="refs/mp/salvage/x")
    ]


@pytest.mark.parametrize("reason", get_args(port.RefusalReason))
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_refusal_of_git_is_a_result(
    tmp_path: Path, operation: str, reason: port.RefusalReason
) -> None:
    scene = Scene(tmp_path, refusal=port.GitRefusal(reason=reason, message="no", path="/x"))
    intent: WorktreeIntent = OPERATIONS[operation]

    assert await scene.hand.carry_out(intent) is True

    ((key, failed),) = scene.reports.by_key.items()
    assert key == f"{intent.name}/failed"
    assert isinstance(failed, ReportFailed)
    assert (failed.operation, failed.reason) == (operation, "no")
    assert failed.failure is FAILURES.get(reason, FailureClass.INTERNAL)


async def test_a_refusal_names_each_file_once_and_says_what_to_do(tmp_path: Path) -> None:
    scene = Scene(
        tmp_path,
        refusal=port.GitRefusal(
            reason="merge_conflict",
            message="both changed a.py",
            path="/x",
            hint="merge main",
            files=("a.py",),
        ),
    )
    await scene.hand.carry_out(MERGE)
    (failed,) = scene.reports.commands
    assert isinstance(failed, ReportFailed)
    assert failed.reason == "both changed a.py; merge main"


async def test_a_conflict_names_its_files_within_the_bound_of_a_reason(tmp_path: Path) -> None:
    files = tuple(f"src/file-{number}.py" for number in range(100))
    scene = Scene(
        tmp_path,
        refusal=port.GitRefusal(reason="merge_conflict", message="conflicts", path="/x", files=files),
    )

    await scene.hand.carry_out(MERGE)

    (failed,) = scene.reports.commands
    assert isinstance(failed, ReportFailed)
    assert failed.failure is FailureClass.MERGE_CONFLICT
    assert failed.reason.startswith("conflicts (src/file-0.py, ")
    assert len(failed.reason) == REASON_MAX


async def test_a_report_that_is_not_taken_is_made_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.reports.refusing = 1

    with pytest.raises(Refused):
        await scene.hand.carry_out(CREATE)
    assert await scene.hand.carry_out(CREATE) is True
    assert [type(each) for each in scene.reports.commands] == [ReportCreated]


async def test_what_is_not_for_git_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="BUG"):
        await Scene(tmp_path).hand.carry_out(EndRun(name="x", workspace_id=WORKSPACE, run_id=RUN))
