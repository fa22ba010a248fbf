"""What a run left in its worktree: commits, changes, or what was there before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.domain.run.intents import KeepRun
from moduprompt.effects.agents.port import Work
from moduprompt.effects.git.port import StatusFacts
from moduprompt.effects.git.program import GitProgram
from moduprompt.effects.runner.footing import Footings
from moduprompt.protocol import ProjectId, SessionId
from tests.support.fake_runner import RUN, WORKSPACE, Trees
from tests.support.git_repository import Repository

KEEP = KeepRun(
    name="keep",
    workspace_id=WORKSPACE,
    run_id=RUN,
    session_id=SessionId(RUN),
    project_id=ProjectId(RUN),
    adapter="claude",
    argv=(),
    cwd="/srv/tree",
    prompt=None,
    rows=24,
    cols=80,
    is_started=False,
)
NOTHING = Work(has_changes=False, has_commits=False)
CHANGES = Work(has_changes=True, has_commits=False)
COMMITS = Work(has_changes=False, has_commits=True)


def stands(head: str, uncommitted: str = "") -> StatusFacts:
    return StatusFacts(
        path="/srv/tree",
        head=head,
        branch="work",
        staged=0,
        unstaged=1 if uncommitted else 0,
        untracked=0,
        conflicted=0,
        uncommitted=uncommitted,
    )


def footings(folder: Path, trees: Trees | GitProgram) -> Footings:
    return Footings(trees, run_dir=lambda run_id: folder / run_id)


@pytest.mark.parametrize(
    ("before", "after", "work"),
    [
        (stands("c0"), stands("c0"), NOTHING),
        (stands("c0"), stands("c1"), COMMITS),
        (stands("c0"), stands("c0", "x"), CHANGES),
        (stands("c0", "x"), stands("c0", "x"), NOTHING),
        (stands("c0", "x"), stands("c0", "y"), CHANGES),
        (stands("c0", "x"), stands("c1"), COMMITS),
    ],
)
async def test_only_what_came_with_the_run_counts(
    tmp_path: Path, before: StatusFacts, after: StatusFacts, work: Work
) -> None:
    await footings(tmp_path, Trees(before)).note(KEEP)

    assert await footings(tmp_path, Trees(after)).left(KEEP) == work


async def test_what_was_noted_first_stays(tmp_path: Path) -> None:
    """A start may be tried again after the program began, and a report made again after somebody else committed."""
    await footings(tmp_path, Trees(stands("c0"))).note(KEEP)
    await footings(tmp_path, Trees(stands("c1"))).note(KEEP)
    assert await footings(tmp_path, Trees(stands("c1"))).left(KEEP) == COMMITS

    assert await footings(tmp_path, Trees(stands("c0"))).left(KEEP) == COMMITS


async def test_a_tree_that_is_not_there_or_was_never_noted_says_nothing(tmp_path: Path) -> None:
    assert await footings(tmp_path / "a", Trees(stands("c1"))).left(KEEP) is None

    await footings(tmp_path / "b", Trees(stands("c0"))).note(KEEP)
    assert await footings(tmp_path / "b", Trees()).left(KEEP) is None

    without = replace(KEEP, cwd=None)
    await footings(tmp_path / "c", Trees(stands("c0"))).note(without)
    assert await footings(tmp_path / "c", Trees(stands("c1"))).left(without) is None


async def test_a_file_that_was_changed_before_and_is_changed_again_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "repository"
    path.mkdir()
    repository = Repository(path=path, home=tmp_path)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.commit("a.txt", "one\n")
    keep, git = replace(KEEP, cwd=str(path)), GitProgram(environment={"PATH": "/usr/bin:/bin"})
    (path / "a.txt").write_text("two\n")

    await footings(tmp_path / "same", git).note(keep)
    assert await footings(tmp_path / "same", git).left(keep) == NOTHING

    await footings(tmp_path / "other", git).note(keep)
    (path / "a.txt").write_text("three\n")
    assert await footings(tmp_path / "other", git).left(keep) == CHANGES
