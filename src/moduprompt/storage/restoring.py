"""A store takes the place of another one: at one moment, and whoever comes next finishes it.

    restoring.part/    what is made ready; whoever dies meanwhile has changed nothing
    restoring/         ready and synced. From this rename on the restore is decided, and is finished by the
                       one who began it, or by the next daemon before it opens anything
    replaced/<time>/   what lay there before; nobody deletes it

Read models and snapshots are folds of a log, and not of this one: they go. The epochs of the new log leap
ahead, so that a writer of the old one, wherever it hides, owns nothing.
"""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.protocol import Rejection, decode, encode
from moduprompt.storage.backup_folder import (
    ARTIFACTS,
    LOG,
    SECRET,
    BackupManifest,
    Store,
    copy_file,
    unfinished,
)
from moduprompt.storage.files import artifact_path, disk_faults, sync
from moduprompt.storage.port import StorageFailed
from moduprompt.storage.sqlite.backup import PART
from moduprompt.storage.sqlite.connection import load_queries, open_plain
from moduprompt.storage.sqlite.inspection import Told, untold

READY, REPLACED, PLAN = "restoring", "replaced", "plan.json"
EPOCHS_LEAP: Final = 1_000_000  # more starts than a store sees between a backup and its restore
BESIDE: Final = ("-wal", "-shm", "-journal")  # what SQLite keeps next to a file, and would take for its own
FOLDS: Final = ("views", "snapshots")  # files that may be deleted at any time


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the one who finishes must know: where the old files go."""

    aside: str


def put_in_place(
    source: Path, manifest: BackupManifest, *, into: Store, at: str, told: Told = untold
) -> Path | None:
    """Make a checked backup the store's content; where the old one lies now. The caller holds the store's lock.

    Raises StorageFull or StorageFailed: until it is decided nothing of the store has changed.
    """
    state = into.log.parent
    with disk_faults(state):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with unfinished(state / (READY + PART)) as part:
            _make_ready(source, manifest, part=part, into=into, told=told)
            (part / PLAN).write_bytes(encode(Plan(aside=f"{REPLACED}/{at}")))
            sync(part / PLAN)
            sync(part)
            part.rename(state / READY)
            sync(state)
    return finish_restore(into)


def is_decided(state: Path) -> bool:
    """Whether a restore is under way that only has to be finished."""
    return (state / READY).is_dir()


def finish_restore(store: Store) -> Path | None:
    """Carry out what was decided; None where nothing was, or nothing lay there. Doing it twice is fine.

    The caller holds the store's lock. A file of the new store that is still in `restoring` has not taken its
    place yet, so what stands in that place is the old one; the log comes last.
    """
    state = store.log.parent
    ready = state / READY
    if not ready.is_dir():
        return None
    aside: Path | None = None
    with disk_faults(state):
        if (ready / LOG).exists():  # or it has taken its place, and this folder was about to go
            aside = state / _read_plan(ready).aside
            _clear_place(store, ready=ready, aside=aside)
            # No power cut may keep the new log and bring back what lay beside the old one.
            for place in (aside, aside.parent, state):
                if place.exists():
                    sync(place)
            if (ready / SECRET).exists():
                (ready / SECRET).rename(store.secret)
            (ready / LOG).rename(store.log)
            sync(state)
        shutil.rmtree(ready)
        sync(state)
    return aside if aside is not None and aside.exists() else None


def _make_ready(source: Path, manifest: BackupManifest, *, part: Path, into: Store, told: Told) -> None:
    told("copying the log", 0, 1)
    if copy_file(source / LOG, part / LOG, mode=0o600) != manifest.log:
        raise StorageFailed(f"{source / LOG} has changed since it was checked")
    with closing(open_plain(part / LOG)) as database:
        database.write(load_queries("log.sql")["leap_epochs"], (EPOCHS_LEAP,))
    sync(part / LOG)
    if manifest.secret is not None:
        copy_file(source / SECRET, part / SECRET, mode=0o600)
    for done, kept in enumerate(manifest.artifacts):
        told("copying artifacts", done, len(manifest.artifacts))
        # Artifacts are named by their content: the ones that are there stay, and more of them do no harm.
        _add_artifact(
            artifact_path(source / ARTIFACTS, kept.workspace_id, kept.ref),
            artifact_path(into.artifacts, kept.workspace_id, kept.ref),
        )


def _add_artifact(source: Path, target: Path) -> None:
    if target.is_file() and target.stat().st_size == source.stat().st_size:
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = target.with_name(f".new-{target.name}")
    temporary.unlink(missing_ok=True)
    copy_file(source, temporary, mode=0o400)
    temporary.rename(target)
    for folder in (target.parent, target.parent.parent, target.parent.parent.parent):
        sync(folder)


def _clear_place(store: Store, *, ready: Path, aside: Path) -> None:
    """The write-ahead log goes with its file: beside another one it would be taken for that one's."""
    old = [store.log, *(store.log.with_name(store.log.name + suffix) for suffix in BESIDE)]
    old += [store.secret] if (ready / SECRET).exists() else []
    for path in old:
        if path.exists():
            aside.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.rename(aside / path.name)
    for path in _folds(store.log.parent):
        path.unlink()


def _folds(state: Path) -> Iterator[Path]:
    for name in FOLDS:
        for suffix in ("", *BESIDE):
            path = state / f"{name}.sqlite{suffix}"
            if path.exists():
                yield path


def _read_plan(ready: Path) -> Plan:
    plan = decode((ready / PLAN).read_bytes(), Plan)
    if isinstance(plan, Rejection):
        raise StorageFailed(f"{ready / PLAN} is damaged: {plan.message}")
    return plan
