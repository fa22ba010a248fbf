"""Where the processor's time goes: a sample of the main thread's stack for each tick that was spent.

The timer counts the processor time of the whole process (`ITIMER_PROF`), so what waits is not sampled.
A tick that falls into another thread, or into the system below the event loop, shows as the loop
itself. C functions show as the Python function that calls them. It costs some hundredths, so a figure
is measured without it, and its profile comes from another round of the same work.

    python -m bench.sampling REPORT MODULE [ARGUMENT …]

runs a module as a program; SIGUSR2 begins to sample, a second one ends it and writes the report.
"""

import runpy
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Final, Self

import msgspec

from bench.figures import Spent

TICK_S: Final = 0.002  # finer than most kernels' clocks; the timer then gives what it has
LINES_MAX: Final = 8  # of a table: what comes after is noise
ROOT: Final = Path(__file__).resolve().parent.parent


class Sampler:
    """Counts the innermost Python function of each tick."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGPROF, self._take)
        signal.setitimer(signal.ITIMER_PROF, TICK_S, TICK_S)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._before)

    def profile(self) -> tuple[Spent, ...]:
        """The functions that were met most often, and their shares."""
        total = self._seen.total()
        return tuple(
            Spent(where=where, share=count / total) for where, count in self._seen.most_common(LINES_MAX)
        )

    def _take(self, _signal: int, frame: FrameType | None) -> None:
        if frame is not None:
            self._seen[_named(frame)] += 1


async def profiled(work: Callable[[], Awaitable[object]]) -> tuple[Spent, ...]:
    """The profile of one more round."""
    with Sampler() as sampler:
        await work()
    return sampler.profile()


def _named(frame: FrameType) -> str:
    code = frame.f_code
    path = Path(code.co_filename)
    if path.is_relative_to(ROOT / "src"):
        where = str(path.relative_to(ROOT / "src" / "moduprompt"))
    else:
        where = "/".join(path.parts[-2:])
    return f"{code.co_qualname} ({where})"


def _on_demand(report: Path) -> None:
    """Begin with the first SIGUSR2, end with the second."""
    sampler = Sampler()
    is_on = False

    def turn(_signal: int, _frame: FrameType | None) -> None:
        nonlocal is_on
        if is_on:
            sampler.__exit__()
            partial = report.with_suffix(".partial")
            partial.write_bytes(msgspec.json.encode(sampler.profile()))
            partial.rename(report)  # whoever waits for it finds it whole
        else:
            sampler.__enter__()
        is_on = not is_on

    signal.signal(signal.SIGUSR2, turn)


if __name__ == "__main__":
    _on_demand(Path(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
