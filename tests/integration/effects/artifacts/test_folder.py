"""Artifacts in a folder: whole or not there, once each, and never served damaged."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import tracemalloc
from pathlib import Path

import pytest
from blake3 import blake3

from moduprompt.effects.artifacts.folder import CHUNK, FolderArtifacts
from moduprompt.protocol import ArtifactRef, WorkspaceId
from moduprompt.storage.port import StorageFailed, StorageFull

HOME = WorkspaceId("01935450-0000-7000-8000-0000000000aa")
OTHER = WorkspaceId("01935450-0000-7000-8000-0000000000bb")
ABSENT = ArtifactRef(f"blake3:{'0' * 64}")


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path / "artifacts")


def files_in(artifacts: FolderArtifacts) -> list[Path]:
    return [
        path for path in artifacts.path_of(HOME, ABSENT).parent.parent.parent.rglob("*") if path.is_file()
    ]


def damage(path: Path, content: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)) * 5_000])
async def test_what_is_put_can_be_got_by_its_hash(artifacts: FolderArtifacts, content: bytes) -> None:
    ref = await artifacts.put(HOME, content)

    assert ref == f"blake3:{blake3(content).hexdigest()}"
    assert await artifacts.get(HOME, ref) == content


async def test_a_file_is_kept_whatever_its_size(artifacts: FolderArtifacts, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(CHUNK + 1))

    ref = await artifacts.put_file(HOME, source)

    assert await artifacts.get(HOME, ref) == source.read_bytes()


async def test_the_same_bytes_are_kept_once(artifacts: FolderArtifacts, tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(b"same")
    refs = await asyncio.gather(
        *(artifacts.put(HOME, b"same") for _ in range(20)), artifacts.put_file(HOME, tmp_path / "same")
    )

    assert len(set(refs)) == 1
    assert len(files_in(artifacts)) == 1


async def test_artifacts_are_their_owners_alone_and_never_written_again(artifacts: FolderArtifacts) -> None:
    path = artifacts.path_of(HOME, await artifacts.put(HOME, b"x"))

    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.parent.stat().st_mode) == 0o700


async def test_what_was_never_put_is_not_there(artifacts: FolderArtifacts) -> None:
    assert await artifacts.get(HOME, ABSENT) is None
    await artifacts.put(HOME, b"x")
    assert await artifacts.get(HOME, ABSENT) is None


@pytest.mark.parametrize("content", [b"", b"other", b"texu"])
async def test_damage_is_never_served(artifacts: FolderArtifacts, content: bytes) -> None:
    ref = await artifacts.put(HOME, b"text")
    damage(artifacts.path_of(HOME, ref), content)

    with pytest.raises(StorageFailed, match="damaged"):
        await artifacts.get(HOME, ref)


async def test_bytes_that_were_cut_are_whole_again_when_put_again(artifacts: FolderArtifacts) -> None:
    ref = await artifacts.put(HOME, b"text")
    damage(artifacts.path_of(HOME, ref), b"te")

    assert await artifacts.put(HOME, b"text") == ref
    assert await artifacts.get(HOME, ref) == b"text"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
async def test_a_disk_without_room_says_so_and_keeps_nothing(
    artifacts: FolderArtifacts, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuses(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuses)

    with pytest.raises(StorageFull):
        await artifacts.put(HOME, b"text")
    assert files_in(artifacts) == []


async def test_a_disk_that_fails_keeps_nothing(
    artifacts: FolderArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", breaks)

    with pytest.raises(StorageFailed) as fault:
        await artifacts.put(HOME, b"text")
    assert not isinstance(fault.value, StorageFull)
    assert files_in(artifacts) == []


async def test_bytes_are_on_the_disk_before_they_have_their_name(
    artifacts: FolderArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    await artifacts.put(HOME, b"text")

    assert steps == ["file", "rename", "folder", "folder", "folder"]
    steps.clear()
    await artifacts.put(HOME, b"text")
    assert steps == ["file", "folder", "folder", "folder"], (
        "who put it first may not have come as far as its folder"
    )


async def test_a_file_that_is_not_there_is_a_failure(artifacts: FolderArtifacts, tmp_path: Path) -> None:
    with pytest.raises(StorageFailed):
        await artifacts.put_file(HOME, tmp_path / "missing")
    assert files_in(artifacts) == []


async def test_each_workspace_has_its_own(artifacts: FolderArtifacts) -> None:
    ref = await artifacts.put(HOME, b"same")
    assert await artifacts.get(OTHER, ref) is None
    await artifacts.put(OTHER, b"same")

    await artifacts.erase(HOME, ref)

    assert await artifacts.get(HOME, ref) is None
    assert await artifacts.get(OTHER, ref) == b"same"


async def test_what_is_erased_has_no_name_left_and_its_folder_is_synced(
    artifacts: FolderArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await artifacts.put(HOME, b"text")
    synced: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    await artifacts.erase(HOME, ref)

    assert files_in(artifacts) == []
    assert synced == [artifacts.path_of(HOME, ref).parent.stat().st_ino]
    await artifacts.erase(HOME, ref)
    await artifacts.erase(OTHER, ref)
    assert len(synced) == 2


async def test_a_disk_that_fails_to_erase_says_so(
    artifacts: FolderArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await artifacts.put(HOME, b"text")

    def breaks(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", breaks)

    with pytest.raises(StorageFailed):
        await artifacts.erase(HOME, ref)


async def test_what_was_being_written_at_a_crash_is_swept_away(artifacts: FolderArtifacts) -> None:
    ref = await artifacts.put(HOME, b"text")
    folder = artifacts.path_of(HOME, ref).parent.parent.parent
    (folder / ".new-abc").write_bytes(b"half a text")

    artifacts.sweep()

    assert files_in(artifacts) == [artifacts.path_of(HOME, ref)]


async def test_a_large_artifact_is_never_in_memory_whole(artifacts: FolderArtifacts) -> None:
    size = 32 * CHUNK
    tracemalloc.start()
    try:
        ref = await artifacts.put_chunks(HOME, (bytes(CHUNK) for _ in range(32)))
        opened = await artifacts.open(HOME, ref)
        assert opened is not None
        lengths = [len(chunk) for chunk in opened.chunks]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert opened.size == sum(lengths) == size
    assert max(lengths) == CHUNK
    assert peak < 6 * CHUNK
