"""Lines of work from end to end: places are given and taken, a closed one leaves nothing, the tree is watched."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.daemon import Place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository

INTERRUPTED = 130


@pytest.fixture
def project(place: Place, repository: Repository) -> str:
    place.made("workspace", "create", "core")
    return place.made("project", "create", "paint", "--repo", str(repository.path))


def runs(place: Place) -> list[str]:
    return [run["status"] for run in place.ok("run", "list", "--json").json["items"]]


def test_a_session_goes_to_another_worktree_and_closed_leaves_nothing(place: Place, project: str) -> None:
    place.made("session", "spawn", "painter", "-p", "paint", "--", "true")
    eventually(lambda: runs(place) == ["exited"])
    place.ok("worktree", "create", "-p", "paint", "--branch", "free")
    eventually(
        lambda: {each["status"] for each in place.ok("worktree", "list", "--json").json["items"]} == {"ready"}
    )

    place.ok("session", "detach-worktree", "painter")
    place.ok("session", "attach-worktree", "painter", "free")
    place.ok("run", "start", "painter")
    eventually(lambda: runs(place) == ["exited"] * 2)
    free = next(
        each for each in place.ok("worktree", "list", "--json").json["items"] if each["branch"] == "free"
    )
    assert place.ok("session", "show", "painter", "--json").json["worktree_id"] == free["id"]

    place.made("session", "spawn", "thinker", "-p", "paint", "--no-worktree", "--", "touch", "thought")
    eventually(lambda: runs(place) == ["exited"] * 3)
    (scratch,) = place.root.rglob(".scratch")
    assert [each.name for each in scratch.glob("*/thought")] == ["thought"]
    place.ok("session", "close", "thinker")
    eventually(lambda: not list(scratch.iterdir()))
    eventually(
        lambda: "session.home_erased" in {each["event_type"] for each in place.ok("log", "show").lines}
    )
    assert Path(free["path"]).is_dir()


def test_a_fork_of_a_program_that_remembers_nothing_is_told_the_account(place: Place, project: str) -> None:
    words = ("--", "sh", "-c", "cat $MP_PROMPT_FILE")
    place.made("session", "spawn", "painter", "-p", "paint", "--prompt", "paint it", *words)
    eventually(lambda: runs(place) == ["exited"])
    place.ok("capsule", "write", "status", "half of it is blue", "--session", "painter")

    place.ok("session", "fork", "painter", "other", "--mode", "planning_only", "--prompt", "in red")
    eventually(lambda: runs(place) == ["exited"] * 2)

    forked = next(r for r in place.ok("run", "list", "--json").json["items"] if "begun" in r)
    assert (forked["begun"], forked["begun_why"]) == ("fresh", "command can't carry a conversation on")
    shown = place.ok("run", "show", forked["id"]).out
    assert "fresh: command can't carry a conversation on" in shown
    printed = place.ok("run", "output", forked["id"]).out
    assert printed.index("half of it is blue") < printed.index("in red")


def test_a_tree_is_watched_in_a_pipe_line_by_line_until_it_is_interrupted(place: Place, project: str) -> None:
    watching = place.begin("mpctl", "session", "tree", "--watch")
    assert watching.stdout is not None
    place.made("session", "spawn", "painter", "-p", "paint", "--no-worktree", "--", "true")

    told = [watching.stdout.readline() for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    rest, errors = watching.communicate(timeout=60)

    assert "session.spawned" in told[0]
    assert "run.requested" in told[1]
    assert watching.returncode == INTERRUPTED
    assert "Traceback" not in errors
    assert "project.created" not in "".join(told) + rest
