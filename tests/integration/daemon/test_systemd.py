"""The installed daemon under a service manager: what it says, and the sockets it takes over."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pytest

from moduprompt.protocol import EXIT_STATUS, Code
from tests.support.daemon import BIN, Place, daemon_place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.supervision import activate, bound_unix, ears

# Fed every two seconds: the queue of a socket holds ten datagrams, and what nobody has read yet must not fill it.
WATCHDOG = {"WATCHDOG_USEC": "4000000"}
ENDS_S = 30.0


@pytest.fixture
def place() -> Iterator[Place]:
    with daemon_place() as own:
        yield own


@contextlib.contextmanager
def served(
    place: Place, *words: str, handed: Sequence[socket.socket] = (), notify: str | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """`mpd start --foreground` as a unit runs it; killed afterwards if it still lives."""
    environ = {**place.environ, **({} if notify is None else {"NOTIFY_SOCKET": notify, **WATCHDOG})}
    with (place.root / "stderr").open("wb") as stderr:
        process = activate(
            [str(BIN / "mpd"), "start", "--foreground", *words],
            handed=handed,
            environ=environ,
            stderr=stderr.fileno(),
        ) if handed else subprocess.Popen(
            [str(BIN / "mpd"), "start", "--foreground", *words],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env=environ,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(place: Place) -> str:
    return (place.root / "stderr").read_text()


def answers(place: Place) -> bool:
    """Whether a call gets through, without starting a daemon."""
    return place.mpctl("workspace", "list", "--no-start").status == 0


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_the_service_manager_hears_of_every_state(place: Place, kind: str) -> None:
    address = str(place.root / "notify") if kind == "path" else f"@mp-states-{os.getpid()}"
    with ears(address) as listener, served(place, notify=address) as daemon:
        before = listener.until("READY=1")
        listener.until("WATCHDOG=1")
        daemon.terminate()
        listener.until("STOPPING=1")
        listener.until("EXTEND_TIMEOUT_USEC=")
        assert daemon.wait(ENDS_S) == 0

    assert before[0] == "STATUS=opening the log"
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in before)


def test_no_child_hears_of_the_service_manager(place: Place) -> None:
    address = str(place.root / "notify")
    with ears(address) as listener, served(place, notify=address) as daemon:
        listener.until("READY=1")
        place.ok("workspace", "create", "core")
        path = place.root / "repository"
        path.mkdir()
        repository = Repository(path=path, home=place.home)
        repository.git("init", "--quiet", "--initial-branch=main")
        repository.commit("README.md", "# An example\n")
        place.ok("project", "create", "api", "--repo", str(path))
        place.ok("session", "spawn", "-p", "api", "waiter", "--", "sh", "-c", "read -r line")
        eventually(lambda: len(told := told_of(daemon.pid, place)) >= 2 and not any(told.values()))


def told_of(daemon: int, place: Place) -> dict[int, bool]:
    """The keeper and its program, every process of the place but the daemon: whether it could speak for it.

    What the daemon has just forked still shows the daemon's environment, until it has become another program.
    """
    found: dict[int, bool] = {}
    for pid in place.processes():
        with contextlib.suppress(OSError):
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            found |= {} if pid == daemon else {pid: b"NOTIFY_SOCKET" in environ}
    return found


def test_a_daemon_is_found_on_the_socket_that_was_handed_over(place: Place) -> None:
    path = place.runtime / "mpd.sock"
    with bound_unix(path) as bound:
        inode = path.stat().st_ino
        with served(place, handed=[bound]) as daemon:
            eventually(lambda: answers(place), within_s=ENDS_S)
            daemon.terminate()
            assert daemon.wait(ENDS_S) == 0

        assert path.stat().st_ino == inode, "the service manager's socket was unlinked"
        assert not place.daemon_file.exists()
        with served(place, handed=[bound]):
            eventually(lambda: answers(place), within_s=ENDS_S)


def test_the_first_call_waits_for_the_daemon_that_it_wakes(place: Place) -> None:
    with bound_unix(place.runtime / "mpd.sock") as bound:
        call = place.begin("mpctl", "workspace", "list", "--json")
        bound.settimeout(ENDS_S)
        woken, _ = bound.accept()  # as systemd sees that somebody knocks
        woken.close()
        with served(place, handed=[bound]) as daemon:
            _, err = call.communicate(timeout=ENDS_S)
            assert call.returncode == 0, err
            assert place.pid == daemon.pid, "the call started a daemon of its own"


def test_loopback_is_taken_over_and_guarded(place: Place) -> None:
    with (
        bound_unix(place.runtime / "mpd.sock") as bound,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        served(place, handed=[tcp, bound]),
    ):
        eventually(lambda: answers(place), within_s=ENDS_S)
        port = tcp.getsockname()[1]
        assert json.loads(place.daemon_file.read_text())["addr"] == f"http://127.0.0.1:{port}"
        assert b"401" in asked(port, host="evil.example")
        assert b"200 OK" in asked(port, host=f"127.0.0.1:{port}")


def asked(port: int, *, host: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), ENDS_S) as asking:
        asking.sendall(f"GET /v1/daemon/ping HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        return asking.recv(65_536).split(b"\r\n")[0]


def test_sockets_for_another_process_are_none_of_ours(place: Place) -> None:
    with served(place) as daemon:
        daemon.kill()
        daemon.wait()
    place.environ |= {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    with served(place):
        eventually(lambda: answers(place), within_s=ENDS_S)


@contextlib.contextmanager
def listening_nowhere() -> Generator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as idle:
        idle.bind(("127.0.0.1", 0))
        yield idle


@contextlib.contextmanager
def datagrams() -> Generator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talking:
        talking.bind(("127.0.0.1", 0))
        yield talking


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("not listening", "no listening stream socket"),
        ("datagrams", "no listening stream socket"),
        ("network", "does not listen on a network"),
        ("elsewhere", "but clients look at"),
        ("open to others", "open to other users (mode 666)"),
        ("two", "is a second Unix socket"),
    ],
)
def test_a_socket_that_does_not_fit_is_refused_in_words(place: Place, kind: str, words: str) -> None:
    ours = place.runtime / "mpd.sock"
    with contextlib.ExitStack() as house:
        handed = {
            "not listening": lambda: [house.enter_context(listening_nowhere())],
            "datagrams": lambda: [house.enter_context(datagrams())],
            "network": lambda: [house.enter_context(socket.create_server(("0.0.0.0", 0)))],
            "elsewhere": lambda: [house.enter_context(bound_unix(place.root / "other.sock"))],
            "open to others": lambda: [house.enter_context(bound_unix(ours, mode=0o666))],
            "two": lambda: [house.enter_context(bound_unix(ours))] * 2,
        }[kind]()
        with served(place, handed=handed) as daemon:
            assert daemon.wait(ENDS_S) == EXIT_STATUS[Code.VALIDATION_FAILED]

    assert words in said(place)
    assert "hint: mpd systemd prints units that fit" in said(place)
    assert "Traceback" not in said(place)


def test_the_units_name_this_installation_and_the_socket_that_clients_look_for(place: Place) -> None:
    units = place.call("mpd", "systemd", "--json").json

    service, unit = units["moduprompt.service"], units["moduprompt.socket"]
    assert f"ExecStart={BIN / 'mpd'} start --foreground --data-dir {place.data}" in service
    assert {"Type=notify", "KillMode=process", "OOMPolicy=continue"} <= set(service.splitlines())
    assert {f"ListenStream={place.runtime / 'mpd.sock'}", "SocketMode=0600"} <= set(unit.splitlines())
    assert not place.data.exists(), "reading changed something"
