"""A backup: a folder that holds what can't be made again, and says what all of it must hash to.

    manifest.json       which version made it, when, where each workspace stood, the hash of everything else
    log.sqlite          the log as of one moment, one file
    artifacts/…         the artifacts that its events name, each workspace's for itself
    secret              what the tokens of runs derive from

It is made under another name, checked, synced and only then renamed: what has a backup's name is one.
Read models and snapshots are not in it, since they are folded again; nor are the folders of runs and the
worktrees, which belong to processes and repositories of this machine.
"""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from blake3 import blake3

from moduprompt.protocol import ArtifactRef, Id, Ref, Rejection, WorkspaceId, decode, encode
from moduprompt.storage.files import artifact_path, disk_faults, sync
from moduprompt.storage.port import StorageFailed
from moduprompt.storage.sqlite.backup import PART, copy_log
from moduprompt.storage.sqlite.inspection import Examined, Told, examine, untold

MANIFEST, LOG, SECRET, ARTIFACTS = "manifest.json", "log.sqlite", "secret", "artifacts"
CHUNK: Final = 1024 * 1024  # of a copy: a recording may be larger than memory
MANIFEST_BYTES_MAX: Final = 256 * 1024 * 1024  # names some two million artifacts

Size = Annotated[int, msgspec.Meta(ge=0)]


class BackupRefused(Exception):
    """The folder is no backup, or not the one that was written."""


class Store(msgspec.Struct, frozen=True, kw_only=True):
    """Where the things lie that a backup holds."""

    log: Path
    secret: Path
    artifacts: Path


class KeptFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: its hash and its size."""

    ref: Ref
    size: Size


class KeptArtifact(KeptFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One artifact of a workspace; its name is its hash."""

    workspace_id: Id[WorkspaceId]


class KeptHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one workspace stood."""

    workspace_id: Id[WorkspaceId]
    seq: Size
    head_hash: Ref


class BackupManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds. `missing` artifacts were named by events and not there, `damaged` ones not themselves.

    `erased` ones were erased on purpose: they are not in it, even where their bytes still lay there.
    """

    format: Literal["moduprompt.backup"] = "moduprompt.backup"
    format_version: Literal[1] = 1
    program: str
    made_at: str
    layout: int
    log: KeptFile
    heads: tuple[KeptHead, ...]
    secret: KeptFile | None
    artifacts: tuple[KeptArtifact, ...]
    missing: tuple[Ref, ...] = ()
    damaged: tuple[Ref, ...] = ()
    erased: tuple[Ref, ...] | msgspec.UnsetType = msgspec.UNSET  # older programs know no such field


def write_backup(
    store: Store, target: Path, *, program: str, made_at: str, told: Told = untold
) -> BackupManifest:
    """Make one while a daemon writes, or without one. Raises CopyDamaged, StorageFull, StorageFailed, BackupRefused."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BackupRefused(f"{target} is there already")
    with disk_faults(target), unfinished(target.with_name(target.name + PART)) as part:
        found = copy_log(store.log, part / LOG, told=told)
        kept, missing, damaged = _keep_artifacts(store, part, found, told)
        manifest = BackupManifest(
            program=program,
            made_at=made_at,
            layout=found.layout,
            log=hashed(part / LOG),
            heads=to_heads(found),
            secret=copy_file(store.secret, part / SECRET, mode=0o600) if store.secret.exists() else None,
            artifacts=tuple(kept),
            missing=tuple(missing),
            damaged=tuple(damaged),
            erased=tuple(ref for _, ref in sorted(found.erased)) or msgspec.UNSET,
        )
        (part / MANIFEST).write_bytes(msgspec.json.format(encode(manifest), indent=2) + b"\n")
        for place in (part / MANIFEST, *(path for path in part.rglob("*") if path.is_dir()), part):
            sync(place)
        part.rename(target)
        sync(target.parent)
    return manifest


def check_backup(folder: Path, *, told: Told = untold) -> BackupManifest:
    """All of it, to its last byte. Raises BackupRefused or StorageFailed; changes nothing."""
    manifest = _read_manifest(folder / MANIFEST)
    with disk_faults(folder):
        wanted = [(folder / LOG, manifest.log)]
        wanted += [(folder / SECRET, manifest.secret)] if manifest.secret is not None else []
        wanted += [
            (
                artifact_path(folder / ARTIFACTS, each.workspace_id, each.ref),
                KeptFile(ref=each.ref, size=each.size),
            )
            for each in manifest.artifacts
        ]
        for done, (path, kept) in enumerate(wanted):
            told("checking the files", done, len(wanted))
            if not path.is_file() or hashed(path) != kept:
                raise BackupRefused(f"{path} is not the file that was written")
    found = examine(folder / LOG, told=told)
    if found.damages:
        raise BackupRefused(str(found.damages[0]))
    if to_heads(found) != manifest.heads:
        raise BackupRefused(f"{folder / LOG} does not end where the manifest says")
    return manifest


def to_heads(found: Examined) -> tuple[KeptHead, ...]:
    """Where each workspace stands, as a manifest says it."""
    return tuple(
        KeptHead(workspace_id=head.workspace_id, seq=head.seq, head_hash=ArtifactRef(head.head_hash))
        for head in found.heads
    )


def copy_file(source: Path, target: Path, *, mode: int) -> KeptFile:
    """A durable copy; what the copied bytes hash to."""
    digest, size = blake3(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with source.open("rb") as read, os.fdopen(descriptor, "wb") as write:
        while chunk := read.read(CHUNK):
            digest.update(chunk)
            size += write.write(chunk)
        write.flush()
        os.fsync(write.fileno())
    return KeptFile(ref=ArtifactRef(f"blake3:{digest.hexdigest()}"), size=size)


def hashed(path: Path) -> KeptFile:
    """A file that is there."""
    digest, size = blake3(), 0
    with path.open("rb") as read:
        while chunk := read.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return KeptFile(ref=ArtifactRef(f"blake3:{digest.hexdigest()}"), size=size)


@contextmanager
def unfinished(part: Path) -> Generator[Path]:
    """A folder of its own that is gone afterwards, unless it got its name. What a dead one left is removed.

    Raises BackupRefused where somebody else is at it.
    """
    part.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise BackupRefused(f"somebody else is writing {part}") from fault
        _empty(part)
        try:
            yield part
        finally:
            if part.exists():
                shutil.rmtree(part, ignore_errors=True)
    finally:
        os.close(descriptor)


def _keep_artifacts(
    store: Store, part: Path, found: Examined, told: Told
) -> tuple[list[KeptArtifact], list[ArtifactRef], list[ArtifactRef]]:
    """Those that events name. They were there before the events, so none that the copy needs comes late."""
    kept, missing, damaged = list[KeptArtifact](), list[ArtifactRef](), list[ArtifactRef]()
    wanted = sorted(found.refs - found.erased)
    for done, (home, ref) in enumerate(wanted):
        told("copying artifacts", done, len(wanted))
        source = artifact_path(store.artifacts, home, ref)
        target = artifact_path(part / ARTIFACTS, home, ref)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            copied = copy_file(source, target, mode=0o400)
        except FileNotFoundError:
            missing.append(ref)
            continue
        if copied.ref == ref:
            kept.append(KeptArtifact(workspace_id=home, ref=ref, size=copied.size))
        else:
            damaged.append(ref)
            target.unlink()
    return kept, missing, damaged


def _read_manifest(path: Path) -> BackupManifest:
    try:
        with path.open("rb") as file:
            data = file.read(MANIFEST_BYTES_MAX)
    except FileNotFoundError as fault:
        raise BackupRefused(f"{path.parent} is no backup: it has no {MANIFEST}") from fault
    except OSError as fault:
        raise StorageFailed(f"{path}: {fault.strerror or fault}") from fault
    manifest = decode(data, BackupManifest)
    if isinstance(manifest, Rejection):
        raise BackupRefused(f"{path} does not fit: {manifest.message}")
    return manifest


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
