"""`python -m bench [NAME …]`: measure, print, and write RESULTS.md."""

import asyncio
import platform
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw
import uvloop

from bench.commands import commands
from bench.figures import Figure
from bench.idle import idle
from bench.over_socket import over_socket
from bench.replay import replay
from bench.runs import runs
from moduprompt import __version__

RESULTS: Final = Path(__file__).resolve().parent / "RESULTS.md"

Benchmark = Callable[[], Awaitable[list[Figure]]]
BENCHMARKS: Final[tuple[tuple[str, Benchmark], ...]] = (
    ("commands", commands),
    ("over_socket", over_socket),
    ("replay", replay),
    ("runs", runs),
    ("idle", idle),
)


def main(names: list[str]) -> int:
    """Measure what was named, or everything; only everything is written down."""
    known: dict[str, Benchmark] = dict(BENCHMARKS)
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.stderr.write(f"error: no benchmark {unknown[0]}\nhint: there are {', '.join(known)}\n")
        return 2
    figures: list[Figure] = []
    for name in names or list(known):
        sys.stdout.write(f"{name} …\n")
        sys.stdout.flush()
        measured = uvloop.run(_measured(known[name]))
        figures += measured
        sys.stdout.write("".join(f"  {_line(figure)}\n" for figure in measured))
    if not names:
        RESULTS.write_text(_page(figures), encoding="utf-8")
        sys.stdout.write(f"written to {RESULTS}\n")
    return 0


async def _measured(benchmark: Benchmark) -> list[Figure]:
    async with asyncio.timeout(600):
        return await benchmark()


def _line(figure: Figure) -> str:
    against = "" if figure.ratio is None else f", {figure.ratio:.2f} of {figure.yardstick_name}"
    return f"{figure.name}: {figure.value:,.1f} {figure.unit}{against}"


def _page(figures: list[Figure]) -> str:
    rows = [
        "| what | measured | yardstick | ratio | goal |",
        "| --- | --- | --- | --- | --- |",
        *(_row(figure) for figure in figures),
    ]
    return "\n".join((_heading(), *rows, "", *_notes(figures), ""))


def _heading() -> str:
    return "\n".join(
        (
            "# Results",
            "",
            "Made by `make bench`. Every ratio is against a yardstick measured in the same run, in turns;",
            "each figure is the median of its rounds. Everything is as durable as it ships.",
            "",
            f"- {datetime.now(UTC):%Y-%m-%d}, version {__version__}",
            f"- {platform.platform()}, {_processor()}",
            f"- Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, uvloop {uvloop.__version__}",
            "",
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _row(figure: Figure) -> str:
    against = f"{figure.yardstick:,.0f}, {figure.yardstick_name}" if figure.yardstick else ""
    ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
    return f"| {figure.name} | {figure.value:,.1f} {figure.unit} | {against} | {ratio} | {figure.goal} |"


def _notes(figures: list[Figure]) -> list[str]:
    return [f"- {figure.name}: {figure.note}" for figure in figures if figure.note]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
