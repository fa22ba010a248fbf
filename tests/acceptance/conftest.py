"""What the acceptance tests stand on: a daemon's place, and a repository to work in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Place, daemon_place
from tests.support.git_repository import Repository


@pytest.fixture
def place() -> Iterator[Place]:
    """A daemon's place of its own; nothing of it outlives the test."""
    with daemon_place() as own:
        yield own


@pytest.fixture
def repository(place: Place) -> Repository:
    """A git repository with one commit, on branch main."""
    path = place.root / "repository"
    path.mkdir()
    made = Repository(path=path, home=place.home)
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit("README.md", "# An example\n")
    return made


@pytest.fixture
def script(place: Place) -> Path:
    """A script that asks one question, writes the answer down and commits it."""
    path = place.root / "ask.toml"
    path.write_text(SCRIPT)
    return path


SCRIPT = """\
[[step]]
say = "I begin"
[[step]]
ask = "Which colour?"
name = "colour"
[[step]]
write = { path = "colour.txt", text = "{colour}\\n" }
[[step]]
commit = "Paint it {colour}"
"""
