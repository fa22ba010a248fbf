"""What a keeper can take: a program that writes as fast as it can, beside `script` of util-linux; and how
fast a moment in the middle of a large recording is found."""

import asyncio
import random
import shutil
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.figures import Figure, Scale, in_turns
from bench.runs import kept_to_its_end
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.moments import moment_at
from moduprompt.effects.runner.packing import pack
from moduprompt.effects.runner.recording import RecordingReader
from moduprompt.keeper.recording import OUTPUT, RECORDING_NAME, RESIZE, Recording, pack_size

MIB: Final = 1024 * 1024
WRITTEN_MIB: Final = 256
RECORDED_MIB: Final = 1_024
SEEKS: Final = 20
DRAWN_BYTES: Final = 128 * 1024  # of output before the moment: a thousand lines


async def capture(scale: Scale) -> list[Figure]:
    """Both."""
    megabytes = scale.of(WRITTEN_MIB, quick=2)
    figures: list[Figure] = []
    with TemporaryDirectory(prefix="mp-bench-") as folder:
        root = Path(folder)
        backend = LocalBackend(root / "runs")
        if shutil.which("script") is not None:
            ours, theirs = await in_turns(
                lambda: _kept(backend, megabytes), lambda: _script(root, megabytes), rounds=scale.rounds
            )
            figures.append(
                Figure(
                    name="output of a program that writes as fast as it can, kept",
                    unit="MB/s",
                    value=ours,
                    yardstick=theirs,
                    yardstick_name="script (util-linux) into a file",
                    goal="ratio >= 0.7",
                )
            )
        figures.append(await asyncio.to_thread(_seek, root, scale.of(RECORDED_MIB, quick=2)))
    return figures


def _program(megabytes: int) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"stty raw; head -c {megabytes * MIB} /dev/zero | tr '\\0' x")


async def _kept(backend: LocalBackend, megabytes: int) -> float:
    began = time.perf_counter()
    spec = await kept_to_its_end(backend, _program(megabytes))
    took = time.perf_counter() - began
    (backend.run_dir(spec.run_id) / RECORDING_NAME).unlink()
    return megabytes * MIB / took / 1e6


async def _script(root: Path, megabytes: int) -> float:
    target = root / "typescript"
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        "script", "-q", "-e", "-c", _program(megabytes)[2], str(target),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await process.wait()
    took = time.perf_counter() - began
    assert target.stat().st_size >= megabytes * MIB, "BUG: script has not kept it all"
    target.unlink()
    return megabytes * MIB / took / 1e6


def _seek(root: Path, megabytes: int) -> Figure:
    """From opening the file to the screen of that moment."""
    raw, packed = root / "raw", root / "packed"
    _record(raw, megabytes)
    pack(raw, packed)
    ratio = packed.stat().st_size / raw.stat().st_size
    raw.unlink()
    drawn = random.Random(5)
    took: list[float] = []
    for _ in range(SEEKS):
        moment = drawn.randrange(megabytes * 16) * 1_000
        began = time.perf_counter()
        with RecordingReader(packed) as reader:
            moment_at(reader, moment, drawn_bytes=DRAWN_BYTES)
        took.append(time.perf_counter() - began)
    return Figure(
        name=f"the screen at any moment of a recording of {megabytes} MiB, the slowest of {SEEKS}",
        unit="ms",
        value=max(took) * 1_000,
        goal="< 200 ms",
        note=f"packed to {ratio:.2f} of its size",
    )


def _record(path: Path, megabytes: int) -> None:
    """Coloured lines, 64 KiB a frame and a millisecond."""
    recording = Recording(str(path), started_us=0)
    recording.append(RESIZE, 0, pack_size(40, 120))
    for number in range(megabytes * 16):
        line = b"\x1b[3%dmstep %08d\x1b[0m of some work that an agent does, with its words\r\n" % (
            number % 8,
            number,
        )
        recording.append(OUTPUT, number * 1_000, (line * (65_536 // len(line) + 1))[:65_536])
    recording.close()
