# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The driver declares its bindings as partly unknown types.
"""Every start either answers or ends with a message, a hint and a status, and leaves nothing half made."""

from __future__ import annotations

import os
import resource
import signal
import socket
from pathlib import Path

import apsw
import pytest

from moduprompt.config import SOCKET_PATH_MAX, Choices, ConfigRefused, load_config
from moduprompt.daemon.serving import DESCRIPTORS_WANTED, raise_descriptors
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.protocol import EXIT_STATUS, SYSTEM_WORKSPACE, Code
from tests.support.daemon_process import Ended, Place, daemon_at, files_in, mode_of, place_in, refused, spawn

IN_USE, REFUSED = EXIT_STATUS[Code.UNAVAILABLE], EXIT_STATUS[Code.VALIDATION_FAILED]
SOMEONE_ELSE = 65_534  # nobody, on every Unix


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return place_in(tmp_path)


def assert_told(ended: Ended, *, status: int, words: str) -> None:
    """A refusal as a person wants it."""
    assert ended.status == status, ended.said
    assert f"error: {words}" in ended.said or words in ended.said.split("hint:")[0], ended.said
    assert "\nhint: " in ended.said
    assert "Traceback" not in ended.said


@pytest.mark.parametrize(
    ("soft", "hard", "taken"),
    [
        (256, 4_096, 4_096),
        (1_024, resource.RLIM_INFINITY, DESCRIPTORS_WANTED),
        (100_000, 200_000, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_a_daemon_takes_as_many_open_files_as_it_may_have_up_to_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, taken: int | None
) -> None:
    asked: list[tuple[int, int]] = []

    def given(_: int) -> tuple[int, int]:
        return soft, hard

    def take(_: int, wanted: tuple[int, int]) -> None:
        asked.append(wanted)

    monkeypatch.setattr(resource, "getrlimit", given)
    monkeypatch.setattr(resource, "setrlimit", take)
    raise_descriptors()
    assert asked == ([] if taken is None else [(taken, hard)])


def assert_not_listening(place: Place) -> None:
    assert not place.config.socket.exists()
    assert not place.config.daemon_file.exists()


def kept(place: Place) -> Path:
    """Data that a daemon has made, with the daemon gone."""
    with daemon_at(place) as daemon:
        assert daemon.stop().status == 0
    return place.config.log_db


def change(log: Path, *statements: str) -> None:
    """What someone does to the file with a tool of their own."""
    database = apsw.Connection(str(log))
    for statement in statements:
        database.execute(statement)
    database.close()


def test_what_a_daemon_makes_is_its_owners_alone(place: Place) -> None:
    with daemon_at(place) as daemon:
        written = place.daemon_file()
        assert written.pid == daemon.process.pid
        assert written.addr == f"unix:{place.config.socket}"
        assert written.db_path == str(place.config.log_db)
        for folder in (place.data, place.runtime, place.config.state_dir, place.config.run_sockets_dir):
            assert mode_of(folder) == 0o700, folder
        for path in (*files_in(place.runtime), *files_in(place.config.state_dir)):
            assert mode_of(path) == 0o600, path
        assert daemon.stop().status == 0

    assert_not_listening(place)


def test_nothing_it_says_holds_a_token(place: Place) -> None:
    with daemon_at(place) as daemon:
        token = place.daemon_file().token
        ended = daemon.stop()

    assert token not in ended.said
    assert ended.said.count("daemon.") == 3


def test_a_second_daemon_on_the_same_data_is_refused(place: Place) -> None:
    with daemon_at(place) as daemon:
        before = place.daemon_file()
        ended = refused(place)

        assert_told(ended, status=IN_USE, words=f"(pid {daemon.process.pid})")
        assert place.daemon_file() == before
        assert place.config.socket.exists()


def test_the_same_data_from_another_runtime_folder_is_refused(place: Place, tmp_path: Path) -> None:
    other = Place(data=place.data, runtime=tmp_path / "other")
    with daemon_at(place):
        assert_told(refused(other), status=IN_USE, words=str(place.config.state_dir))

    assert_not_listening(other)


def test_a_daemon_of_other_data_does_not_take_the_socket(place: Place, tmp_path: Path) -> None:
    other = Place(data=tmp_path / "other", runtime=place.runtime)
    with daemon_at(place):
        before = place.daemon_file()
        ended = refused(other)

        assert_told(ended, status=REFUSED, words=str(place.config.log_db))
        assert place.daemon_file() == before
    assert not other.data.exists()


def test_what_a_killed_daemon_left_behind_is_replaced(place: Place) -> None:
    with daemon_at(place) as daemon:
        daemon.stop(signal.SIGKILL)
    assert place.config.socket.exists()
    before = place.daemon_file()

    with daemon_at(place):
        assert place.daemon_file().token != before.token


@pytest.mark.parametrize("where", ["below a file", "where nothing can be made"])
def test_a_data_folder_that_cant_be_written_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    data = tmp_path / "file" / "data" if where == "below a file" else Path("/proc/self/data")
    place = Place(data=data, runtime=tmp_path / "run")
    log_home = Place(data=tmp_path / "unused", runtime=place.runtime)

    daemon = spawn(log_home, patch=f"sys.argv[1] = {str(data)!r}")
    ended = daemon.ended()

    assert_told(ended, status=REFUSED, words=str(data))
    assert_not_listening(place)


@pytest.mark.parametrize("what", ["log", "socket folder"])
def test_a_file_where_a_folder_belongs_is_refused(place: Place, what: str) -> None:
    (place.data if what == "log" else place.runtime).write_text("in the way")

    assert_told(refused(place), status=REFUSED, words=str(place.data if what == "log" else place.runtime))


def test_a_runtime_folder_that_others_may_write_is_refused(place: Place) -> None:
    place.runtime.mkdir()
    place.runtime.chmod(0o777)

    assert_told(refused(place), status=REFUSED, words="others may write")
    assert not place.data.exists()
    assert mode_of(place.runtime) == 0o777, "a folder that is not ours alone is left as it is"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_runtime_folder_of_someone_else_is_refused(place: Place) -> None:
    place.runtime.mkdir(mode=0o700)
    os.chown(place.runtime, SOMEONE_ELSE, SOMEONE_ELSE)

    assert_told(refused(place), status=REFUSED, words="belongs to another user")
    assert not place.data.exists()


def test_data_of_a_newer_version_is_refused_and_left_alone(place: Place) -> None:
    log = kept(place)
    change(log, "PRAGMA user_version = 999")
    before = log.read_bytes()

    assert_told(refused(place), status=REFUSED, words="layout 999")
    assert log.read_bytes() == before
    assert_not_listening(place)


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_secret_that_is_missing_or_damaged_is_never_made_anew(place: Place, damage: str) -> None:
    kept(place)
    secret = place.config.secret_file
    secret.unlink()
    if damage == "short":
        secret.write_bytes(b"short")

    assert_told(refused(place), status=REFUSED, words=str(secret))
    assert secret.exists() == (damage == "short")
    assert_not_listening(place)


def test_views_that_are_gone_or_damaged_cost_nothing(place: Place) -> None:
    kept(place)
    place.config.views_db.unlink()

    with daemon_at(place) as daemon:
        assert daemon.stop().status == 0


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:0", "127.0.0.1", "127.0.0.1:99999", "example.org:80", "127.0.0.1:²"]
)
def test_an_address_that_is_not_this_machines_is_refused(place: Place, listen: str) -> None:
    assert_told(refused(place, listen=listen), status=REFUSED, words=listen)
    assert_not_listening(place)
    assert not place.config.log_db.exists()


def test_a_port_that_is_taken_is_refused(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"

        assert_told(refused(place, listen=listen), status=REFUSED, words=listen)
    assert not place.config.log_db.exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_daemon_that_listens_on_a_port_says_where(place: Place, host: str) -> None:
    with daemon_at(place, listen=f"{host}:0"):
        addr = place.daemon_file().addr

    assert addr.startswith(f"http://{host}:")
    assert not addr.endswith(":0")


def test_a_socket_path_that_is_too_long_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    runtime = tmp_path / ("x" * SOCKET_PATH_MAX)

    with pytest.raises(ConfigRefused, match=r"bytes; the system takes 107") as caught:
        load_config(Choices(data_dir=str(tmp_path / "data"), runtime_dir=str(runtime)), {})

    assert "--runtime-dir" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_the_longest_path_that_is_taken_has_room_for_a_runs_socket(tmp_path: Path) -> None:
    fits = SOCKET_PATH_MAX - len("/agents/000000000000.sock")
    runtime = Path("/").joinpath("x" * (fits - 1))

    config = load_config(Choices(data_dir=str(tmp_path), runtime_dir=str(runtime)), {})

    assert len(str(config.run_sockets_dir / "000000000000.sock")) == SOCKET_PATH_MAX
    with pytest.raises(ConfigRefused):
        load_config(Choices(data_dir=str(tmp_path), runtime_dir=f"{runtime}x"), {})


async def test_a_daemon_answers_through_its_file(place: Place) -> None:
    with daemon_at(place):
        async with place.client() as client:
            made = await client.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="one"))
            assert made.seq_global == 1
