"""Repositories as they are found, before a project takes one: each bad one is refused and left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from moduprompt.domain.decider import Observation, RepositoryFacts
from moduprompt.domain.project.commands import AttachRepository, CreateProject
from moduprompt.effects.git.program import GitProgram
from moduprompt.effects.observer import LocalObserver
from moduprompt.protocol import ProjectId, Rejection, WorkspaceId
from tests.support.git_repository import Repository, git_environment, make_repository, program

WORKSPACE = WorkspaceId("00000000-0000-7000-8000-0000000000a1")
PROJECT = ProjectId("00000000-0000-7000-8000-0000000000b1")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repository", home=tmp_path / "home")


def everything_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


async def looked_at(git: GitProgram, path: Path) -> Observation:
    """The same, whether a project is made with it or gets it later."""
    observer = LocalObserver(git, program_path="")
    made = await observer.observe(CreateProject(workspace_id=WORKSPACE, name="p", repository=str(path)))
    attached = await observer.observe(
        AttachRepository(workspace_id=WORKSPACE, project_id=PROJECT, repository=str(path))
    )
    assert made == attached
    return made


def reason_of(seen: Observation) -> object:
    assert isinstance(seen, Rejection), seen
    assert (seen.details or {})["path"]
    assert seen.hint
    return (seen.details or {})["reason"]


async def test_a_repository_is_seen_with_its_branch_and_head(repository: Repository) -> None:
    assert await looked_at(program(repository), repository.path) == RepositoryFacts(
        path=str(repository.path), branch="main", head=repository.head(), dirty=False
    )


async def test_a_dirty_repository_is_seen_as_such(repository: Repository) -> None:
    repository.write("new.txt", "new")

    seen = await looked_at(program(repository), repository.path)

    assert isinstance(seen, RepositoryFacts)
    assert seen.dirty


async def test_a_folder_inside_a_repository_is_that_repository(repository: Repository) -> None:
    repository.commit("deep/down/file", "x")

    seen = await looked_at(program(repository), repository.path / "deep" / "down")

    assert isinstance(seen, RepositoryFacts)
    assert seen.path == str(repository.path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "path_missing"),
        ("a file", "not_a_repository"),
        ("an empty folder", "not_a_repository"),
        ("bare", "bare_repository"),
        ("without a commit", "empty_repository"),
    ],
)
async def test_what_is_no_repository_to_work_in_is_refused(
    repository: Repository, tmp_path: Path, kind: str, reason: str
) -> None:
    path = tmp_path / "other"
    match kind:
        case "a file":
            path.write_text("")
        case "an empty folder":
            path.mkdir()
        case "bare":
            repository.git("init", "--quiet", "--bare", str(path))
        case "without a commit":
            repository.git("init", "--quiet", str(path))
        case _:
            pass
    before = everything_in(tmp_path)

    assert reason_of(await looked_at(program(repository), path)) == reason
    assert everything_in(tmp_path) == before


async def test_a_head_on_no_branch_is_refused_where_there_is_nothing_to_merge_into(
    repository: Repository,
) -> None:
    repository.git("checkout", "--quiet", "--detach")
    repository.git("branch", "--move", "main", "elsewhere")

    assert reason_of(await looked_at(program(repository), repository.path)) == "detached_head"


async def test_a_machine_without_git_says_so(repository: Repository) -> None:
    git = GitProgram(environment=git_environment(repository.home), program="no-such-git")

    assert reason_of(await looked_at(git, repository.path)) == "git_missing"
