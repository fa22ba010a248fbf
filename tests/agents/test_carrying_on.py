"""The real programs carry a conversation on under the daemon, and begin fresh where they can't."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from tests.support.daemon import Place, daemon_place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.model_server import RunningModel, running_model, scripted
from tests.support.programs import KNOWN, PROGRAMS, need

RUN_S_MAX = 150

each_program = pytest.mark.parametrize("name", ["claude", "codex"])


@pytest.fixture
def near(tmp_path: Path) -> Iterator[RunningModel]:
    """A model in the daemon's network."""
    with running_model(tmp_path) as server:
        yield server


@pytest.fixture
def place(near: RunningModel) -> Iterator[Place]:
    """A daemon's place whose daemon knows the programs, and the way to the model."""
    node = which("node")
    with daemon_place() as own:
        own.environ["PATH"] = f"{PROGRAMS}:{Path(node or '/').parent}:{own.environ['PATH']}"
        for known in KNOWN.values():
            own.environ.update(known.variables)
            own.environ[known.address_in] = near.address + known.address_end
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


def spawned(place: Place, repository: Repository, name: str, *, prompt: str) -> None:
    """A session whose first run is over."""
    need(name)
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    words = ("--prompt", prompt, "--", *KNOWN[name].words)
    place.ok("session", "spawn", "worker", "-p", "paint", "--agent", name, *words)
    until_ended(place, 1)


def runs(place: Place) -> list[dict[str, Any]]:
    return sorted(place.ok("run", "list", "--json").json["items"], key=lambda run: run["created_at"])


def until_ended(place: Place, count: int) -> dict[str, Any]:
    """The last run, when so many are over."""
    eventually(lambda: [run["status"] for run in runs(place)] == ["exited"] * count, within_s=RUN_S_MAX)
    return runs(place)[-1]


def tree(place: Place, session: str) -> Path:
    (item,) = (
        each for each in place.ok("session", "list", "--json").json["items"] if each["name"] == session
    )
    trees = place.ok("worktree", "list", "--json").json["items"]
    return next(Path(each["path"]) for each in trees if each["id"] == item["worktree_id"])


@each_program
def test_a_second_run_carries_the_conversation_on(name: str, place: Place, repository: Repository) -> None:
    spawned(place, repository, name, prompt=scripted({"bash": "echo 1 > one.txt"}, {"text": "One."}))

    again = scripted({"bash": "echo 2 > two.txt"}, {"text": "Two."})
    place.ok("run", "start", "worker", "--resume", "--prompt", again)
    second = until_ended(place, 2)

    assert (second["begun"], second["begun_why"]) == ("carried_on", "in the same directory"), second
    assert second["outcome"] == "succeeded", second
    assert (tree(place, "worker") / "two.txt").read_text() == "2\n"


@each_program
def test_a_fork_carries_the_conversation_on_in_its_own_worktree(
    name: str, place: Place, repository: Repository
) -> None:
    spawned(place, repository, name, prompt=scripted({"bash": "echo 1 > one.txt"}, {"text": "One."}))

    another = scripted({"bash": "echo 2 > two.txt"}, {"text": "Two."})
    place.ok("session", "fork", "worker", "other", "--prompt", another)
    forked = until_ended(place, 2)

    assert (forked["begun"], forked["begun_why"]) == ("carried_on", "from another directory, as a copy")
    assert forked["outcome"] == "succeeded", forked
    assert (tree(place, "other") / "two.txt").read_text() == "2\n"
    assert not (tree(place, "worker") / "two.txt").exists()
