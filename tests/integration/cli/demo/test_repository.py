"""Repositories that nobody prepared: whatever their folder is called, whatever their README is."""

from pathlib import Path

import pytest

from moduprompt.cli.demo import repository
from moduprompt.effects.git.program import GitProgram
from moduprompt.protocol import NAME_MAX
from tests.support.git_repository import Repository, git_environment, make_repository


@pytest.fixture
def theirs(tmp_path: Path) -> Repository:
    """Somebody's repository."""
    return make_repository(tmp_path / "theirs", home=tmp_path / "home")


async def cloned(theirs: Repository, tmp_path: Path) -> repository.Ground:
    theirs.git("add", "--all")
    theirs.git("commit", "--quiet", "--message", "as it is")
    git = GitProgram(environment=git_environment(theirs.home))
    seen = await repository.inspect(git, str(theirs.path), allow_dirty=False)
    return await repository.clone(git, seen, into=tmp_path / "clone")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/core", "core"),
        ("/a/two\nlines\x07", "two_lines_"),
        ("/a/Bäume 🌳", "Bäume 🌳"),
        ("/", "repository"),
        ("/a/ ", "repository"),
        (f"/a/{'n' * 255}", "n" * NAME_MAX),
    ],
)
def test_any_folder_gives_the_project_a_name_it_may_have(path: str, name: str) -> None:
    assert repository.project_name(path) == name


async def test_a_readme_is_read_and_changed(theirs: Repository, tmp_path: Path) -> None:
    (theirs.path / "README").write_text("hello\n")
    (theirs.path / "README.md").symlink_to("README")
    assert (await cloned(theirs, tmp_path)).readme == "README.md"


async def test_a_readme_that_leads_out_of_the_repository_is_left_alone(
    theirs: Repository, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("theirs alone")
    (theirs.path / "README.md").unlink(missing_ok=True)
    (theirs.path / "README.md").symlink_to(tmp_path / "secret")
    assert (await cloned(theirs, tmp_path)).readme is None


async def test_a_readme_too_large_for_the_agent_is_left_alone(theirs: Repository, tmp_path: Path) -> None:
    (theirs.path / "README.md").write_bytes(b"x" * (repository.FILE_BYTES_MAX + 1))
    assert (await cloned(theirs, tmp_path)).readme is None


@pytest.mark.parametrize("branches", [("main",), ("main", "other"), ("other",), ()])
async def test_a_clone_is_on_a_branch_at_the_commit_that_was_checked_out(
    branches: tuple[str, ...], theirs: Repository, tmp_path: Path
) -> None:
    theirs.git("branch", "other")
    theirs.git("checkout", "--quiet", "--detach")
    for name in {"main", "other"} - set(branches):
        theirs.git("branch", "-D", name)
    theirs.commit("README.md", "beside every branch\n")
    head, clone = theirs.commit("more", "more\n"), tmp_path / "clone"
    git = GitProgram(environment=git_environment(theirs.home))
    seen = await repository.inspect(git, str(theirs.path), allow_dirty=False)
    ground = await repository.clone(git, seen, into=clone)
    assert theirs.git("symbolic-ref", "--short", "HEAD", at=clone) == ground.branch
    assert theirs.head(ground.branch, at=clone) == head
    assert theirs.git("symbolic-ref", "-q", "HEAD", check=False) == ""
