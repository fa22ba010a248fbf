"""Keepers that are stopped (SIGSTOP) under a whole daemon: shown, waited for, and nobody else pays for them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.test_recovery import keeper_of
from tests.support.daemon import Place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.seat import seated
from tests.support.stopped import stopped

READS = 'while read line; do echo "got <$line>"; done'


def spawned(place: Place, name: str) -> dict[str, Any]:
    """Its run, once it is seen waiting for a line."""
    program = ("/bin/sh", "-c", READS)
    place.made("session", "spawn", name, "-p", "paint", "--no-worktree", "--agent", "command", "--", *program)
    eventually(lambda: run_of(place, name)["observed"] == "waiting_input", within_s=120)
    return run_of(place, name)


def run_of(place: Place, name: str) -> dict[str, Any]:
    session = place.ok("session", "show", name, "--json").json["id"]
    found = place.ok("run", "list", "--json").json["items"]
    return next(each for each in found if each["session_id"] == session)


def is_silent(place: Place, name: str) -> bool:
    return "unanswered" in run_of(place, name)


def fate(place: Place, run_id: str) -> str:
    told = place.ok("recovery", "show", "--json").json.get("runs", [])
    return next((str(each["fate"]) for each in told if each["run_id"] == run_id), "")


@pytest.mark.timeout(400)
def test_a_stopped_keeper_is_shown_and_waited_for_and_what_it_was_told_is_done_once(
    place: Place, repository: Repository
) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    frozen, other = spawned(place, "frozen"), spawned(place, "other")
    keeper = keeper_of(frozen["pid"])
    place.kill_daemon()

    with stopped(keeper):
        eventually(lambda: is_silent(place, "frozen"), within_s=120)
        eventually(lambda: fate(place, frozen["id"]) == "unanswering", within_s=60)
        assert f"keeper {keeper} is stopped" in place.ok("recovery", "show").out
        assert "does not answer since" in place.ok("run", "show", frozen["id"]).out
        assert "keepers hindered" in place.ok("daemon", "status").out
        place.ok("session", "prompt", "frozen", "once and not twice")
        place.ok("run", "output", frozen["id"])  # what is recorded is there all the time
        with seated(
            "mpctl", "run", "attach", frozen["id"], environ={**place.environ, "TERM": "xterm"}
        ) as seat:
            assert seat.leaves() == 7
            seat.prints(b"does not answer")

        place.ok("session", "prompt", "other", "goes on")
        eventually(lambda: "got <goes on>" in place.ok("run", "output", other["id"]).out, within_s=60)
        eventually(lambda: fate(place, other["id"]) == "reattached")

    eventually(lambda: not is_silent(place, "frozen"), within_s=120)
    eventually(lambda: "got <once and not twice>" in place.ok("run", "output", frozen["id"]).out, within_s=60)
    assert fate(place, frozen["id"]) == "reattached"
    place.ok("session", "prompt", "frozen", "the last")
    eventually(lambda: "got <the last>" in place.ok("run", "output", frozen["id"]).out, within_s=60)
    assert place.ok("run", "output", frozen["id"]).out.count("got <once and not twice>") == 1


@pytest.mark.timeout(400)
def test_a_keeper_that_stops_while_it_is_listened_to_is_noticed_and_its_run_can_be_stopped(
    place: Place, repository: Repository
) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    run = spawned(place, "frozen")

    with stopped(keeper_of(run["pid"])):
        place.ok("run", "stop", run["id"])
        eventually(lambda: is_silent(place, "frozen"), within_s=120)
        assert run_of(place, "frozen")["status"] == "started", "a keeper that does not answer is not dead"

    eventually(lambda: run_of(place, "frozen")["status"] == "exited", within_s=120)
    found = run_of(place, "frozen")
    assert found["how"] == "stopped"
    assert "unanswered" not in found
