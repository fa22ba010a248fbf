"""`mpctl log export --whole`: what is whole of a store, damaged or not, as bundles. No daemon is asked.

A workspace that does not hold to its end is saved as far as it does: its file's name and its manifest say
that it is a prefix. The store is only read.
"""

import os
import re
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed
from moduprompt.cli.progress import in_thread, waiting_for
from moduprompt.config import Config
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.kernel.cabinet import STUMBLES, Cabinet
from moduprompt.kernel.judgement import Wanted
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.ports import Opened
from moduprompt.kernel.transfer import Bundled, Transfer
from moduprompt.protocol import SYSTEM_WORKSPACE, ArtifactRef, Code, Damage, Refused, WorkspaceId, encode
from moduprompt.storage.files import disk_faults
from moduprompt.storage.port import Head, StorageFailed
from moduprompt.storage.sqlite.inspection import Examined, examine
from moduprompt.storage.sqlite.safe_log import SafeLog

NAME_MAX: Final = 60  # characters of a file's name that come from the workspace's
_ODD: Final = re.compile(r"[^\w.-]+", re.ASCII)


class Saved(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One bundle. `prefix_of` is how many events there were, where it does not hold all of them."""

    workspace_id: WorkspaceId
    name: str
    file: str
    seq: int
    missing: tuple[ArtifactRef, ...] = ()
    prefix_of: int | None = None


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace of which nothing could be saved."""

    workspace_id: WorkspaceId
    error: str


class Rescue(msgspec.Struct, frozen=True, kw_only=True):
    """What `mpctl log export --whole --json` says."""

    saved: tuple[Saved, ...]
    lost: tuple[Lost, ...]
    damage: tuple[Damage, ...]


class _WholeArtifacts(FolderArtifacts):
    """Those that are themselves; a damaged one is as good as missing."""

    async def open(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> Opened | None:
        try:
            return await super().open(workspace_id, ref)
        except StorageFailed:
            return None


async def save_whole(call: Call) -> None:
    """Every workspace but the system's own, each into a file of its own."""
    config, folder = call.config, Path(call.words.text("file"))
    try:
        found = await in_thread(lambda told: examine(config.log_db, told=told), what="reading the log")
        _make_folder(folder)
        async with waiting_for("saving what is whole"):
            done = [
                await _saved(config, found, folder, head=head, whole_to=whole_to)
                for head, whole_to in zip(found.heads, found.whole_to, strict=True)
                if head.workspace_id != SYSTEM_WORKSPACE
            ]
    except StorageFailed as fault:
        raise failed(Code.UNAVAILABLE, str(fault), hint="name another folder, or make room") from fault
    rescue = Rescue(
        saved=tuple(each for each in done if isinstance(each, Saved)),
        lost=tuple(each for each in done if isinstance(each, Lost)),
        damage=found.damages,
    )
    call.show(encode(rescue), "\n".join(_sentences(rescue, folder)))


def _make_folder(folder: Path) -> None:
    with disk_faults(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _unheard(_ledger: Ledger, _wanted: tuple[Wanted, ...]) -> None:
    """Nobody acts on what is read here."""


async def _saved(config: Config, found: Examined, folder: Path, *, head: Head, whole_to: int) -> Saved | Lost:
    if whole_to == 0:
        return Lost(workspace_id=head.workspace_id, error="its first event can't be had")
    log = SafeLog.of_prefixes(config.log_db, found)
    transfer = Transfer(log, Cabinet(log, loaded=_unheard), artifacts=_WholeArtifacts(config.artifacts_dir))
    prefix_of = None if whole_to == head.seq else head.seq
    part = folder / f".{head.workspace_id}.part"
    try:
        with disk_faults(part), _private(part) as body:
            bundled = await transfer.export(head.workspace_id, seq=whole_to, body=body, prefix_of=prefix_of)
            return _named(bundled, body, folder, prefix_of=prefix_of)
    except (Refused, *STUMBLES) as fault:
        return Lost(workspace_id=head.workspace_id, error=str(fault) or type(fault).__name__)
    finally:
        part.unlink(missing_ok=True)


def _private(path: Path) -> BinaryIO:
    """A new file that nobody else reads: all texts are in it."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b")


def _named(bundled: Bundled, body: BinaryIO, folder: Path, *, prefix_of: int | None) -> Saved:
    manifest = bundled.manifest
    cut = "" if prefix_of is None else f".prefix-{manifest.seq}-of-{prefix_of}"
    name = _ODD.sub("_", manifest.name)[:NAME_MAX]
    path = folder / f"{name}-{manifest.workspace_id[-12:]}{cut}.tar"
    temporary = path.with_name(path.name + ".part")
    try:
        with _private(temporary) as file:
            file.write(bundled.head)
            body.seek(0)
            while data := body.read(1024 * 1024):
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    return Saved(
        workspace_id=manifest.workspace_id,
        name=manifest.name,
        file=str(path),
        seq=manifest.seq,
        missing=manifest.missing,
        prefix_of=prefix_of,
    )


def _sentences(rescue: Rescue, folder: Path) -> list[str]:
    lines = [f"damaged: {each}" for each in rescue.damage]
    for each in rescue.saved:
        extent = (
            "whole"
            if each.prefix_of is None
            else f"a PREFIX: the first {each.seq} of {each.prefix_of} events"
        )
        lines.append(f"{each.name}: {each.seq} events, {extent}: {each.file}")
    lines += [f"workspace {each.workspace_id}: nothing could be saved: {each.error}" for each in rescue.lost]
    return [*lines, f"{len(rescue.saved)} workspaces are in {folder}; mpctl log import takes each"]
