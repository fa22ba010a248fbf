"""`mpd backup` and `mpd restore`, as a person has them: under load, with a daemon and without one."""

import asyncio
import json
import os
import signal
from pathlib import Path

from moduprompt.client import Client
from moduprompt.domain.project.commands import CreateProject
from moduprompt.protocol import SYSTEM_WORKSPACE, WorkspaceId
from moduprompt.storage.sqlite.inspection import LogFile, log_file
from tests.support.daemon import Place, daemon_place
from tests.support.deadline import eventually

REFUSED_EXIT, UNAVAILABLE_EXIT = 8, 7
WRITERS = 4
BEFORE = 40  # commands that are acknowledged before the backup begins


def client_of(place: Place) -> Client:
    told = json.loads(place.daemon_file.read_text())
    return Client(socket=told["socket"], token=told["token"])


def workspace_id(place: Place) -> WorkspaceId:
    (item,) = [
        each for each in place.ok("workspace", "list", "--json").json["items"] if each["name"] == "core"
    ]
    return WorkspaceId(item["id"])


def project_names(place: Place) -> set[str]:
    return {each["name"] for each in place.ok("project", "list", "--json").json["items"]}


def stored(log: LogFile, of: WorkspaceId) -> list[bytes]:
    return [each.data for head in log.heads() if head.workspace_id == of for each in log.events(head)]


async def backed_up_under_load(place: Place, of: WorkspaceId, target: Path) -> tuple[set[bytes], list[bytes]]:
    """The events acknowledged before the backup began, and the log afterwards."""
    acknowledged, enough, is_over = set[bytes](), asyncio.Event(), asyncio.Event()

    async def write(number: int) -> None:
        async with client_of(place) as client:
            count = 0
            while not is_over.is_set():
                made = await client.submit(CreateProject(workspace_id=of, name=f"p{number}-{count}"))
                acknowledged.update(bytes(event) for event in made.events)
                count += 1
                if len(acknowledged) >= BEFORE:
                    enough.set()

    async with asyncio.TaskGroup() as writers:
        for number in range(WRITERS):
            writers.create_task(write(number))
        await enough.wait()
        promised = set(acknowledged)
        said = await asyncio.to_thread(place.call, "mpd", "backup", str(target))
        is_over.set()
    assert said.status == 0, said
    with log_file(place.data / "state" / "log.sqlite") as log:
        return promised, stored(log, of)


def test_a_backup_under_load_holds_whatever_was_acknowledged_before_it(place: Place) -> None:
    target = place.root / "kept"
    place.made("workspace", "create", "core")
    of = workspace_id(place)

    promised, live = asyncio.run(backed_up_under_load(place, of, target))

    with log_file(target / "log.sqlite") as log:
        copied = stored(log, of)
    assert promised <= set(copied)
    assert copied == live[: len(copied)]
    assert "the log holds" in place.ok("log", "verify", str(target / "log.sqlite")).out


def test_a_backup_goes_to_another_machine_and_nothing_is_missing_there(place: Place) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint")
    task = place.made("task", "create", "-p", "paint", "walls", "--description", "all of them, twice")
    made = place.call("mpd", "backup", "--json").json
    shown = place.ok("task", "show", task, "--json").json

    with daemon_place() as elsewhere:
        said = elsewhere.call("mpd", "restore", made["folder"])
        assert (said.status, "there were no data" in said.out) == (0, True), said
        assert elsewhere.ok("task", "show", task, "--json").json == shown
        (artifact,) = [each for each in (elsewhere.data / "artifacts").rglob("*") if each.is_file()]
        assert artifact.read_text() == "all of them, twice"
        elsewhere.made("project", "create", "more")
        assert "the log holds" in elsewhere.ok("log", "verify").out
    assert (made["artifacts"], made["missing"], made["damaged"]) == (1, [], [])
    assert Path(made["folder"]).parent == place.data / "backups"


def test_what_was_erased_is_not_in_a_backup_and_is_not_called_missing(place: Place) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint")
    place.made("task", "create", "-p", "paint", "walls", "--description", "all of them")
    (kept,) = place.ok("artifact", "list", "--json").json["items"]
    place.made("task", "create", "-p", "paint", "doors", "--description", "a secret")
    (ref,) = [each["ref"] for each in place.ok("artifact", "list", "--json").json["items"] if each != kept]
    place.ok("artifact", "erase", ref, "--reason", f"it was not {kept['ref']}")

    made = place.call("mpd", "backup", "--json").json

    assert (made["erased"], made["missing"], made["artifacts"]) == ([ref], [], 1)
    assert "1 artifacts were erased" in place.call("mpd", "backup", str(place.root / "again")).out


def test_a_restore_with_a_running_daemon_switches_and_goes_on(place: Place) -> None:
    target = str(place.root / "kept")
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint")
    assert place.call("mpd", "backup", target).status == 0
    place.made("project", "create", "later")
    first, before = place.pid, (place.data / "state" / "log.sqlite").read_bytes()

    refused = place.call("mpd", "restore", target)
    assert (refused.status, "--replace" in refused.err, place.pid) == (REFUSED_EXIT, True, first)
    assert (place.data / "state" / "log.sqlite").read_bytes() == before

    done = place.call("mpd", "restore", target, "--replace", "--json").json

    assert (done["restarted"], place.pid != first) == (True, True)
    assert project_names(place) == {"paint"}
    assert (Path(done["replaced"]) / "log.sqlite").exists()
    old = place.ok("log", "verify", str(Path(done["replaced"]) / "log.sqlite"), "--json").json["verified"]
    assert {each["name"] for each in old} == {"system", "core"}
    place.made("project", "create", "after")
    assert "the log holds" in place.ok("log", "verify").out


def test_a_damaged_backup_is_refused_before_anything_is_touched(place: Place) -> None:
    target = place.root / "kept"
    place.made("workspace", "create", "core")
    assert place.call("mpd", "backup", str(target)).status == 0
    data = bytearray((target / "log.sqlite").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (target / "log.sqlite").write_bytes(data)
    first = place.pid

    refused = place.call("mpd", "restore", str(target), "--replace", "--json")

    assert (refused.status, refused.json["details"]["reason"]) == (REFUSED_EXIT, "backup_refused")
    assert place.pid == first
    assert not (place.data / "state" / "replaced").exists()


def test_a_daemon_that_hangs_keeps_its_data(place: Place) -> None:
    """It holds the lock, so it is the daemon, whether it answers or not."""
    target = str(place.root / "kept")
    place.made("workspace", "create", "core")
    assert place.call("mpd", "backup", target).status == 0
    pid = place.pid
    place.daemon_file.rename(place.root / "gone.json")  # nobody finds it, and it still runs

    refused = place.call("mpd", "restore", target, "--replace", "--json")

    assert (refused.status, refused.json["code"]) == (UNAVAILABLE_EXIT, "unavailable")
    os.kill(pid, signal.SIGTERM)


def test_agents_that_live_without_a_daemon_keep_their_log(place: Place) -> None:
    """A stopped daemon leaves them alone; a log that never heard of them must not take its place."""
    target = str(place.root / "kept")
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint")
    assert place.call("mpd", "backup", target).status == 0
    spawn = ("session", "spawn", "s", "-p", "paint", "--no-worktree", "--agent", "command", "--")
    place.made(*spawn, "sleep", "600")
    eventually(
        lambda: [each["status"] for each in place.ok("run", "list", "--json").json["items"]] == ["started"]
    )
    assert place.call("mpd", "stop").status == 0

    refused = place.call("mpd", "restore", target, "--replace", "--json")

    assert (refused.status, refused.json["details"]["reason"]) == (REFUSED_EXIT, "live_runs")
    (run,) = place.ok("run", "list", "--json").json["items"]
    place.ok("run", "stop", run["id"])
    eventually(lambda: place.ok("run", "show", run["id"], "--json").json["status"] == "exited")
    assert place.call("mpd", "stop").status == 0
    eventually(lambda: place.call("mpd", "restore", target, "--replace").status == 0)


def test_what_there_is_not_is_not_backed_up(place: Place) -> None:
    said = place.call("mpd", "backup", "--json")

    assert said.json["code"] == "not_found"
    assert not (place.data / "backups").exists()
    assert SYSTEM_WORKSPACE not in said.out
