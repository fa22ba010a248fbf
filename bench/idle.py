"""What the daemon costs while nobody wants anything."""

import asyncio
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from bench.figures import Figure, Scale
from moduprompt.config import DaemonFile

LOOK_S = 10
READY_S = 30.0
TICKS = os.sysconf("SC_CLK_TCK")


async def idle(scale: Scale) -> list[Figure]:
    """Memory and processor of a daemon that has just started."""
    look_s = scale.of(LOOK_S, quick=1)
    with TemporaryDirectory(prefix="mp-bench-") as folder:
        words = ("-m", "moduprompt.cli.mpd", "start", "--foreground", "--data-dir", folder)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, "--runtime-dir", f"{folder}/run", stderr=asyncio.subprocess.DEVNULL
        )
        path = Path(folder) / "run" / "daemon.json"
        async with asyncio.timeout(READY_S):
            while not path.exists():
                await asyncio.sleep(0.05)
        pid = msgspec.json.decode(path.read_bytes(), type=DaemonFile).pid
        before = _ticks(pid)
        await asyncio.sleep(look_s)
        share = 100 * (_ticks(pid) - before) / TICKS / look_s
        resident = _resident_mb(pid)
        process.terminate()
        await process.wait()
    return [
        Figure(name="idle daemon, resident memory", unit="MB", value=resident, goal="< 90 MB"),
        Figure(name="idle daemon, processor", unit="% of a core", value=share, goal="< 1 %"),
    ]


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1_024
    raise AssertionError("BUG: status has a VmRSS line")
