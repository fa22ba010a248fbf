"""The real programs as sessions: started by the daemon, judged by their adapter, told in the log, with nothing left."""

from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from moduprompt.keeper import processes
from tests.agents.cells import CELLS
from tests.support.daemon import Place, daemon_place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.model_server import RunningModel, running_model
from tests.support.programs import IN_CI, KNOWN, PROGRAMS, need

RUN_S_MAX = 150

each_program = pytest.mark.parametrize("name", IN_CI)


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


def ended(place: Place, repository: Repository, name: str, *, prompt: str) -> dict[str, Any]:
    """How the run of a session ended, by its event."""
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    words = ("--prompt", prompt, "--", *KNOWN[name].words)
    place.ok("session", "spawn", "worker", "-p", "paint", "--agent", name, *words)
    eventually(lambda: bool(exits(place)), within_s=RUN_S_MAX)
    (event,) = exits(place)
    run_id = event["subject"]["id"]
    eventually(lambda: not list(processes.marked(f"MP_RUN={run_id}")))
    return event["payload"]


def exits(place: Place) -> list[dict[str, Any]]:
    return [each for each in place.ok("log", "show").lines if each["event_type"] == "run.exited"]


@each_program
def test_a_session_does_what_its_model_says_and_is_judged_by_what_it_said(
    name: str, place: Place, repository: Repository
) -> None:
    need(name)
    exited = ended(place, repository, name, prompt=CELLS["good"])

    assert (exited["how"], exited["outcome"], exited["rule"]) == ("exited", "succeeded", "turn_done")
    (worktree,) = (each for each in place.ok("worktree", "list", "--json").json["items"])
    assert (Path(worktree["path"]) / "hello.txt").read_text() == "hi\n"
    assert not (place.home / f".{name}").exists(), "it touched its user's own configuration"


@each_program
def test_a_refused_key_is_a_failure_of_its_class_whatever_the_exit_code(
    name: str, place: Place, repository: Repository
) -> None:
    need(name)
    exited = ended(place, repository, name, prompt=CELLS["unauthorised"])

    assert (exited["outcome"], exited["failure"]) == ("failed", "auth_required")
