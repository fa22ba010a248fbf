"""`mpd backup` and `mpd restore`: a copy of what can't be made again, and the way back.

A backup reads beside the daemon and disturbs nobody. A restore checks the backup first; then it has the
daemon drained, holds the lock of the data, switches, and starts a daemon again where one ran.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from moduprompt import __version__
from moduprompt.cli.call import Call
from moduprompt.cli.daemons import Found, find, start
from moduprompt.cli.faults import CallFailed, failed
from moduprompt.cli.nouns.daemon import refuse_in_run, stop
from moduprompt.cli.progress import Doing, in_thread, waiting_for
from moduprompt.cli.tables import to_paragraph
from moduprompt.config import Config
from moduprompt.keeper.keeper import is_held
from moduprompt.protocol import ArtifactRef, Code, encode
from moduprompt.storage.backup_folder import (
    BackupManifest,
    BackupRefused,
    Store,
    check_backup,
    write_backup,
)
from moduprompt.storage.port import StorageFailed, StorageFull
from moduprompt.storage.restoring import is_decided, put_in_place
from moduprompt.storage.sqlite.backup import CopyDamaged

SHOWN_MAX: Final = 5  # damages in a message; `mpctl log verify` names them all
HANDING_OVER: Final = "draining"  # what a lock says so that a daemon that starts now waits for us


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """What `mpd backup --json` says."""

    folder: str
    program: str
    made_at: str
    workspaces: int
    events: int
    artifacts: int
    bytes: int
    missing: tuple[ArtifactRef, ...]
    damaged: tuple[ArtifactRef, ...]
    erased: tuple[ArtifactRef, ...]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What `mpd restore --json` says."""

    source: str
    made_at: str
    workspaces: int
    events: int
    replaced: str | None
    restarted: bool


async def backup(call: Call) -> None:
    """`mpd backup [TARGET]`."""
    refuse_in_run(call)
    config, now = call.config, datetime.now(UTC)
    if not config.log_db.is_file():
        raise failed(Code.NOT_FOUND, f"there is no log at {config.log_db}", hint="mpd start makes one")
    named = call.words.maybe("target")
    target = _absolute(named) if named else config.data_dir / "backups" / f"{now:%Y%m%dT%H%M%SZ}"
    store, made_at = _store_of(config), f"{now:%Y-%m-%dT%H:%M:%SZ}"
    try:
        manifest = await in_thread(
            lambda told: write_backup(store, target, program=__version__, made_at=made_at, told=told),
            what="copying the log",
        )
    except CopyDamaged as fault:
        raise _damaged(config, fault) from fault
    except (BackupRefused, StorageFailed) as fault:
        raise _not_written(target, fault) from fault
    done = _backed_up(target, manifest)
    call.show(encode(done), _told_backup(done))


async def restore(call: Call) -> None:
    """`mpd restore SOURCE [--replace]`."""
    refuse_in_run(call)
    config, source = call.config, _absolute(call.words.text("source"))
    try:
        manifest = await in_thread(lambda told: check_backup(source, told=told), what="checking the backup")
    except (BackupRefused, StorageFailed) as fault:
        raise failed(
            Code.VALIDATION_FAILED,
            str(fault),
            hint="nothing was changed; choose another backup",
            details={"reason": "backup_refused", "path": str(source)},
        ) from fault
    if not call.words.is_set("replace"):
        _refuse_existing(config)
    found = await find(config)
    _refuse_live_runs(found)
    if found is None:
        _refuse_held_runs(config)
    aside = await _switched(config, source, manifest=manifest, found=found)
    done = Restored(
        source=str(source),
        made_at=manifest.made_at,
        workspaces=len(manifest.heads) - 1,
        events=sum(head.seq for head in manifest.heads),
        replaced=str(aside) if aside else None,
        restarted=found is not None,
    )
    call.show(encode(done), _told_restore(done))


async def _switched(
    config: Config, source: Path, *, manifest: BackupManifest, found: Found | None
) -> Path | None:
    """Where the old data lie now. Whatever comes of it, a daemon that ran runs again."""
    if found is not None:
        await stop(found)
    try:
        with _holding(config):
            return await in_thread(
                lambda told: put_in_place(
                    source,
                    manifest,
                    into=_store_of(config),
                    at=f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}",
                    told=told,
                ),
                what="restoring",
            )
    except (BackupRefused, StorageFailed) as fault:
        if is_decided(config.state_dir):
            raise _unfinished(config, fault) from fault
        raise _not_written(config.state_dir, fault) from fault
    finally:
        if found is not None:
            doing = Doing("starting the daemon")
            async with waiting_for(doing.said):
                await start(config, listen=config.listen, tell=doing.tell)


@contextmanager
def _holding(config: Config) -> Generator[None]:
    """The lock that makes a daemon the daemon. Raises CallFailed where one has it."""
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(config.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise failed(
                Code.UNAVAILABLE,
                f"the data in {config.state_dir} belong to a daemon that runs and does not answer",
                hint="nothing was changed; mpd stop, or end it, then restore again",
            ) from fault
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n{HANDING_OVER}\n{config.log_db}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def _store_of(config: Config) -> Store:
    return Store(log=config.log_db, secret=config.secret_file, artifacts=config.artifacts_dir)


def _refuse_existing(config: Config) -> None:
    if config.log_db.exists():
        raise failed(
            Code.VALIDATION_FAILED,
            f"there are data already: {config.log_db}",
            hint="mpd restore --replace puts them aside and deletes nothing; or name another --data-dir",
            details={"reason": "data_exist", "path": str(config.log_db)},
        )


def _refuse_live_runs(found: Found | None) -> None:
    """What the restored log never heard of could neither be seen nor stopped any more.

    In safe mode nobody can stop a run, and the way out must be open.
    """
    if found is not None and found.ready.live_runs and found.ready.status != "safe_mode":
        raise failed(
            Code.VALIDATION_FAILED,
            f"{found.ready.live_runs} runs are alive, and the backup may not know them",
            hint="nothing was changed; mpctl run list, mpctl run stop, then restore",
            details={"reason": "live_runs", "live_runs": found.ready.live_runs},
        )


def _refuse_held_runs(config: Config) -> None:
    """The same without a daemon to ask: agents go on without one, and their keepers hold their folders."""
    held = sum(1 for each in config.runs_dir.glob("*/") if is_held(str(each)))
    if held:
        raise failed(
            Code.VALIDATION_FAILED,
            f"{held} runs are alive, and the backup may not know them",
            hint="nothing was changed; mpd start, mpctl run list, mpctl run stop, then restore",
            details={"reason": "live_runs", "live_runs": held},
        )


def _damaged(config: Config, fault: CopyDamaged) -> CallFailed:
    return failed(
        Code.UNKNOWN,
        f"{config.log_db} is damaged, and a copy of it would be: {fault.damages[0]}",
        hint="mpctl log export --whole FOLDER saves what is whole; mpd restore takes an older backup",
        details={
            "reason": "damaged",
            "damage": [str(each) for each in fault.damages[:SHOWN_MAX]],
        },
    )


def _unfinished(config: Config, fault: Exception) -> CallFailed:
    return failed(
        Code.UNAVAILABLE,
        f"the restore is decided and not finished: {fault}",
        hint="mpd start finishes it, once the disk takes it",
        details={"reason": "restore_unfinished", "path": str(config.state_dir)},
    )


def _not_written(place: Path, fault: Exception) -> CallFailed:
    is_full = isinstance(fault, StorageFull)
    return failed(
        Code.UNAVAILABLE if isinstance(fault, StorageFailed) else Code.VALIDATION_FAILED,
        str(fault),
        hint="make room, or choose another place; nothing was changed" if is_full else "nothing was changed",
        details={"reason": "storage_full" if is_full else "not_written", "path": str(place)},
    )


def _backed_up(target: Path, manifest: BackupManifest) -> BackedUp:
    return BackedUp(
        folder=str(target),
        program=manifest.program,
        made_at=manifest.made_at,
        workspaces=len(manifest.heads) - 1,  # the system's own is nobody's
        events=sum(head.seq for head in manifest.heads),
        artifacts=len(manifest.artifacts),
        bytes=manifest.log.size + sum(each.size for each in manifest.artifacts),
        missing=manifest.missing,
        damaged=manifest.damaged,
        erased=manifest.erased or (),
    )


def _told_backup(done: BackedUp) -> str:
    rows: list[tuple[str, str | int]] = [
        ("folder", done.folder),
        ("workspaces", done.workspaces),
        ("events", done.events),
        ("artifacts", done.artifacts),
        ("bytes", done.bytes),
    ]
    rows += (
        [("missing", f"{len(done.missing)} artifacts are named and were not there")] if done.missing else []
    )
    rows += [("damaged", f"{len(done.damaged)} artifacts were left out")] if done.damaged else []
    rows += [("erased", f"{len(done.erased)} artifacts were erased, and stay so")] if done.erased else []
    return to_paragraph(
        "the backup is written and checked", [*rows, ("restore", f"mpd restore {done.folder}")]
    )


def _told_restore(done: Restored) -> str:
    rows: list[tuple[str, str | int]] = [
        ("backup", done.source),
        ("made", done.made_at),
        ("workspaces", done.workspaces),
        ("events", done.events),
        ("before", done.replaced or "there were no data"),
        ("daemon", "was stopped, and runs again" if done.restarted else "none ran; mpd start starts one"),
    ]
    return to_paragraph("the backup is restored", rows)
