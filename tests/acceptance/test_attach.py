"""A person at a run's terminal, through the installed command and a real pseudo-terminal."""

import signal
from contextlib import AbstractContextManager

import pytest

from tests.support.daemon import Place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.seat import COLS, ROWS, Seat, seated

ASKS = 'stty size; printf "your name? "; read name; echo "hello $name"; read more; echo "and $more"'
# Asks for keys by their names, for word of focus and colours, and for marks around what is pasted.
NAMES_KEYS = r"stty -echo; printf '\033[>7u\033[>4;2m\033[?1004h\033[?2031h\033[?2004hready\r\n'; while read line; do echo got it; done"
COUNTS = 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo "line $i"; read go; done'


@pytest.fixture
def project(place: Place, repository: Repository) -> str:
    place.made("workspace", "create", "core")
    return place.made("project", "create", "paint", "--repo", str(repository.path))


SHELL = "for i in $(seq 29); do echo old line $i of the shell; done; exec "
FULL_SCREEN = r"printf '\033[?1049h\033[Hfull screen\r\n'; read go"


def started(place: Place, program: str) -> str:
    place.made(
        "session", "spawn", "painter", "-p", "paint", "--agent", "command", "--", "/bin/sh", "-c", program
    )
    return place.newest_run()


def status(place: Place, run: str) -> str:
    return str(place.ok("run", "show", run, "--json").json["status"])


def attached(place: Place, run: str, *more: str) -> AbstractContextManager[Seat]:
    return seated("mpctl", "run", "attach", run, *more, environ={**place.environ, "TERM": "xterm"})


@pytest.mark.usefixtures("project")
def test_a_person_sees_what_stands_there_types_and_leaves_and_the_run_goes_on(place: Place) -> None:
    run = started(place, ASKS)
    eventually(lambda: "your name?" in place.ok("run", "screen", run).out)
    with attached(place, run) as seat:
        seat.shows("your name?")  # from before we came
        seat.type(b"Ada\r")
        seat.shows("hello Ada")
        seat.type(b"\x1d")
        assert seat.leaves() == 0
        seat.prints(b"the run goes on")
        assert seat.is_as_before()
    assert status(place, run) == "started"
    with attached(place, run) as seat:
        seat.shows("hello Ada")
        seat.type(b"Grace\r")
        assert seat.leaves() == 0
        assert b"and Grace" in seat.seen
        seat.prints(b"the run has ended")
    eventually(lambda: status(place, run) == "exited")


@pytest.mark.usefixtures("project")
def test_a_persons_screen_shows_the_runs_and_nothing_of_what_stood_there(place: Place) -> None:
    run = started(place, ASKS)
    eventually(lambda: "your name?" in place.ok("run", "screen", run).out)
    words = ("/bin/sh", "-c", f"{SHELL} mpctl run attach {run}")
    with seated(*words, environ={**place.environ, "TERM": "xterm"}) as seat:
        seat.prints(f"attached to run {run}; Ctrl-] leaves".encode())
        seat.shows("your name?")
        _, *lines = [line for line in seat.screen.text() if line]  # first the window's size
        assert lines == ["your name?"]
        seat.type(b"\x1d")
        assert seat.leaves() == 0


@pytest.mark.usefixtures("project")
def test_behind_a_full_screen_program_the_shells_screen_stays(place: Place) -> None:
    run = started(place, FULL_SCREEN)
    eventually(lambda: "full screen" in place.ok("run", "screen", run).out)
    words = ("/bin/sh", "-c", f"{SHELL} mpctl run attach {run} 2>/dev/null")
    with seated(*words, environ={**place.environ, "TERM": "xterm"}) as seat:
        seat.shows("full screen")
        seat.type(b"\x1d")
        assert seat.leaves() == 0
        shown = [line for line in seat.screen.text() if line]
    assert shown[0].startswith("old line")
    assert shown[-1] == "old line 29 of the shell"
    assert b"attached" not in seat.seen  # nobody reads that stream


@pytest.mark.usefixtures("project")
def test_who_pastes_stays_and_who_leaves_gets_a_terminal_that_types_again(place: Place) -> None:
    run = started(place, NAMES_KEYS)
    with attached(place, run) as seat:
        seat.shows("ready")
        seat.type(b"\x1b[200~delete \x1d everything\r\x1b[201~\r")
        seat.shows("got it")
        seat.type(b"\x1b[93;5u")
        assert seat.leaves() == 0
        assert seat.is_as_before()
        _, _, behind = seat.seen.rpartition(b"got it")
    for off in (b"\x1b[<99u", b"\x1b[>4;0m", b"\x1b[?1004l", b"\x1b[?2031l", b"\x1b[?2004l"):
        assert off in behind
    assert status(place, run) == "started"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_whoever_is_ended_leaves_the_terminal_as_it_was(place: Place, number: signal.Signals) -> None:
    run = started(place, ASKS)
    with attached(place, run) as seat:
        seat.shows("your name?")
        seat.program.send_signal(number)
        assert seat.leaves() == -number
        assert seat.is_as_before()
    assert status(place, run) == "started"


@pytest.mark.usefixtures("project")
def test_the_run_gets_the_window_of_whoever_types(place: Place) -> None:
    run = started(place, "echo ready; read go; stty size; read more")
    with attached(place, run) as seat:
        seat.shows("ready")
        seat.type(b"\r")
        seat.shows(f"{ROWS} {COLS}")


@pytest.mark.usefixtures("project")
def test_one_types_and_the_others_watch(place: Place) -> None:
    run = started(place, ASKS)
    eventually(lambda: "your name?" in place.ok("run", "screen", run).out)
    with attached(place, run) as first:
        first.shows("your name?")
        first.type(b"A")
        first.shows("your name? A")
        with attached(place, run) as second:
            second.shows("types here; you watch")
            second.type(b"nobody\r")
            second.shows("only watches")
            first.type(b"da\r")
            second.shows("hello Ada")
        with attached(place, run, "--watch") as third:
            third.shows("hello Ada")
            first.type(b"\x1d")
            assert first.leaves() == 0
            third.type(b"x")
            third.shows("only watches")


@pytest.mark.usefixtures("project")
def test_a_prompt_waits_for_a_half_written_line(place: Place) -> None:
    run = started(place, ASKS)
    eventually(lambda: "your name?" in place.ok("run", "screen", run).out)
    with attached(place, run) as seat:
        seat.shows("your name?")
        seat.type(b"Ad")
        seat.shows("your name? Ad")
        place.ok("session", "prompt", "painter", "a prompt")
        seat.type(b"a")
        seat.shows("your name? Ada")
        seat.type(b"\r")
        seat.shows("hello Ada")
        seat.shows("and a prompt")
    eventually(lambda: status(place, run) == "exited")


@pytest.mark.usefixtures("project")
def test_whoever_is_attached_stays_when_the_daemon_is_killed(place: Place) -> None:
    run = started(place, COUNTS)
    with attached(place, run) as seat:
        for number in range(1, 6):
            seat.shows(f"line {number}")
            if number == 3:
                place.kill_daemon()
                place.ok("daemon", "start")
            seat.type(b"\r")
        shown = [line for line in seat.screen.text() if line.startswith("line ")]
        seat.type(b"\x1d")
        assert seat.leaves() == 0
    assert shown == [f"line {number}" for number in range(1, 6)]


@pytest.mark.usefixtures("project")
def test_without_a_terminal_or_a_living_run_it_is_refused(place: Place) -> None:
    run = started(place, "echo done")
    said = place.call("mpctl", "run", "attach", run)
    assert (said.status, "no terminal" in said.err) == (8, True)
    eventually(lambda: status(place, run) == "exited")
    with attached(place, run) as seat:
        assert seat.leaves() == 8
        assert b"mpctl run screen" in seat.seen
        assert seat.is_as_before()
