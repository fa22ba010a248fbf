"""Turns that are ended through the installed command, in real terminals: the key goes in once, and what came of it is told."""

from __future__ import annotations

from typing import Final

import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import read_journal
from tests.support.daemon import Place
from tests.support.deadline import eventually

INVALID_EXIT: Final = 8
# Survives a Ctrl-C, and asks for the next line.
SHELL: Final = "trap 'echo stopped' INT; while :; do read line; eval \"$line\"; done"


@pytest.fixture
def project(place: Place) -> str:
    place.made("workspace", "create", "core")
    return place.made("project", "create", "paint")


def spawned(place: Place, name: str, *words: str) -> str:
    return place.made("session", "spawn", name, "-p", "paint", "--no-worktree", "--", *words)


def state(place: Place, session: str) -> str | None:
    shown = place.ok("session", "show", session, "--json").json.get("interrupt")
    return None if shown is None else shown["state"]


def observed(place: Place, session: str) -> str | None:
    return place.call("mpctl", "session", "explain", session, "--json").json.get("observed")


@pytest.mark.usefixtures("project")
def test_a_command_that_hangs_is_interrupted_and_its_shell_takes_the_next_line(place: Place) -> None:
    begun, after = place.root / "begun", place.root / "after"
    session = spawned(place, "shell", "sh", "-c", SHELL)
    eventually(lambda: observed(place, session) == "waiting_input")
    refused = place.call("mpctl", "session", "interrupt", session)
    assert (refused.status, "is in no turn" in refused.err) == (INVALID_EXIT, True)

    place.ok("session", "prompt", session, f"sh -c 'touch {begun}; exec sleep 1000'")
    eventually(begun.exists)
    assert "shall end its turn" in place.ok("session", "interrupt", session, "--reason", "it hangs").out
    eventually(lambda: state(place, session) == "interrupted")
    assert "interrupt" in place.ok("session", "show", session).out

    place.ok("session", "prompt", session, f"touch {after}")
    eventually(after.exists)
    assert keys_of(place, session) == 1
    place.ok("session", "close", session)


@pytest.mark.usefixtures("project")
def test_a_program_that_ends_by_ctrl_c_was_interrupted(place: Place) -> None:
    session = spawned(place, "sleeper", "sleep", "1000")
    eventually(lambda: observed(place, session) == "working")
    place.ok("session", "interrupt", session)
    eventually(lambda: state(place, session) == "interrupted")
    assert "signal 2" in place.ok("session", "show", session, "--json").json["interrupt"]["evidence"]
    eventually(lambda: "no live run" in place.call("mpctl", "session", "interrupt", session).err)


def keys_of(place: Place, session: str) -> int:
    """How many interrupts its keeper was asked for."""
    every = place.ok("run", "list", "--json").json["items"]
    journals = [
        read_journal(place.data / "runs" / each["id"]) for each in every if each["session_id"] == session
    ]
    told = (entry.report for journal in journals for entry in journal)
    ids = [each.input_id for each in told if isinstance(each, port.InputIntended)]
    return sum(each.startswith("interrupt/") for each in ids)
