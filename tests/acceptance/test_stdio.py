"""`mpd serve-stdio` as a program sees it: lines in, lines out, and a clean end."""

import json
import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from tests.support.daemon import Place

UNREACHABLE_EXIT, SCHEMA_EXIT = 7, 2


def frame(type_: str, id_: str, **payload: Any) -> str:
    return json.dumps({"request_id": id_, "type": type_, "schema_version": 1, "payload": payload}) + "\n"


def token(place: Place) -> str:
    return str(json.loads(place.daemon_file.read_text())["token"])


def test_requests_are_answered_line_by_line_until_the_input_ends(place: Place) -> None:
    place.made("workspace", "create", "core")
    said = place.call(
        "mpd",
        "serve-stdio",
        stdin=frame("query.workspaces", "early")
        + frame("auth", "wrong", token="wrong")
        + frame("auth", "right", token=token(place))
        + frame("query.workspaces", "list")
        + frame("query.nothing", "none"),
    )

    assert said.status == 0, said.err
    answers = {each["request_id"]: each for each in said.lines}
    assert [answers[id_]["payload"]["code"] for id_ in ("early", "wrong")] == ["unauthorized"] * 2
    assert answers["right"]["type"] == "auth.response"
    assert "core" in [item["name"] for item in answers["list"]["payload"]["items"]]
    assert answers["none"]["payload"]["code"] == "invalid_schema"
    assert len(said.lines) == 5


def test_a_line_that_does_not_end_is_refused_in_one_line(place: Place) -> None:
    place.made("workspace", "create", "core")
    said = place.call("mpd", "serve-stdio", stdin="x" * 5_000_000)
    assert (said.status, "Traceback" in said.err) == (SCHEMA_EXIT, False)


def test_without_a_daemon_it_says_so(place: Place) -> None:
    said = place.call("mpd", "serve-stdio", "--no-start", stdin=frame("auth", "a", token="x"))
    assert (said.status, said.out) == (UNREACHABLE_EXIT, "")


@contextmanager
def subscribed(place: Place) -> Generator["subprocess.Popen[str]"]:
    """The program with one subscription that has given its first event."""
    workspace = place.made("workspace", "create", "core")
    with subprocess.Popen(
        ["mpd", "serve-stdio"],
        env=place.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(frame("auth", "a", token=token(place)))
        program.stdin.write(frame("events.subscribe", "s", workspace_id=workspace))
        program.stdin.flush()
        said = [json.loads(program.stdout.readline()) for _ in range(3)]
        assert said[2]["payload"]["event_type"] == "workspace.created"
        try:
            yield program
        finally:
            program.kill()


def test_a_daemon_that_stops_ends_the_subscription_and_the_program_properly(place: Place) -> None:
    with subscribed(place) as program:
        place.ok("daemon", "stop")
        out, err = program.communicate(timeout=60)

    assert [json.loads(line) for line in out.splitlines()][-1]["end"] == "draining"
    assert (program.returncode, err) == (0, "")


def test_a_daemon_that_is_killed_ends_the_program_with_unavailable(place: Place) -> None:
    with subscribed(place) as program:
        os.kill(place.pid, signal.SIGKILL)
        # Not communicate(): that ends the input too, and a program whose input ends exits in peace.
        program.wait(timeout=60)
        assert program.stderr is not None
        err = program.stderr.read()

    assert program.returncode == UNREACHABLE_EXIT
    assert "Traceback" not in err
