"""A recording is kept when its run is over; one that can't be read keeps no run from being over."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.domain.run.commands import ReportExited, ReportLost
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.runner import keeping
from moduprompt.effects.runner import recording as recordings
from moduprompt.effects.runner.keeping import keep_recording
from moduprompt.keeper.recording import OUTPUT, RECORDING_NAME, Recording
from moduprompt.protocol import ArtifactRef, WorkspaceId
from moduprompt.storage.port import StorageFailed
from tests.support.fake_runner import EXITED, RUN, STARTED, WORKSPACE, Keeper, gone
from tests.unit.effects.runner.test_run_hand import KEEP, Scene

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENOMEM)


def recorded(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    written = Recording(str(folder / RECORDING_NAME), started_us=1)
    written.append(OUTPUT, 0, b"printed")
    written.close()
    return folder / RECORDING_NAME


def fails_with(number: int) -> object:
    def fail(path: Path) -> Path:
        raise OSError(number, os.strerror(number), str(path))

    return fail


async def test_a_recording_is_kept_packed_under_its_old_name(tmp_path: Path) -> None:
    path, artifacts = recorded(tmp_path), FolderArtifacts(tmp_path / "artifacts")

    ref = await keep_recording(artifacts, WORKSPACE, path)
    again = await keep_recording(artifacts, WORKSPACE, path)

    assert ref is not None
    assert again == ref, "whoever was killed in between does it again, and it is the same"
    assert await artifacts.get(WORKSPACE, ref) == path.read_bytes()


@pytest.mark.parametrize("number", PASSING)
async def test_a_machine_that_lacks_something_now_is_come_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = recorded(tmp_path)
    monkeypatch.setattr(keeping, "packed_beside", fails_with(number))

    with pytest.raises(OSError, match=os.strerror(number)):
        await keep_recording(FolderArtifacts(tmp_path / "artifacts"), WORKSPACE, path)


async def test_one_that_can_not_be_read_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recorded(tmp_path)
    monkeypatch.setattr(keeping, "packed_beside", fails_with(errno.EIO))

    assert await keep_recording(FolderArtifacts(tmp_path / "artifacts"), WORKSPACE, path) is None


async def test_one_that_is_none_and_can_not_be_copied_is_given_up_too(tmp_path: Path) -> None:
    class Broken(FolderArtifacts):
        async def put_file(self, workspace_id: WorkspaceId, path: Path) -> ArtifactRef:
            raise StorageFailed(f"{workspace_id} {path}") from OSError(errno.EIO, "Input/output error")

    path = tmp_path / RECORDING_NAME
    path.write_bytes(b"no recording")

    assert await keep_recording(Broken(tmp_path / "artifacts"), WORKSPACE, path) is None


async def test_a_run_whose_recording_can_not_be_read_ends_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, Keeper(STARTED, EXITED))
    recorded(scene.backend.run_dir(RUN))
    break_reading(monkeypatch)

    assert await scene.hand.carry_out(replace(KEEP, adapter="claude", is_started=True)) is True

    end = scene.reports.commands[-1]
    assert isinstance(end, ReportExited)
    assert (end.recording, end.outcome, end.rule) == (None, "unclear", "recording_unreadable")


async def test_a_run_without_a_keeper_whose_recording_can_not_be_read_is_lost_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, gone(STARTED))
    recorded(scene.backend.run_dir(RUN))
    break_reading(monkeypatch)

    assert await scene.hand.carry_out(replace(KEEP, adapter="claude", is_started=True)) is True

    assert isinstance(scene.reports.commands[-1], ReportLost)


def break_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a disk with a sector that can't be read any more."""
    monkeypatch.setattr(keeping, "packed_beside", fails_with(errno.EIO))

    def broken(reader: recordings.RecordingReader) -> object:
        raise OSError(errno.EIO, "Input/output error", str(reader))

    monkeypatch.setattr(recordings.RecordingReader, "frames", broken)
