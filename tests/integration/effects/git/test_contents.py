"""What stands in a working tree, in one word: the same for the same bytes, whenever they were written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moduprompt.effects.git import contents
from moduprompt.effects.git.program import GitProgram
from tests.support.git_repository import Repository


async def told(git: GitProgram, repository: Repository) -> str | None:
    return await git.contents(str(repository.path))


async def test_a_change_that_is_taken_back_and_made_again_is_the_same(
    git: GitProgram, repository: Repository
) -> None:
    readme = repository.path / "readme.txt"
    before, text = await told(git, repository), readme.read_text()
    readme.write_text("other\n")
    changed = await told(git, repository)
    readme.write_text(text)
    os.utime(readme, (1, 1))
    back = await told(git, repository)
    readme.write_text("other\n")

    assert before == back
    assert changed == await told(git, repository)
    assert changed != before


@pytest.mark.parametrize("name", ["new.txt", "folder/deep/new.txt"])
async def test_what_is_new_counts_by_its_bytes_also_in_a_new_folder(
    git: GitProgram, repository: Repository, name: str
) -> None:
    path = repository.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    seen: list[str | None] = []
    for text in ("one", "two", "one"):
        path.write_text(text)
        seen.append(await told(git, repository))

    assert seen[0] == seen[2]
    assert seen[0] != seen[1]


async def test_a_commit_is_another_tree(git: GitProgram, repository: Repository) -> None:
    before = await told(git, repository)
    repository.git("commit", "--allow-empty", "-q", "-m", "nothing")

    assert await told(git, repository) != before


async def test_links_and_pipes_are_not_read(git: GitProgram, repository: Repository, tmp_path: Path) -> None:
    (repository.path / "loop").symlink_to(repository.path)
    os.mkfifo(repository.path / "pipe")
    assert await told(git, repository) is not None


async def test_of_too_much_nobody_says_anything(
    git: GitProgram, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "FILES_MAX", 3)
    for number in range(4):
        (repository.path / f"new-{number}").touch()
    assert await told(git, repository) is None
    assert await git.contents("/proc") is None, "no repository"


async def test_of_too_many_bytes_neither(
    git: GitProgram, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "BYTES_MAX", 3)
    (repository.path / "new").write_text("four")
    assert await told(git, repository) is None
