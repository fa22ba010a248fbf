"""Starting, finding and stopping the daemon through the installed commands, and what can stand in the way."""

import json
import os
import signal
import sqlite3
import stat
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.daemon import Place, is_alive
from tests.support.deadline import HANG_S, eventually


def test_a_call_starts_the_daemon_and_the_next_one_finds_it(place: Place) -> None:
    place.ok("workspace", "list")
    first = place.pid
    place.ok("workspace", "list")

    assert place.pid == first
    assert stat.S_IMODE(place.daemon_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.runtime.stat().st_mode) == 0o700


def test_two_at_once_end_up_with_one_daemon(place: Place) -> None:
    calls = [place.begin("mpctl", "workspace", "list", "--json") for _ in range(4)]
    ended = [call.communicate(timeout=120) for call in calls]

    assert [call.returncode for call in calls] == [0] * 4, ended
    eventually(lambda: daemons_of(place) == [place.pid])


def daemons_of(place: Place) -> list[int]:
    return [pid for pid in place.processes() if b"--foreground" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_start_stop_and_status_say_what_they_did(place: Place) -> None:
    started = place.call("mpd", "start", "--json")
    again = place.call("mpd", "start", "--json")
    status = place.ok("daemon", "status", "--json")
    pid = place.pid
    stopped = place.call("mpd", "stop")

    assert started.json["status"] == again.json["status"] == status.json["status"] == "ready"
    assert status.json["pid"] == pid
    assert (stopped.status, is_alive(pid), place.daemon_file.exists()) == (0, False, False)
    assert place.call("mpd", "stop").status == 0
    assert place.call("mpd", "status").status == 7


def test_the_daemon_in_the_background_holds_on_to_nothing_of_ours(place: Place) -> None:
    place.ok("workspace", "list")
    pid = place.pid

    assert os.getsid(pid) == pid != os.getsid(0)
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    assert Path(f"/proc/{pid}/fd/1").readlink() == place.data / "logs" / "mpd.log"


def test_without_a_daemon_and_without_leave_to_start_one_the_call_says_so(place: Place) -> None:
    said = place.mpctl("workspace", "list", "--no-start")

    assert said.status == 7
    assert said.err.startswith("error: no daemon answers at ")
    assert "hint: mpd start" in said.err
    assert not place.data.exists()


def test_files_of_a_daemon_that_was_killed_are_no_daemon(place: Place) -> None:
    place.ok("workspace", "create", "core")
    place.kill_daemon()

    assert place.mpctl("workspace", "list", "--no-start").status == 7
    assert "core" in place.ok("workspace", "list").out


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff\xfe"])
def test_a_damaged_daemon_file_is_no_daemon(place: Place, content: bytes) -> None:
    place.runtime.mkdir(mode=0o700)
    place.daemon_file.write_bytes(content)

    place.ok("workspace", "list")

    assert is_alive(place.pid)


def test_a_wrong_token_is_not_authorized(place: Place) -> None:
    place.ok("workspace", "list")
    written = json.loads(place.daemon_file.read_text())
    place.daemon_file.write_text(json.dumps({**written, "token": "wrong"}))

    said = place.mpctl("workspace", "list")

    place.daemon_file.write_text(json.dumps(written))
    assert said.status == 4
    assert str(place.daemon_file) in said.err


def test_a_second_daemon_on_the_same_data_is_refused(place: Place) -> None:
    place.ok("workspace", "list")
    pid = place.pid
    other = place.root / "other"

    said = place.call("mpd", "start", "--foreground", "--runtime-dir", str(other))

    assert said.status == 7
    assert str(pid) in said.err
    assert "hint: " in said.err
    assert place.pid == pid
    assert not (other / "daemon.json").exists()


def test_a_second_daemon_by_another_path_is_refused_until_the_first_is_gone(place: Place) -> None:
    place.ok("workspace", "create", "core")
    first, other, link = place.pid, place.root / "other", place.root / "link"
    link.symlink_to(place.data)
    by_link = ("--data-dir", str(link), "--runtime-dir", str(other))

    said = place.call("mpd", "start", "--foreground", *by_link)

    assert said.status == 7
    assert str(first) in said.err
    assert "hint: " in said.err
    assert place.ok("workspace", "list", "--no-start").status == 0

    place.kill_daemon()
    started = place.call("mpd", "start", "--json", *by_link)
    assert started.status == 0, started
    assert "core" in place.ok("workspace", "list", "--no-start", *by_link).out
    assert place.call("mpd", "stop", *by_link).status == 0


@pytest.mark.parametrize("words", [("mpctl", "workspace", "list"), ("mpd", "start")])
@pytest.mark.parametrize("where", ["/proc/nowhere", "/dev/null/data"])
def test_data_that_can_not_be_written_is_refused_with_the_path(
    place: Place, words: tuple[str, ...], where: str
) -> None:
    said = place.call(*words, "--data-dir", where)

    assert said.status == 8
    assert said.err.startswith("error: ")
    assert where in said.err
    assert "hint: " in said.err
    assert "Traceback" not in said.err


def test_a_socket_path_that_is_too_long_is_refused_before_anything_is_made(place: Place) -> None:
    long = place.root / ("x" * 100)

    for words in (("mpctl", "workspace", "list"), ("mpd", "start"), ("mpd", "start", "--foreground")):
        said = place.call(*words, "--runtime-dir", str(long))

        assert said.status == 2, said
        assert str(long) in said.err
        assert "--runtime-dir" in said.err
    assert not long.exists()
    assert not place.data.exists()


def test_data_of_a_newer_version_is_refused_and_left_alone(place: Place) -> None:
    place.ok("workspace", "create", "core")
    place.call("mpd", "stop")
    log = place.data / "state" / "log.sqlite"
    with closing(sqlite3.connect(log)) as db:
        db.execute("PRAGMA user_version = 9999")
    before = log.read_bytes()

    said = place.mpctl("workspace", "list")

    assert said.status == 8
    assert str(log) in said.err
    assert "9999" in said.err
    assert log.read_bytes() == before


def test_a_broken_configuration_file_is_refused_by_name(place: Place) -> None:
    file = place.home / ".config" / "moduprompt" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text("data_dri = 'x'\n")

    said = place.mpctl("workspace", "list")

    assert said.status == 2
    assert str(file) in said.err


def test_an_interrupt_of_a_call_leaves_the_daemon_alone(place: Place) -> None:
    place.made("workspace", "create", "core")
    pid = place.pid
    watching = place.begin("mpctl", "events", "watch", "--json")
    assert watching.stdout is not None
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=60)

    assert watching.returncode == 130
    assert "Traceback" not in err
    assert is_alive(pid)


def test_the_daemon_stops_while_somebody_watches(place: Place) -> None:
    place.made("workspace", "create", "core")
    watching = place.begin("mpctl", "events", "watch", "--json")
    assert watching.stdout is not None
    watching.stdout.readline()
    pid = place.pid

    stopped = place.call("mpd", "stop")
    place.ok("workspace", "rename", "core", "kern")

    assert stopped.status == 0
    eventually(lambda: not is_alive(pid))
    assert json.loads(watching.stdout.readline())["event_type"] == "workspace.renamed"
    watching.terminate()
    watching.communicate(timeout=60)


def test_a_daemon_of_other_data_is_not_taken_for_the_one_that_was_meant(place: Place) -> None:
    place.made("workspace", "create", "core")

    said = place.mpctl("--data-dir", str(place.root / "other"), "workspace", "list")

    assert said.status == 8
    assert str(place.data) in said.err
    assert "--runtime-dir" in said.err


def test_a_loopback_address_is_taken_when_asked_for_and_checks_the_host(place: Place) -> None:
    place.call("mpd", "start", "--listen", "127.0.0.1:0")
    written = json.loads(place.daemon_file.read_text())
    addr = str(written["addr"]).removeprefix("http://")

    assert written["addr"] == f"http://{addr}"
    assert addr.startswith("127.0.0.1:")
    assert answered(addr, {}) == 200
    assert answered(addr, {"Host": "evil.example"}) == 401
    assert answered(addr, {"Origin": "http://evil.example"}) == 401


def answered(addr: str, headers: dict[str, str]) -> int:
    connection = HTTPConnection(addr, timeout=HANG_S)
    try:
        connection.request("GET", "/v1/daemon/ping", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
