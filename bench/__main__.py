"""`python -m bench [--quick] [NAME …]`: measure, say so, and write RESULTS.md with its plots.

Only a whole run that is not quick is written down. A benchmark that fails is named with its last
line, and the others go on; then the exit code is 1.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from bench.benchmarks import BENCHMARKS
from bench.figures import Figure, Scale
from bench.machine import machine
from bench.page import Part, page
from bench.plots import draw

FOLDER: Final = Path(__file__).resolve().parent
RESULTS: Final = FOLDER / "RESULTS.md"
PLOTS: Final = FOLDER / "plots"
TRIED: Final = FOLDER / "TRIED.md"
USAGE: Final = "usage: python -m bench [--quick] [NAME …]"


def main(words: list[str]) -> int:
    """Measure what was named, or everything."""
    known = [name for name, _ in BENCHMARKS]
    names = [word for word in words if not word.startswith("-")]
    unknown = [word for word in words if word not in (*known, "--quick")]
    if unknown:
        sys.stderr.write(f"error: no benchmark {unknown[0]}\nhint: there are {', '.join(known)}\n{USAGE}\n")
        return 2
    scale = Scale(is_quick="--quick" in words)
    parts = asyncio.run(_all(names or known, scale))
    if not names and not scale.is_quick:
        _write_down(parts)
    return 1 if any(part.failure for part in parts) else 0


async def _all(names: list[str], scale: Scale) -> list[Part]:
    parts: list[Part] = []
    for place, name in enumerate(names, start=1):
        _say(f"[{place}/{len(names)}] {name} …")
        began = time.monotonic()
        part = await _one(name, scale)
        parts.append(part)
        for figure in part.figures:
            _say(f"    {_line(figure)}")
        if part.failure:
            _say(f"    failed: {part.failure}")
        _say(f"    {time.monotonic() - began:.0f} s")
    return parts


async def _one(name: str, scale: Scale) -> Part:
    """One benchmark in a process of its own."""
    words = [sys.executable, "-m", "bench.benchmarks", name, *(["--quick"] if scale.is_quick else [])]
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        sys.stderr.buffer.write(err)
        last = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return Part(name=name, failure=last or f"exit {process.returncode}")
    return Part(name=name, figures=tuple(msgspec.json.decode(out, type=list[Figure])))


def _write_down(parts: list[Part]) -> None:
    plots = draw([figure for part in parts for figure in part.figures], PLOTS)
    if not plots:
        _say("no plots: matplotlib is not installed here; `make bench` has it")
    tried = TRIED.read_text("utf-8") if TRIED.exists() else ""
    RESULTS.write_text(page(parts, machine=machine(), plots=plots, tried=tried), encoding="utf-8")
    _say(f"written to {RESULTS}")


def _line(figure: Figure) -> str:
    against = "" if figure.ratio is None else f", {figure.ratio:.2f} of {figure.yardstick_name}"
    missed = " MISSED" if figure.is_missed else ""
    return f"{figure.name}: {figure.value:,.1f} {figure.unit}{against} (goal: {figure.goal}){missed}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
