"""Today's daemon over runs that the first keepers hold: a true upgrade, with the daemon of then before it.

What a program printed, was told and came to is asked of the program itself, of its keeper's journal and of the log;
each of them has it once.
"""

import asyncio
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import read_journal
from moduprompt.effects.runner.recording import Output, RecordingReader
from moduprompt.keeper.keeper import SOCKET_NAME
from moduprompt.keeper.recording import RECORDING_NAME
from moduprompt.protocol import RunId, WorkspaceId, decode_event
from tests.acceptance.test_many_runs import PRINTS, expected
from tests.acceptance.test_recovery import WAITS, keeper_of
from tests.support import daemon_process
from tests.support.ancestor import Ancestor, by_session, unpack
from tests.support.daemon import Place, is_alive
from tests.support.daemons_killed_early import nursery
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.seat import COLS, ROWS, seated

pytestmark = pytest.mark.slow

LONG_S: Final = 120.0  # with one step on a machine that has much else to do
TURNS: Final = (
    20,
    40,
    50,
    60,
    70,
    80,
)  # of its loop at which a daemon dies: from opening the log to the first reports
MOMENTS: Final = 10  # of a first start at which it dies
LONG_LINES: Final = 10_000  # of a prompt: more than a terminal holds for a program that does not read
HEARS: Final = """
import os, signal, sys
signal.signal(signal.SIGWINCH, lambda *_: print("size", *os.get_terminal_size(), flush=True))
print("ready", flush=True)
for line in sys.stdin:
    print("heard", line.strip(), flush=True)
    if line == "bye\\n": sys.exit(7)
"""
STAYS: Final = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nwhile True: signal.pause()"
IGNORES: Final = """
import signal, sys
for name in sys.argv[1:]: signal.signal(signal.Signals[name], signal.SIG_IGN)
print("ready", flush=True)
while True: signal.pause()
"""
READS_LATE: Final = """
import os, sys, time
print("ready", flush=True)
line = os.read(0, 4096)
while not os.path.exists(sys.argv[1]): time.sleep(0.05)
while line != b"bye\\n":
    print(line.decode().strip() + ".", flush=True)
    line = os.read(0, 4096)
"""
CALLS: Final = (
    'read go; mpctl session show "$MP_SESSION" --json >"$0/own.json" 2>&1; echo "called $?"; read more'
)
NEVER_ACKNOWLEDGES: Final = """
from moduprompt.effects.runner import port
from moduprompt.effects.runner.link import KeeperLink
async def ack(self, upto): return port.Done()
KeeperLink.ack = ack
"""
NEVER_REPORTS: Final = """
import asyncio
from moduprompt.effects.runner import hand
async def report(*_, **__): await asyncio.Event().wait()
hand.report = report
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("ancestor"))


@pytest.fixture
def ancestor(place: Place, unpacked: Path) -> Ancestor:
    """The program of then; its daemon is not started yet."""
    return Ancestor(place, unpacked)


@pytest.fixture
def old(ancestor: Ancestor, repository: Repository) -> Ancestor:
    """With a daemon of then, a workspace and a project."""
    ancestor.start_daemon()
    settle(ancestor, repository)
    return ancestor


def settle(ancestor: Ancestor, repository: Repository) -> None:
    ancestor.made("workspace", "create", "core")
    ancestor.made("project", "create", "paint", "--repo", str(repository.path))


def spawn(ancestor: Ancestor, name: str, program: str, *words: str, tree: str = "--no-worktree") -> None:
    python = (sys.executable, "-I", "-S", "-c", program, *words)
    more = (tree,) if tree else ()
    ancestor.mpctl("session", "spawn", name, "-p", "paint", *more, "--agent", "command", "--", *python)


def started(place: Place, ancestor: Ancestor, *names: str) -> dict[str, dict[str, Any]]:
    """These runs, once the log of then has them started, each with a keeper of then."""
    await_reports(place, port.Started, runs=len(names))
    eventually(lambda: {run["status"] for run in ancestor.runs().values()} == {"started"}, within_s=LONG_S)
    found = ancestor.runs()
    assert set(found) == set(names)
    assert all(ancestor.keeps(run["pid"]) for run in found.values())
    return found


def await_reports(place: Place, kind: type[port.Report], *, runs: int = 1) -> None:
    """Until so many keepers have one of these in their journals."""
    eventually(lambda: how_many(place, kind) >= runs, within_s=LONG_S)


def how_many(place: Place, kind: type[port.Report]) -> int:
    entries = (read_journal(each) for each in (place.data / "runs").glob("[!.]*"))
    return sum(any(isinstance(entry.report, kind) for entry in each) for each in entries)


def runs(place: Place) -> dict[str, dict[str, Any]]:
    """By the names of their sessions, as the daemon of today has them."""
    items = [place.ok(noun, "list", "--json").json["items"] for noun in ("session", "run")]
    return by_session(*items)


def printed(place: Place, run_id: str) -> bytes:
    """What its recording holds, as it lies on the disk."""
    with RecordingReader(place.data / "runs" / run_id / RECORDING_NAME) as reader:
        return b"".join(frame.data for frame in reader.frames() if isinstance(frame, Output))


def shows(place: Place, run_id: str, text: bytes) -> None:
    eventually(lambda: text in printed(place, run_id), within_s=LONG_S)


def heard(place: Place, run_id: str) -> list[bytes]:
    """What HEARS was told, in order."""
    return re.findall(rb"heard (.*)\r", printed(place, run_id))


def replaced(place: Place, old: Ancestor) -> None:
    """The daemon of then is killed and its program taken away; today's is started on what is left."""
    place.kill_daemon()
    old.is_replaced()
    place.start_daemon()


def recovery(place: Place) -> dict[str, Any]:
    """What the last start found, once it has looked at everything."""

    def told() -> dict[str, Any]:
        return place.ok("recovery", "show", "--json").json

    eventually(lambda: "took_ms" in told(), within_s=LONG_S)
    return told()


def fates(place: Place) -> dict[str, str]:
    return {each["run_id"]: each["fate"] for each in recovery(place)["runs"]}


def counted(place: Place, subject: str) -> Counter[str]:
    """How often the log says what of it."""
    events = place.ok("events", "list", "--json", "--subject", subject).lines
    return Counter(each["event_type"] for each in events)


def ended(place: Place, name: str) -> dict[str, Any]:
    """Its run, when the log has its end."""
    eventually(lambda: runs(place)[name]["status"] in ("exited", "lost"), within_s=LONG_S)
    return runs(place)[name]


@pytest.mark.timeout(400)
def test_what_the_oldest_keepers_hold_goes_on_under_todays_daemon_and_the_one_after_it(
    place: Place, old: Ancestor
) -> None:
    spawn(old, "printer", PRINTS, str(place.root / "stop"))
    spawn(old, "hearer", HEARS, tree="")
    spawn(old, "leaver", WAITS, str(place.root / "leave"))
    spawn(old, "orphan", STAYS)
    before = started(place, old, "printer", "hearer", "leaver", "orphan")
    ids = {name: run["id"] for name, run in before.items()}
    shows(place, ids["printer"], b"line 2\r")
    seen = len(printed(place, ids["printer"]))
    place.kill_daemon()
    old.is_replaced()
    keeper = keeper_of(before["orphan"]["pid"])
    os.kill(keeper, signal.SIGKILL)
    (place.root / "leave").touch()
    eventually(lambda: not is_alive(before["leaver"]["pid"]) and not is_alive(keeper))

    place.start_daemon()
    assert fates(place) == {
        ids["printer"]: "reattached",
        ids["hearer"]: "reattached",
        ids["leaver"]: "ended",
        ids["orphan"]: "lost",
    }
    assert not is_alive(before["orphan"]["pid"]), "what a lost run left is ended"
    assert "its keeper is of an earlier version" in place.ok("recovery", "show").out
    assert "its keeper is of a version that knew of none" in place.ok("run", "show", ids["printer"]).out
    following = place.begin("mpctl", "run", "output", ids["printer"], "--follow", "--from", str(seen))
    place.ok("session", "prompt", "hearer", "good morning")
    shows(place, ids["hearer"], b"heard good morning")
    place.ok("run", "resize", ids["hearer"], "31", "101")
    shows(place, ids["hearer"], b"size 101 31")

    place.kill_daemon()
    place.start_daemon()
    assert set(fates(place).values()) == {"reattached"}
    (place.root / "stop").touch()
    place.ok("session", "prompt", "hearer", "bye")
    await_reports(place, port.Exited, runs=3)
    ends = {
        name: (end["how"], end["code"])
        for name in ("printer", "hearer", "leaver")
        if (end := ended(place, name))
    }
    assert ends == {"printer": ("exited", 0), "hearer": ("exited", 7), "leaver": ("exited", 0)}
    rest, _ = following.communicate(timeout=LONG_S)
    whole = printed(place, ids["printer"])
    assert rest == whole[seen:].decode().replace("\r\n", "\n"), "each byte once, from the offset on"
    assert hashlib.sha256(whole).digest() == hashlib.sha256(expected(whole)).digest()
    assert heard(place, ids["hearer"]) == [b"good morning", b"bye"]
    for run_id in ids.values():
        told = counted(place, f"run:{run_id}")
        assert [told["run.started"], told["run.exited"] + told["run.lost"]] == [1, 1], told
        assert told["run.output_recorded"] == told["run.exited"], told
    assert "the log holds" in place.ok("log", "verify").out


@pytest.mark.timeout(400)
def test_what_the_daemon_of_then_told_and_never_acknowledged_is_not_told_again(
    place: Place, repository: Repository, ancestor: Ancestor
) -> None:
    daemon = ancestor.start_patched_daemon(NEVER_ACKNOWLEDGES)
    settle(ancestor, repository)
    spawn(ancestor, "hearer", HEARS)
    spawn(ancestor, "leaver", WAITS, str(place.root / "leave"))
    before = started(place, ancestor, "hearer", "leaver")
    keeper = keeper_of(before["leaver"]["pid"])
    (place.root / "leave").touch()
    ancestor.mpctl("session", "prompt", "hearer", "good morning")
    await_reports(place, port.Exited)
    await_reports(place, port.InputApplied)
    eventually(lambda: {"run.exited", "session.prompt_submitted"} <= types(ancestor), within_s=LONG_S)
    die(daemon, ancestor)
    assert is_alive(keeper), "it waits until its last word is taken"
    place.start_daemon()

    found = recovery(place)
    assert {each["run_id"]: each["fate"] for each in found["runs"]} == {before["hearer"]["id"]: "reattached"}
    assert found["freed_keepers"] == [before["leaver"]["id"]]
    eventually(lambda: not is_alive(keeper))
    place.ok("session", "prompt", "hearer", "bye")
    await_reports(place, port.Exited, runs=2)
    assert ended(place, "hearer")["code"] == 7
    assert heard(place, before["hearer"]["id"]) == [b"good morning", b"bye"]
    assert counted(place, f"session:{before['hearer']['session_id']}")["session.prompt_submitted"] == 2
    for run in before.values():
        told = counted(place, f"run:{run['id']}")
        assert [told["run.started"], told["run.exited"], told["run.output_recorded"]] == [1, 1, 1], told


@pytest.mark.timeout(400)
def test_what_the_daemon_of_then_never_told_is_told_once_by_those_of_today(
    place: Place, repository: Repository, ancestor: Ancestor
) -> None:
    daemon = ancestor.start_patched_daemon(NEVER_REPORTS)
    settle(ancestor, repository)
    spawn(ancestor, "hearer", HEARS)
    spawn(ancestor, "leaver", "raise SystemExit(3)")
    await_reports(place, port.Started, runs=2)
    await_reports(place, port.Exited)
    before = ancestor.runs()
    assert {run["status"] for run in before.values()} == {"requested"}
    die(daemon, ancestor)
    with nursery(daemon_process.Place(data=place.data, runtime=place.runtime)) as daemons:
        for turn in TURNS:
            if daemons.start(last=turn) is not None:  # it was through before
                daemons.kill()
    place.start_daemon()

    found = fates(place)
    assert found[before["hearer"]["id"]] == "reattached"
    assert found.get(before["leaver"]["id"], "ended") == "ended"
    place.ok("session", "prompt", "hearer", "bye")
    await_reports(place, port.Exited, runs=2)
    assert (ended(place, "hearer")["code"], ended(place, "leaver")["code"]) == (7, 3)
    for run in before.values():
        told = counted(place, f"run:{run['id']}")
        assert [told["run.started"], told["run.exited"], told["run.output_recorded"]] == [1, 1, 1], told


def types(ancestor: Ancestor) -> set[str]:
    """What has happened, as the daemon of then says."""
    return {each["event_type"] for each in ancestor.mpctl("events", "list", "--json").lines}


def die(daemon: "subprocess.Popen[bytes]", ancestor: Ancestor) -> None:
    """As by `kill -9`, and with it goes its program."""
    daemon.kill()
    daemon.wait()
    ancestor.is_replaced()


@pytest.mark.timeout(400)
def test_a_prompt_that_the_daemon_of_then_left_half_typed_arrives_once(place: Place, old: Ancestor) -> None:
    spawn(old, "reader", READS_LATE, str(place.root / "read"))
    run = started(place, old, "reader")["reader"]
    shows(place, run["id"], b"ready")
    text = "\n".join(f"word {number:05}" for number in range(LONG_LINES))
    old.mpctl("session", "prompt", "reader", text)
    await_reports(place, port.InputIntended)
    replaced(place, old)
    assert fates(place) == {run["id"]: "reattached"}
    assert how_many(place, port.InputApplied) == 0
    (place.root / "read").touch()
    shows(place, run["id"], f"word {LONG_LINES - 1:05}.".encode())
    eventually(lambda: submitted(place, run) == 1, within_s=LONG_S)
    place.ok("session", "prompt", "reader", "bye")
    await_reports(place, port.Exited)
    assert ended(place, "reader")["code"] == 0
    words = re.findall(rb"word (\d+)\.", printed(place, run["id"]))
    assert [int(word) for word in words] == list(range(LONG_LINES))
    assert submitted(place, run) == 2


def submitted(place: Place, run: dict[str, Any]) -> int:
    return counted(place, f"session:{run['session_id']}")["session.prompt_submitted"]


@pytest.mark.timeout(400)
def test_the_oldest_keepers_stop_what_ignores_being_asked(place: Place, old: Ancestor) -> None:
    ignored = {"heeds": (), "stays": ("SIGINT",), "clings": ("SIGINT", "SIGTERM")}
    for name, signals in ignored.items():
        spawn(old, name, IGNORES, *signals)
    before = started(place, old, *ignored)
    replaced(place, old)
    for name in ignored:
        shows(place, before[name]["id"], b"ready")
        place.ok("run", "stop", before[name]["id"])
    await_reports(place, port.Exited, runs=len(ignored))
    ends = {name: ended(place, name) for name in ignored}
    assert {name: (end["how"], end["signal"]) for name, end in ends.items()} == {
        "heeds": ("stopped", signal.SIGINT),
        "stays": ("stopped", signal.SIGTERM),
        "clings": ("stopped", signal.SIGKILL),
    }
    assert not any(is_alive(run["pid"]) for run in before.values())


@pytest.mark.timeout(400)
def test_todays_upgrade_replaces_the_daemon_of_then_and_agents_and_people_go_on(
    place: Place, old: Ancestor
) -> None:
    spawn(old, "hearer", HEARS)
    words = ("session", "spawn", "caller", "-p", "paint", "--no-worktree", "--agent", "command")
    old.mpctl(*words, "--", "/bin/sh", "-c", CALLS, str(place.root))
    before = started(place, old, "hearer", "caller")
    said = place.call("mpd", "upgrade", "--json")
    assert (said.status, said.json["live_runs"]) == (0, 2), said
    old.is_replaced()
    assert set(fates(place).values()) == {"reattached"}

    place.ok("session", "prompt", "caller", "go")
    shows(place, before["caller"]["id"], b"called 0")
    assert before["caller"]["session_id"] in (place.root / "own.json").read_text()
    run_id = before["hearer"]["id"]
    with seated("mpctl", "run", "attach", run_id, environ={**place.environ, "TERM": "xterm"}) as seat:
        seat.shows("ready")
        seat.shows(f"size {COLS} {ROWS}")
        seat.type(b"by hand\r")
        seat.shows("heard by hand")
        seat.type(b"\x1d")
        assert seat.leaves() == 0
    assert runs(place)["hearer"]["status"] == "started"


@pytest.mark.timeout(400)
def test_a_first_start_over_the_data_of_then_may_die_at_any_moment(place: Place, old: Ancestor) -> None:
    spawn(old, "hearer", HEARS)
    run = started(place, old, "hearer")["hearer"]
    old.mpctl("session", "prompt", "hearer", "good morning")
    shows(place, run["id"], b"heard good morning")
    old.mpctl("session", "prompt", "hearer", "bye")
    await_reports(place, port.Exited)
    eventually(lambda: "run.output_recorded" in types(old), within_s=LONG_S)
    eventually(lambda: not (place.data / "runs" / run["id"] / SOCKET_NAME).exists())
    before = [each["event_id"] for each in old.mpctl("events", "list", "--json").lines]
    whole = printed(place, run["id"])
    place.kill_daemon()
    old.is_replaced()
    kept = place.root / "kept"
    shutil.copytree(place.data, kept)

    here = daemon_process.Place(data=place.data, runtime=place.runtime)
    with nursery(here) as daemons:
        begun = time.monotonic()
        assert daemons.start() is not None
        took_s = time.monotonic() - begun
        daemons.kill()
        for number in range(MOMENTS):
            shutil.rmtree(place.data)
            shutil.copytree(kept, place.data)
            if daemons.start(after_s=took_s / 2 * (number + 1) / MOMENTS) is not None:
                daemons.kill()
            daemons.start()
            events, output = asyncio.run(kept_by(here, run))
            daemons.kill()
            assert (events, output) == (before, whole), number
    place.start_daemon()
    assert "the log holds" in place.ok("log", "verify").out


async def kept_by(place: daemon_process.Place, run: dict[str, Any]) -> tuple[list[str], bytes]:
    """The events there are, by their ids, and what the run printed."""
    home = WorkspaceId(run["workspace_id"])
    async with place.client() as client:
        page = await client.read_events(home)
        output = b"".join([piece async for piece in client.run_output(RunId(run["id"]), workspace_id=home)])
    return [decode_event(item).event_id for item in page.items], output
