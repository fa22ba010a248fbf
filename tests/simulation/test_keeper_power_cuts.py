"""The power goes while keepers write: journals and recordings are readable to the last sync, and recovery tells the truth."""

import os
from pathlib import Path

import pytest

from moduprompt.domain.run.commands import ReportExited, ReportLost
from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import read_journal
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.keeper.journal import JOURNAL_NAME
from moduprompt.keeper.recording import RECORDING_NAME, read_start, repair, scan_frames
from tests.support.simulation.keeper_disk import RUN_ID, Image, KeeperOnDisk
from tests.support.simulation.seeds import fresh_seed, told
from tests.unit.effects.runner.test_run_hand import KEEP, Scene

LIVES = 18
FRESH = 2
IMAGES = 25  # of each life: 500 in all


def written(folder: Path, image: Image) -> Path:
    """The run's directory as the next boot finds it."""
    run_dir = folder / RUN_ID
    run_dir.mkdir(parents=True)
    for name, content in image.files.items():
        (run_dir / name).write_bytes(content)
    return run_dir


def check_journal(image: Image, life: KeeperOnDisk, *, run_dir: Path) -> tuple[port.Entry, ...]:
    """Everything that was told as durable, whole and in order; then at most what was written after it."""
    entries = read_journal(run_dir)
    kept = image.files.get(JOURNAL_NAME, b"").splitlines(keepends=True)[: len(entries)]
    assert kept == life.reported[: len(entries)]
    assert len(entries) >= image.promised.entries
    intended = sum(isinstance(entry.report, port.InputIntended) for entry in entries)
    assert intended >= image.promised.typed, "typed, and nobody knows"
    return entries


def check_recording(image: Image, life: KeeperOnDisk, *, run_dir: Path) -> None:
    """Whole frames up to the last sync at least, and nothing that was not written."""
    path = run_dir / RECORDING_NAME
    if not image.promised.recorded:
        return
    assert path.is_file(), "synced, and its name is gone"
    repair(str(path))
    content = path.read_bytes()
    assert content == life.recorded[: len(content)]
    assert len(content) >= image.promised.recorded
    fd = os.open(path, os.O_RDONLY)
    try:
        assert read_start(fd) > 0
        assert [frame.end for frame in scan_frames(fd)][-1] == len(content)
    finally:
        os.close(fd)


def lived(seed: int) -> KeeperOnDisk:
    life = KeeperOnDisk(seed, images=IMAGES)
    life.live()
    return life


def check_all(seed: int, folder: Path) -> None:
    life = lived(seed)
    for number, image in enumerate(life.images):
        run_dir = written(folder / str(number), image)
        check_journal(image, life, run_dir=run_dir)
        check_recording(image, life, run_dir=run_dir)


@pytest.mark.parametrize("seed", range(LIVES))
def test_what_a_keeper_synced_is_there_after_a_power_cut(seed: int, tmp_path: Path) -> None:
    with told(seed):
        check_all(seed, tmp_path)


@pytest.mark.parametrize("number", range(FRESH))
def test_what_a_keeper_synced_is_there_with_a_fresh_seed(number: int, tmp_path: Path) -> None:
    seed = fresh_seed()
    with told(seed):
        check_all(seed, tmp_path)


@pytest.mark.parametrize("seed", range(5))
async def test_after_a_power_cut_a_run_is_lost_or_ended_as_its_journal_says(
    seed: int, tmp_path: Path
) -> None:
    life = lived(seed)
    for number, image in enumerate(life.images[::4] + life.images[-1:]):
        folder = tmp_path / str(number)
        run_dir = written(folder / "runs", image)
        scene = Scene(folder, port.Unreachable(run_id=RUN_ID, evidence=""))
        found = await LocalBackend(folder / "runs").dial(RUN_ID)
        if not isinstance(found, port.Gone):
            raise AssertionError(f"after a boot nobody lives: {found}")
        scene.backend.found = found
        has_end = any(isinstance(entry.report, port.Exited) for entry in read_journal(run_dir))
        if not found.entries:
            continue  # nothing had begun: it is started now, for the first time
        assert await scene.hand.carry_out(KEEP) is True
        assert isinstance(scene.reports.commands[-1], ReportExited if has_end else ReportLost)


def test_the_moments_are_worth_looking_at() -> None:
    images = [image for seed in range(LIVES) for image in lived(seed).images]

    assert len(images) >= 400
    assert sum(image.promised.recorded > 0 for image in images) > 100
    torn = [image for image in images if not image.files.get(JOURNAL_NAME, b"\n").endswith(b"\n")]
    assert torn, "no write was cut in two"
