"""After a crash the daemon says in one report what it found, and what it did."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Place, is_alive
from tests.support.deadline import eventually
from tests.support.git_repository import Repository

WAITS = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.05)"
UNKNOWN = "00000000-0000-7000-8000-0000000000e3"


def spawned(place: Place, name: str, *, stop: Path, extra: tuple[str, ...] = ("--no-worktree",)) -> None:
    program = (sys.executable, "-I", "-S", "-c", WAITS, str(stop))
    place.ok("session", "spawn", name, "-p", "paint", "--agent", "command", *extra, "--", *program)


def runs(place: Place) -> dict[str, dict[str, Any]]:
    """By the name of their session."""
    sessions = {each["id"]: each["name"] for each in place.ok("session", "list", "--json").json["items"]}
    return {sessions[each["session_id"]]: each for each in place.ok("run", "list", "--json").json["items"]}


def all_started(place: Place) -> bool:
    return all(each["status"] == "started" for each in runs(place).values())


def keeper_of(pid: int) -> int:
    """The program's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.timeout(300)
def test_a_start_after_a_crash_says_what_it_found_and_did(place: Place, repository: Repository) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    for name in ("kept", "ended", "lost"):
        spawned(place, name, stop=place.root / name)
    spawned(place, "treeless", stop=place.root / "kept", extra=())
    eventually(lambda: len(runs(place)) == 4 and all_started(place), within_s=120)
    found = runs(place)
    assert place.ok("recovery", "show", "--json").json.get("runs", []) == []

    place.kill_daemon()
    keeper = keeper_of(found["lost"]["pid"])
    os.kill(keeper, signal.SIGKILL)
    (place.root / "ended").touch()
    eventually(lambda: not is_alive(found["ended"]["pid"]) and not is_alive(keeper))
    (place.data / "runs" / UNKNOWN).mkdir()
    (tree,) = (place.data / "worktrees").iterdir()
    shutil.rmtree(tree)
    place.ok("daemon", "start")

    def told() -> dict[str, Any]:
        return place.ok("recovery", "show", "--json").json

    eventually(lambda: "took_ms" in told(), within_s=120)
    report = told()
    fates = {each["run_id"]: each for each in report["runs"]}
    assert {name: fates[run["id"]]["fate"] for name, run in found.items()} == {
        "kept": "reattached",
        "ended": "ended",
        "lost": "lost",
        "treeless": "reattached",
    }
    assert fates[found["kept"]["id"]]["keeper_pid"] == keeper_of(found["kept"]["pid"])
    assert "evidence" not in fates[found["kept"]["id"]], "a keeper of today does all that is asked of it"
    assert "is not alive" in fates[found["lost"]["id"]]["evidence"]
    assert {each["name"] for each in report["strays"]} == {UNKNOWN}
    assert [each["path"] for each in report["missing_worktrees"]] == [str(tree)]
    assert (place.data / "runs" / UNKNOWN).is_dir(), "named, and left alone"
    assert not is_alive(found["lost"]["pid"]), "what a lost run left is ended"

    page = place.ok("recovery", "show").out
    assert "re-attached" in page
    assert (
        "1 lost; 1 left alone; 1 worktrees missing: mpctl recovery show" in place.ok("daemon", "status").out
    )
    (place.root / "kept").touch()
