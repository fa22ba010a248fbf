# pyright: reportUnknownMemberType=false
# The driver declares its bindings as partly unknown types.
"""A store that is damaged as a whole: the installed daemon starts, says what is damaged, reads, and writes nothing."""

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from moduprompt.storage.sqlite.inspection import examine
from tests.support.daemon import Place, daemon_place
from tests.support.log_files import PAGE_BYTES, rewritten

UNAVAILABLE_EXIT, BROKEN_EXIT = 7, 1
PROJECTS = 8  # enough for tables of several pages
SYSTEM = "00000000-0000-7000-8000-000000000000"

Breaking = Callable[[Path], None]


def zero_the_header(log: Path) -> None:
    data = bytearray(log.read_bytes())
    data[:100] = bytes(100)
    log.write_bytes(data)


def cut_it_short(log: Path) -> None:
    log.write_bytes(log.read_bytes()[: 3 * PAGE_BYTES])


def flip_bytes_of_the_events(log: Path) -> None:
    """The root of the events' table: everything below it is out of reach."""
    raw = apsw.Connection(str(log))
    page = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events'").get
    raw.close()
    assert isinstance(page, int)
    data = bytearray(log.read_bytes())
    start = (page - 1) * PAGE_BYTES
    data[start : start + 12] = bytes(byte ^ 0xFF for byte in data[start : start + 12])
    log.write_bytes(data)


def lose_the_systems_head_row(log: Path) -> None:
    raw = apsw.Connection(str(log))
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute("DELETE FROM workspaces WHERE id = ?", (SYSTEM,))
    raw.close()


def lose_a_head_row(log: Path) -> None:
    raw = apsw.Connection(str(log))
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute("DELETE FROM workspaces WHERE ws = 3")
    raw.close()


def break_the_systems_chain(log: Path) -> None:
    rewritten(log, SYSTEM, 1)


def empty_it(log: Path) -> None:
    log.write_bytes(b"")


WAYS: tuple[tuple[Breaking, str], ...] = (
    (zero_the_header, "not a database"),
    (cut_it_short, "malformed"),
    (flip_bytes_of_the_events, "malformed"),
    (lose_the_systems_head_row, "head row"),
    (lose_a_head_row, "head row"),
    (break_the_systems_chain, "event 2"),
    (empty_it, "gone"),
)


def a_history(place: Place) -> None:
    """Two workspaces with some projects, and a daemon that has stopped."""
    for name in ("core", "side"):
        place.made("workspace", "create", name)
        for number in range(PROJECTS):
            place.made("project", "create", f"p{number}", "-w", name)
    assert place.call("mpd", "stop").status == 0


@pytest.mark.parametrize(("broken", "said"), WAYS)
def test_a_damaged_store_is_said_and_left_as_it_is(place: Place, broken: Breaking, said: str) -> None:
    place.made("workspace", "create", "core")
    place.made("workspace", "create", "side")
    assert place.call("mpd", "stop").status == 0
    log = place.data / "state" / "log.sqlite"
    broken(log)
    before = log.read_bytes()

    started = place.call("mpd", "start")
    status = place.call("mpctl", "daemon", "status")
    refused = place.mpctl("workspace", "create", "more", "--json")
    stopped = place.call("mpd", "stop")

    assert (started.status, "safe mode" in started.out) == (0, True), started
    assert "safe mode" in status.out
    assert str(log) in status.out
    assert said in status.out, status.out
    assert refused.status == UNAVAILABLE_EXIT, refused
    assert (refused.json["code"], refused.json["details"]["reason"]) == ("unavailable", "safe_mode")
    assert "mpctl log export --whole" in refused.json["hint"]
    assert stopped.status == 0
    assert log.read_bytes() == before, "nothing was written to it"


def test_what_is_whole_is_read_and_saved_and_what_is_not_is_a_prefix(place: Place) -> None:
    a_history(place)
    log, folder = place.data / "state" / "log.sqlite", place.root / "saved"
    core, side = (head.workspace_id for head in examine(log).heads[1:])
    rewritten(log, core, 5)
    break_the_systems_chain(log)
    assert place.call("mpd", "start").status == 0

    names = {each["name"] for each in place.ok("project", "list", "-w", side, "--json").json["items"]}
    refused = place.mpctl("project", "list", "-w", core, "--json")
    rescue = place.ok("log", "export", "--whole", str(folder), "--json").json
    verified = place.mpctl("log", "verify", str(log))

    assert names == {f"p{number}" for number in range(PROJECTS)}
    assert refused.json["details"]["reason"] == "safe_mode"
    by_id = {each["workspace_id"]: each for each in rescue["saved"]}
    assert (by_id[core]["seq"], by_id[core]["prefix_of"]) == (5, PROJECTS + 1)
    assert f"prefix-5-of-{PROJECTS + 1}" in by_id[core]["file"]
    assert (by_id[side]["seq"], "prefix_of" in by_id[side]) == (PROJECTS + 1, False)
    assert {(each["workspace_id"], each["seq"]) for each in rescue["damage"]} == {(SYSTEM, 2), (core, 6)}
    assert verified.status == BROKEN_EXIT
    assert f"workspace {SYSTEM}, event 2" in verified.err
    with daemon_place() as elsewhere:
        for each in by_id.values():
            elsewhere.ok("log", "import", each["file"])
        assert "the log holds" in elsewhere.ok("log", "verify").out


def test_a_damaged_index_hides_no_event(place: Place) -> None:
    a_history(place)
    log = place.data / "state" / "log.sqlite"
    raw = apsw.Connection(str(log))
    page = raw.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events_in_order'").get
    raw.close()
    assert isinstance(page, int)
    data = bytearray(log.read_bytes())
    data[(page - 1) * PAGE_BYTES : page * PAGE_BYTES] = bytes(PAGE_BYTES)
    log.write_bytes(data)
    assert "safe mode" in place.call("mpd", "start").out

    assert len(place.ok("project", "list", "-w", "side", "--json").json["items"]) == PROJECTS
    rescue = place.ok("log", "export", "--whole", str(place.root / "saved"), "--json").json
    assert [each["seq"] for each in rescue["saved"]] == [PROJECTS + 1] * 2
    assert all("prefix_of" not in each for each in rescue["saved"])


def test_from_safe_mode_a_backup_leads_back(place: Place) -> None:
    place.made("workspace", "create", "core")
    assert place.call("mpd", "backup", str(place.root / "kept")).status == 0
    assert place.call("mpd", "stop").status == 0
    log = place.data / "state" / "log.sqlite"
    zero_the_header(log)
    damaged = log.read_bytes()
    assert "safe mode" in place.call("mpd", "start").out

    said = place.call("mpd", "restore", str(place.root / "kept"), "--replace", "--json")

    assert said.status == 0, said
    assert (Path(said.json["replaced"]) / "log.sqlite").read_bytes() == damaged
    place.made("workspace", "create", "more")
    assert "the log holds" in place.ok("log", "verify").out


def test_a_lost_write_ahead_log_leaves_an_earlier_moment_and_no_harm(place: Place) -> None:
    """Nothing in the file tells of what stood in the other one only."""
    place.made("workspace", "create", "core")
    place.kill_daemon()
    for suffix in ("-wal", "-shm"):
        (place.data / "state" / f"log.sqlite{suffix}").unlink(missing_ok=True)

    assert place.call("mpd", "start").status == 0
    assert place.call("mpctl", "log", "verify").status == 0


def test_one_damaged_workspace_is_no_damaged_store(place: Place) -> None:
    """It alone refuses; the daemon is ready, and says side by side what is damaged and what is not."""
    a_history(place)
    log = place.data / "state" / "log.sqlite"
    core, side = (head.workspace_id for head in examine(log).heads[1:])
    rewritten(log, core, 5)
    (place.data / "state" / "snapshots.sqlite").unlink(
        missing_ok=True
    )  # or the broken part would not be read

    assert place.call("mpd", "start").status == 0
    ready = place.ok("daemon", "status", "--json").json
    refused = place.mpctl("project", "create", "more", "-w", core, "--json")

    assert (ready["status"], "damaged_store" in ready) == ("ready", False)
    assert [(each["workspace_id"], each["seq"]) for each in ready["damaged_workspaces"]] == [(core, 6)]
    assert refused.json["details"]["reason"] == "workspace_damaged"
    place.made("project", "create", "more", "-w", side)
