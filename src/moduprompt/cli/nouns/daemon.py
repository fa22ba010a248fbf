"""`mpctl daemon`, and `mpd`: start the daemon, stop it, see how it is."""

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.daemons import (
    ANSWERS,
    LOOK_S,
    Found,
    find,
    is_gone,
    is_starting,
    log_file,
    no_daemon,
    opening,
    read_daemon_file,
    start,
)
from moduprompt.cli.faults import failed
from moduprompt.cli.progress import Doing, waiting_for
from moduprompt.cli.recovered import unexpected
from moduprompt.cli.tables import to_paragraph
from moduprompt.cli.verbs import Verb
from moduprompt.config import DaemonFile
from moduprompt.protocol import Code, encode

SAVE: Final = "mpctl log export --whole FOLDER saves what is whole"
BRING_BACK: Final = "mpd restore BACKUP --replace brings back a backup"
STOP_S: Final = 30.0  # the daemon drains: queued commands are decided, streams are told


async def _start(call: Call) -> None:
    refuse_in_run(call)
    found = await find(call.config)
    if found is not None and found.ready.status in ANSWERS:
        call.show(encode(found.ready), f"the daemon runs already (pid {found.ready.pid})")
        return
    doing = Doing("starting the daemon")
    async with waiting_for(doing.said):
        found = await start(call.config, listen=call.config.listen, tell=doing.tell)
    call.show(encode(found.ready), _described(call, found, _title(found.ready.status)))


async def _stop(call: Call) -> None:
    refuse_in_run(call)
    found = await find(call.config)
    if found is None:
        call.show(encode({"stopped": False}), "no daemon runs here")
        return
    pid = await stop(found)
    call.show(encode({"stopped": True, "pid": pid}), f"the daemon has stopped (pid {pid}); agents go on")


async def _upgrade(call: Call) -> None:
    """Replace the daemon that runs by this installation's. Its agents don't notice: their keepers go on."""
    refuse_in_run(call)
    found = await find(call.config)
    if found is not None and _is_supervised(found.ready.pid):
        raise failed(
            Code.VALIDATION_FAILED,
            f"the daemon (pid {found.ready.pid}) belongs to a service manager, which would start the old one again",
            hint="systemctl --user restart moduprompt (with KillMode=process agents go on)",
            details={"reason": "supervised"},
        )
    listen = call.config.listen or _listened(read_daemon_file(call.config))
    clock = asyncio.get_running_loop().time
    began = clock()
    if found is not None:
        await stop(found)
    doing = Doing("starting the new daemon")
    async with waiting_for(doing.said):
        fresh = await start(call.config, listen=listen, tell=doing.tell)
    gap_ms = round((clock() - began) * 1000)
    before = found.ready.version if found is not None else None
    facts = {"from": before, "to": fresh.ready.version, "pid": fresh.ready.pid, "gap_ms": gap_ms}
    what = f"{before} was replaced by {fresh.ready.version}" if before else "there was none; one runs now"
    call.show(
        encode({**facts, "live_runs": fresh.ready.live_runs}),
        _described(
            call,
            fresh,
            f"{what}; nobody answered for {gap_ms} ms",
            found_at_start=await unexpected(fresh.endpoint),
        ),
    )


def _listened(written: DaemonFile | None) -> str | None:
    """Where the daemon listened beside its socket."""
    return None if written is None or "://" not in written.addr else written.addr.partition("://")[2]


def _is_supervised(pid: int) -> bool:
    """Whether a service manager started it: it says so by these variables (sd_notify(3))."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(each.startswith((b"NOTIFY_SOCKET=", b"LISTEN_PID=")) for each in variables)


async def stop(found: Found) -> int:
    """Have a daemon drain and end; gives the process id that it had. Raises CallFailed."""
    pid = found.ready.pid  # it answered to its own token with it, so the number is no one else's
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError as fault:
        raise failed(
            Code.POLICY_DENIED,
            f"the daemon (pid {pid}) is another user's",
            hint="that user, or root, says mpd stop",
        ) from fault
    async with waiting_for("stopping the daemon"):
        await _until_gone(pid)
    return pid


async def _status(call: Call) -> None:
    if call.is_in_run:
        ready = await (await call.client()).ready()
        call.show(encode(ready), to_paragraph(_title(ready.status), [("version", ready.version)]))
        return
    found = await find(call.config)
    if found is None:
        doing = await opening(call.config)
        raise no_daemon(call.config) if doing is None else is_starting(call.config, doing)
    told = None if call.is_json else await unexpected(found.endpoint)
    call.show(
        encode(found.ready),
        _described(call, found, _title(found.ready.status), found_at_start=told),
    )


def _title(status: str) -> str:
    if status == "safe_mode":
        return "the daemon is in safe mode: the store is damaged, and only read"
    return f"the daemon is {status}"


def refuse_in_run(call: Call) -> None:
    """A session speaks through its own socket; the daemon is its owner's to start and to stop."""
    if call.is_in_run:
        raise failed(
            Code.POLICY_DENIED,
            "a session may neither start nor stop the daemon",
            hint="ask the workspace's owner",
            details={"decided_by": "default_rights"},
        )


async def _until_gone(pid: int) -> None:
    ends = asyncio.get_running_loop().time() + STOP_S
    while not is_gone(pid):
        if asyncio.get_running_loop().time() > ends:
            raise failed(
                Code.UNAVAILABLE,
                f"the daemon (pid {pid}) has not stopped within {STOP_S:g} s",
                hint="its log says what it waits for; a kill -9 loses nothing that was answered",
            )
        await asyncio.sleep(LOOK_S)


def _described(call: Call, found: Found, title: str, *, found_at_start: str | None = None) -> str:
    ready = found.ready
    return to_paragraph(
        title,
        [
            ("pid", ready.pid),
            ("version", ready.version),
            ("socket", str(call.config.socket)),
            ("data", ready.data_dir),
            ("log", str(log_file(call.config))),
            ("workspaces", ready.workspaces),
            ("live runs", ready.live_runs),
            ("at its start", found_at_start),
            *((f"{part} hindered", why) for part, why in ready.hindered.items()),
            *(("damaged", str(each)) for each in (*ready.damaged_store, *ready.damaged_workspaces)),
            *((("next", SAVE), ("then", BRING_BACK)) if ready.damaged_store else ()),
        ],
    )


def _listen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help="listen on loopback too, beside the socket (MP_LISTEN)"
    )


VERBS: Final = (
    Verb("start", _start, summary="start the daemon in the background", arguments=_listen),
    Verb("stop", _stop, summary="stop the daemon; agents go on without it"),
    Verb(
        "upgrade",
        _upgrade,
        summary="replace the daemon that runs by this installation's; agents go on",
        more="Clients resume by themselves. Under a service manager, restart its unit instead.",
    ),
    Verb("status", _status, summary="say whether it runs, where, and with how much work"),
)
