"""A fresh repository and our git for it, with little patience for locks."""

from pathlib import Path

import pytest

from moduprompt.effects.git.program import GitProgram
from tests.support.git_repository import Repository, make_repository, program


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repository", home=tmp_path / "home")


@pytest.fixture
def git(repository: Repository) -> GitProgram:
    return program(repository)
