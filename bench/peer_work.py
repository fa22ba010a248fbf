"""What a peer is handed and hands back, and the threads it works in. Imports nothing of ours: it runs in a peer's process."""

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

NAME_CHARS: Final = 100  # of the name that every command carries, ours and theirs


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a peer is to do: so many writers at once, so many commands each."""

    folder: str
    writers: int
    each: int
    journal: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """Commands a second, and the settings that were in force."""

    per_s: float
    settings: dict[str, str]


def in_threads(work: Work, command: Callable[[int, str], object]) -> float:
    """Commands a second of so many threads, each of which waits for its own. Raises what one of them raised."""
    start = threading.Barrier(work.writers + 1)

    def writer(number: int) -> None:
        names = [f"{number}-{turn}".ljust(NAME_CHARS, "x") for turn in range(work.each)]
        start.wait()
        for name in names:
            command(number, name)

    with ThreadPoolExecutor(max_workers=work.writers) as pool:
        writing = [pool.submit(writer, number) for number in range(work.writers)]
        start.wait()
        began = time.perf_counter()
        for each in writing:
            each.result()
        return work.writers * work.each / (time.perf_counter() - began)


def serve(measured: Callable[[Work], Done]) -> int:
    """Do the work that stands on standard input."""
    done = measured(msgspec.json.decode(sys.stdin.buffer.read(), type=Work))
    sys.stdout.buffer.write(msgspec.json.encode(done))
    return 0
