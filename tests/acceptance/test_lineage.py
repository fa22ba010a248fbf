"""Lines of work from end to end: places are given and taken, a closed one leaves nothing, the tree is watched."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.seat import seated

INTERRUPTED = 130
PAINTED = b"\x1b[?2026l"  # ends a picture


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
    assert "fresh: command can't carry a conversation on" in place.ok("session", "show", "other").out
    printed = place.ok("run", "output", forked["id"]).out
    assert printed.index("half of it is blue") < printed.index("in red")


COMMITTING = "git -c user.name=a -c user.email=a@x commit --quiet"


def commit_of(name: str) -> str:
    return f"echo {name} > {name} && git add {name} && {COMMITTING} -m {name}"


def session(place: Place, name: str) -> Any:
    return place.ok("session", "show", name, "--json").json


def tree_of(place: Place, name: str) -> Path:
    trees = place.ok("worktree", "list", "--json").json["items"]
    return Path(next(each["path"] for each in trees if each["session_id"] == session(place, name)["id"]))


def test_two_sessions_on_one_branch_take_turns_also_over_a_daemon_that_is_killed(
    place: Place, project: str, repository: Repository
) -> None:
    place.made("session", "spawn", "painter", "-p", "paint", "--", "sh", "-c", f"{commit_of('red')} && cat")
    eventually(lambda: (tree_of(place, "painter") / "red").exists())
    held = f"test -f red && {commit_of('blue')} && touch ready && while [ ! -e go ]; do sleep 0.1; done"
    words = ("--mode", "same_branch", "--", "sh", "-c", held)
    place.made("session", "fork", "painter", "other", *words)

    eventually(lambda: session(place, "other").get("branch_holder") == session(place, "painter")["id"])
    branch = session(place, "painter")["branch"]
    assert session(place, "other")["awaits"] == session(place, "other")["branch"] == branch
    assert f"writes on {branch} no more" in place.ok("session", "show", "other").out
    refused = place.mpctl("run", "start", "other")
    assert (refused.status, "is being written by session" in refused.err) == (8, True), refused

    place.ok("run", "stop", place.ok("run", "list", "--json").json["items"][0]["id"])
    eventually(lambda: (tree_of(place, "other") / "ready").exists())
    assert place.mpctl("run", "start", "painter").status == 8
    assert repository.git("show", "--format=%s", "--name-only", branch).split() == ["red", "red"]

    place.kill_daemon()
    (trees,) = place.data.glob("worktrees")
    (beside,) = (each.parent for each in trees.glob("*/ready"))
    (beside / "go").touch()
    eventually(lambda: not [pid for pid in place.processes() if is_shell(pid)])
    place.ok("daemon", "start")

    eventually(lambda: repository.git("show", "--format=%s", "--name-only", branch).split() == ["blue"] * 2)
    assert (tree_of(place, "painter") / "blue").exists()
    eventually(lambda: "worktree.writer_released" in {e["event_type"] for e in place.ok("log", "show").lines})
    place.ok("session", "close", "other")
    place.ok("worktree", "delete", str(tree_of(place, "other").name))
    place.ok("run", "start", "painter")


def is_shell(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sh\0")
    except OSError:
        return False


def test_what_has_gone_apart_on_one_branch_is_named_kept_and_mended_by_hand(
    place: Place, project: str, repository: Repository
) -> None:
    place.made("session", "spawn", "painter", "-p", "paint", "--", "true")
    eventually(lambda: runs(place) == ["exited"])
    held = f"{commit_of('blue')} && touch ready && while [ ! -e go ]; do sleep 0.1; done"
    place.made("session", "fork", "painter", "other", "--mode", "same_branch", "--", "sh", "-c", held)
    eventually(lambda: runs(place) == ["exited", "started"] and (tree_of(place, "other") / "ready").exists())
    home, beside = tree_of(place, "painter"), tree_of(place, "other")
    red = repository.commit("red", "red", at=home)
    (beside / "go").touch()
    eventually(lambda: runs(place) == ["exited"] * 2)

    tree = beside.name
    eventually(lambda: "settle: " in (place.ok("worktree", "show", tree, "--json").json.get("failure") or ""))
    said = place.ok("worktree", "show", tree).out
    assert "each have commits that the other has not" in said
    assert f"mpctl worktree commit {tree}" in said
    branch = session(place, "painter")["branch"]
    assert repository.head(branch) == red

    repository.git("merge", "--quiet", "--no-edit", branch, at=beside)
    place.ok("worktree", "commit", tree, "-m", "both")
    eventually(lambda: repository.head(branch) == repository.head(at=beside))
    assert (home / "blue").exists()
    eventually(lambda: "failure" not in place.ok("worktree", "show", tree, "--json").json)


def test_the_first_picture_of_a_watched_tree_is_of_now(place: Place, project: str) -> None:
    for name in ("painter", "potter", "weaver"):
        place.made("session", "spawn", name, "-p", "paint", "--no-worktree", "--", "true")
    eventually(lambda: runs(place) == ["exited"] * 3)
    with seated("mpctl", "session", "tree", "--watch", environ={**place.environ, "TERM": "xterm"}) as seat:
        seat.prints(PAINTED)
        first, _, _ = seat.seen.partition(PAINTED)
        assert first.count(b"exited 0") == 3
        seat.program.send_signal(signal.SIGINT)
        assert seat.leaves() == INTERRUPTED
        assert seat.is_as_before()
        assert sum("exited 0" in line for line in seat.screen.text()) == 3


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
