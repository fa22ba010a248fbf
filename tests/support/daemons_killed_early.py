"""Daemons that are killed in the middle of their recovery: at a turn of their event loop, or a time, that was given before.

    nursery (everything is imported once) ── fork ──→ a daemon ── its N-th turn ──→ SIGKILL, by its own hand
                                                               └─ its time ─────→ SIGALRM, which nobody handles

Between two turns lies each thing that a daemon does by itself, so counting turns meets each of its awaits, in its storage,
its hands and its comparing alike. A daemon that is through with its recovery says so, and lives.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import IO, Final, Literal

from tests.support.daemon_process import Place

Patch = Literal["acknowledges_nothing", "starts_nothing", "types_nothing"]
NEVER: Final = 0  # as a turn or a time: it is not killed

NURSERY: Final = """
import asyncio, os, signal, sys
import uvloop
from moduprompt.config import Choices, load_config
from moduprompt.daemon import building, serve, serving
from moduprompt.effects.recovery.memory import StartMemory
from moduprompt.effects.runner import link, local, port, typist

BEHIND_S = 0.3  # what was found is told by now, and its reports go on
memories, turns = [], 0
data, runtime, speaking = sys.argv[1], sys.argv[2], int(sys.argv[3])

def say(words):
    os.write(speaking, words.encode() + b"\\n")

def count(last):
    remember, turn = StartMemory.__init__, asyncio.BaseEventLoop._run_once
    def remembered(memory, **how):
        remember(memory, **how)
        memories.append(memory)
    def counted(loop):
        global turns
        turns += 1
        if turns == last:
            say(f"killed {turns}")
            os.kill(os.getpid(), signal.SIGKILL)
        if memories and memories[0].told().took_ms is not None:
            memories.clear()
            loop.call_later(BEHIND_S, lambda: say(f"through {turns}"))
        turn(loop)
    StartMemory.__init__, asyncio.BaseEventLoop._run_once = remembered, counted
    uvloop.run = asyncio.run

def patch(names):
    async def forgotten(self, upto): return port.Done()
    async def hanging(self, _): await asyncio.Event().wait()
    if "acknowledges_nothing" in names: link.KeeperLink.ack = forgotten
    if "starts_nothing" in names: local.LocalBackend.start = hanging
    if "types_nothing" in names: typist.Typist.carry_out = hanging

for line in sys.stdin:
    last, after_s, *names = line.split()
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_REAL, float(after_s))
        count(int(last))
        patch(names)
        os.setsid()
        raise SystemExit(serve(load_config(Choices(data_dir=data, runtime_dir=runtime), os.environ), os.environ))
    say(f"born {child}")
    os.waitpid(child, 0)
    say("dead")
"""


class Nursery:
    """Where they come from, one after the other."""

    def __init__(self, program: subprocess.Popen[bytes], said: IO[str]) -> None:
        self._program = program
        self._said = said
        self._pid: int | None = None

    def start(
        self, *, last: int = NEVER, after_s: float = NEVER, patches: Iterable[Patch] = ()
    ) -> int | None:
        """A daemon, until it is through with its recovery; gives the turn. None: it was killed before.

        `last`: at this turn. `after_s`: so long after its birth, in the middle of whatever its threads do then.
        """
        assert self._pid is None, "BUG: there is one already"
        assert self._program.stdin is not None
        self._program.stdin.write(" ".join((str(last), f"{after_s:.6f}", *patches)).encode() + b"\n")
        self._program.stdin.flush()
        self._pid = self._heard("born")
        word, turn = self._words()
        if word == "through":
            return int(turn)
        assert word in ("killed", "dead"), word
        if word == "killed":
            self._buried()
        self._pid = None
        return None

    def kill(self) -> None:
        """The daemon that is there, or has just been killed at its last turn."""
        assert self._pid is not None
        os.kill(self._pid, signal.SIGKILL)
        self._buried()

    def close(self) -> None:
        """No daemon is left."""
        if self._pid is not None:
            os.kill(self._pid, signal.SIGKILL)
        self._program.kill()
        self._program.communicate()
        self._said.close()

    def _buried(self) -> None:
        while self._words()[0] != "dead":
            continue
        self._pid = None

    def _heard(self, expected: str) -> int:
        word, number = self._words()
        assert word == expected, word
        return int(number)

    def _words(self) -> tuple[str, str]:
        word, _, rest = self._said.readline().strip().partition(" ")
        assert word, "the nursery has ended"
        return word, rest


@contextmanager
def nursery(place: Place) -> Generator[Nursery]:
    """One for this place; what its daemons write to standard error lies beside the data."""
    listening, speaking = os.pipe()
    with (place.data.parent / "stderr").open("wb") as stderr:
        program = subprocess.Popen(
            [sys.executable, "-c", NURSERY, str(place.data), str(place.runtime), str(speaking)],
            stdin=subprocess.PIPE,
            stdout=stderr,
            stderr=stderr,
            pass_fds=(speaking,),
            env={**os.environ, "HOME": str(place.data.parent)},
        )
    os.close(speaking)
    own = Nursery(program, os.fdopen(listening))
    try:
        yield own
    finally:
        own.close()
