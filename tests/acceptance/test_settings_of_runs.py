"""What a person sets about runs: how many live at once, who waits and why is shown; and what each may take."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository

WAITS = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.05)"


def spawned(place: Place, name: str, *, stop: Path) -> None:
    program = (sys.executable, "-I", "-S", "-c", WAITS, str(stop))
    place.ok("session", "spawn", name, "-p", "paint", "--agent", "command", "--no-worktree", "--", *program)


def run_of(place: Place, name: str) -> dict[str, Any]:
    """The one run of the session with this name."""
    sessions = {each["name"]: each["id"] for each in place.ok("session", "list", "--json").json["items"]}
    runs = place.ok("run", "list", "--json").json["items"]
    return next(run for run in runs if run["session_id"] == sessions[name])


def test_limits_of_the_configuration_hold_for_the_next_run(place: Place, repository: Repository) -> None:
    settings = place.home / ".config" / "moduprompt"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text('[limits.command]\noutput = "5"\n')
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    program = ("/bin/sh", "-c", "printf 123456789")
    place.ok("session", "spawn", "loud", "-p", "paint", "--agent", "command", "--no-worktree", "--", *program)

    eventually(lambda: run_of(place, "loud")["status"] == "exited", within_s=120)
    assert run_of(place, "loud")["output_bytes"] == 5
    assert run_of(place, "loud")["reason"] == "limit:output_bytes_max"


def test_limits_of_a_session_hold_for_its_runs_and_are_shown(place: Place, repository: Repository) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    words = ("-p", "paint", "--no-worktree", "--limit", "output=5,wall=2h", "--limit", "processes=99")
    place.ok("session", "spawn", "loud", *words, "--", "/bin/sh", "-c", "printf 123456789")

    eventually(lambda: run_of(place, "loud")["status"] == "exited", within_s=120)
    run = run_of(place, "loud")
    assert (run["output_bytes"], run["reason"]) == (5, "limit:output_bytes_max")
    shown = place.ok("run", "show", run["id"]).out
    assert "wall 2h, memory 8G" in shown
    assert "processes 99" in shown
    for words, said in (
        ("cpu=1", "no limit is named 'cpu'"),
        ("wall", "'wall' is no limit"),
        ("wall=1h,wall=2h", "the limit wall is said twice"),
        ("memory=much", "memory can't be 'much'"),
        ("memory=0", "memory can't be '0'"),
        ("memory=4", "out of bounds"),
        ("cores=nan", "cores can't be 'nan'"),
        ("wall=400d", "wall can't be '400d'"),
    ):
        refused = place.call("mpctl", "session", "spawn", "x", "-p", "paint", "--limit", words, "--", "true")
        assert (refused.status, said in refused.err) == (2, True), refused.err


def test_limits_of_an_adapter_that_is_none_stop_the_start(place: Place) -> None:
    settings = place.home / ".config" / "moduprompt"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text('[limits.comand]\nwall = "1h"\n')

    said = place.call("mpd", "start")
    assert said.status != 0
    assert "comand" in said.err


@pytest.mark.timeout(300)
def test_a_start_that_would_be_too_much_waits_is_shown_and_goes_on(
    place: Place, repository: Repository
) -> None:
    settings = place.home / ".config" / "moduprompt"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text("live_runs_max = 1\n")
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    spawned(place, "first", stop=place.root / "first")
    eventually(lambda: run_of(place, "first")["status"] == "started", within_s=120)
    for name in ("second", "third"):
        spawned(place, name, stop=place.root / name)

    eventually(lambda: "1 runs live" in run_of(place, "second").get("waits", {}).get("why", ""), within_s=60)
    second, third = run_of(place, "second"), run_of(place, "third")
    assert (second["waits"]["place"], third["waits"]["place"]) == (1, 2)
    assert third["waits"]["why"] == f"1 run waits before it; the first is {second['id']}"
    shown = place.ok("run", "show", second["id"]).out
    assert "waits to start, as no 1 since " in shown
    assert "1 runs live, of 1 at most: one of them must end" in shown
    assert "waits, no 2" in place.ok("run", "list").out
    assert "waits to start, as no 2 since " in place.ok("session", "show", "third").out

    (place.root / "first").touch()
    eventually(lambda: run_of(place, "second")["status"] == "started", within_s=120)
    assert "waits" not in run_of(place, "second")
    place.ok("run", "stop", third["id"])
    eventually(lambda: run_of(place, "third")["status"] == "exited", within_s=60)
    assert run_of(place, "third")["failure"] == "cancelled"
    (place.root / "second").touch()
