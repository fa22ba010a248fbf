# ruff: noqa: ARG002 - a link and a backend have the shape of their ports, and need less
"""Keepers and their programs, made up: they outlive daemons, are killed at any moment, and forget nothing that they wrote.

    a keeper    lives → dies (kill -9, or its machine) | leaves (its end is acknowledged)
    a program   begins → reads so many lines → ends; without its keeper it may live on
    a turn      a line may begin a long one, which ends by itself, or by a key

What a journal holds stays readable after its keeper's death. Time passes between any two steps, so that a
daemon may die there; the real hands of the runner are what is looked at.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from moduprompt.effects.runner import port
from moduprompt.protocol import RunId
from tests.support.fake_runner import EXITED, STARTED, WAITING, WORKING
from tests.support.simulation.virtual_time import VirtualClock

STEP_S: Final = (0.0, 0.0, 0.001, 0.05)
LINES: Final = 6  # that a program reads before it ends by itself
SIGKILL: Final = 9
INTERRUPT: Final = "interrupt/"  # what such an input's id begins with
TURN_LOOKS: Final = (
    8,
    0,
    3,
    40,
)  # so often a program is seen at work, first behind its start, then behind each line


class SimKeeper:
    """One run's keeper and its program."""

    def __init__(self, run_id: RunId, pid: int) -> None:
        self.run_id = run_id
        self.pid = pid
        self.journal: list[port.Entry] = []
        self.acknowledged = 0
        self.is_alive = True
        self.was_killed = False
        self.program_lives = False
        self.begun = 0
        self.typed: dict[str, port.InputResult] = {}
        self.read: list[str] = []  # ids of what its program has got, in order
        self.interrupts: list[str] = []  # ids of those that it got
        self.looks_at_work = TURN_LOOKS[0]  # before it is seen waiting for a line
        self.intended: list[str] = []  # of what is on its way to the program
        self.moved = asyncio.Event()
        self.report(port.Launching(keeper_pid=pid, keeper_start_time=1, boot_id="b"))

    def begin(self) -> None:
        """The program runs, and nobody has been told."""
        self.program_lives = True
        self.begun += 1

    def report(self, said: port.Report) -> None:
        """Durable from now on."""
        self.journal.append(port.Entry(number=len(self.journal) + 1, at_us=1, report=said))
        self.stir()

    def type(self, input_id: str) -> port.InputResult:
        """The program reads it, and may be done then."""
        self.intended.remove(input_id)
        if input_id.startswith(INTERRUPT):
            self.interrupts.append(input_id)
            self.looks_at_work = 0
        else:
            self.read.append(input_id)
            self.looks_at_work = TURN_LOOKS[len(self.read) % len(TURN_LOOKS)]
        result = port.InputResult(input_id=input_id, outcome="applied", bytes=1)
        self.typed[input_id] = result
        self.report(port.InputApplied(input_id=input_id, bytes=1))
        if len(self.read) == LINES and not input_id.startswith(INTERRUPT):
            self.end()
        return result

    def end(self, *, killed: bool = False) -> None:
        """The program is over, and the keeper says how."""
        if not self.program_lives:
            return
        self.program_lives = False
        if self.is_alive:
            while self.intended:
                input_id = self.intended.pop()
                self.typed[input_id] = port.InputResult(input_id=input_id, outcome="failed", bytes=0)
                self.report(port.InputFailed(input_id=input_id, bytes=0))
            how = {"how": "signalled", "code": None, "signal": SIGKILL} if killed else {}
            said = port.Exited(**{**_fields(EXITED), **how})  # pyright: ignore[reportArgumentType] - of its own fields
            self.report(said)

    def kill(self, *, with_program: bool) -> None:
        """Without a word."""
        if not self.is_alive:
            return
        self.is_alive, self.was_killed = False, True
        if with_program:
            self.program_lives = False
        self.stir()

    def acknowledge(self, upto: int) -> None:
        """After the end, the last one lets it go."""
        self.acknowledged = max(self.acknowledged, upto)
        if self.has_ended and self.acknowledged == len(self.journal):
            self.is_alive = False
            self.stir()

    def stir(self) -> None:
        """Whoever listens looks again."""
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    @property
    def has_ended(self) -> bool:
        """Whether its journal has the end."""
        return isinstance(self.journal[-1].report, port.Exited)


def _fields(said: port.Exited) -> dict[str, object]:
    return {name: getattr(said, name) for name in said.__struct_fields__}


class SimLink:
    """The `RunLink` to one of them; it breaks when the keeper dies, and at times by itself."""

    def __init__(self, keeper: SimKeeper, *, backend: "SimBackend") -> None:
        self._keeper = keeper
        self._backend = backend
        self.welcome = port.Welcome(
            version=1,
            run_id=keeper.run_id,
            keeper_pid=keeper.pid,
            keeper_start_time=1,
            pid=11,
            start_time=111,
            state="exited" if keeper.has_ended else "running",
            output_bytes=0,
            journal_last=len(keeper.journal),
            journal_acknowledged=keeper.acknowledged,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Nothing to let go of."""

    async def entries(self, *, after: int = 0) -> AsyncIterator[port.Entry]:
        """What is not acknowledged, in order, then what comes."""
        last = max(after, self._keeper.acknowledged)
        while True:
            await self._step()
            for entry in self._keeper.journal[last:]:
                last = entry.number
                yield entry
            if len(self._keeper.journal) == last:
                await self._keeper.moved.wait()

    def output(
        self, from_offset: int = 0, *, answers_terminal: bool = False
    ) -> AsyncIterator[port.OutputChunk]:
        raise AssertionError("BUG: nobody watches here")

    async def send_input(
        self,
        data: bytes,
        *,
        author: port.Author,
        input_id: str | None,
        if_output_bytes: int | None = None,
        if_canonical: bool | None = None,
    ) -> port.InputResult | port.RequestRefused:
        """Typed once; the answer may get lost."""
        await self._step()
        assert input_id is not None, "BUG: a prompt without its id"
        keeper = self._keeper
        if (known := keeper.typed.get(input_id)) is not None:
            return known
        if not keeper.program_lives:
            return port.RequestRefused(code="not_running", message="the program has ended")
        if input_id not in keeper.intended:
            keeper.intended.append(input_id)
            keeper.report(port.InputIntended(input_id=input_id))
        if self._backend.draws(0.05):
            keeper.kill(with_program=self._backend.draws(0.5))
        await self._step()
        result = keeper.typed.get(input_id) or keeper.type(input_id)
        await self._step()
        return result

    async def status(self) -> port.StatusReply:
        """It waits for a line as long as it runs and is in no turn."""
        await self._step()
        if self._keeper.program_lives and self._keeper.looks_at_work:
            self._keeper.looks_at_work -= 1
            return WORKING
        return WAITING if self._keeper.program_lives else WORKING

    async def close_input(self) -> port.Done | port.RequestRefused:
        await self._step()
        return port.Done()

    async def resize(self, *, rows: int, cols: int) -> port.Done | port.RequestRefused:
        await self._step()
        return port.Done()

    async def signal(self, name: port.SignalName) -> port.Done | port.RequestRefused:
        await self._step()
        return port.Done()

    async def stop(self, *, reason: str) -> port.Done | port.RequestRefused:
        """Its end follows."""
        await self._step()
        self._keeper.end(killed=True)
        return port.Done()

    async def ack(self, upto: int) -> port.Done | port.RequestRefused:
        await self._step()
        self._keeper.acknowledge(upto)
        return port.Done()

    async def _step(self) -> None:
        await self._backend.step()
        if not self._keeper.is_alive:
            raise port.LinkClosedError("the keeper hung up")
        if self._backend.is_rough and self._backend.draws(0.03):
            raise port.LinkClosedError("the link broke")


class SimBackend:
    """The `Backend`: all keepers of a simulation, over all of its daemons."""

    def __init__(self, folder: Path, *, clock: VirtualClock, rng: random.Random) -> None:
        self.keepers: dict[str, SimKeeper] = {}
        self.refused: set[str] = set()  # runs that were told to have nothing left behind
        self.is_rough = True
        self._folder = folder
        self._clock = clock
        self._rng = rng

    def draws(self, share: float) -> bool:
        """True so often, while things go wrong at all."""
        return self.is_rough and self._rng.random() < share

    async def step(self) -> None:
        """Time passes."""
        await self._clock.pass_by(self._rng.choice(STEP_S))

    def run_dir(self, run_id: str) -> Path:
        """Never made: nothing of a run is on a real disk here."""
        return self._folder / "runs" / run_id

    async def start(self, spec: port.LaunchSpec) -> port.Kept | port.StartRefused:
        """As a real one: at most once, and it may die at each of its steps."""
        run_id = RunId(spec.run_id)
        await self.step()
        if self.draws(0.05):
            self.refused.add(run_id)
            return port.StartRefused(code="unusable", message="no room", run_id=run_id)
        if (keeper := self.keepers.get(run_id)) is not None:
            if keeper.is_alive:
                return port.Kept(run_id=run_id)
            return port.StartRefused(code="used", message="it had one", run_id=run_id)
        keeper = self.keepers[run_id] = SimKeeper(run_id, len(self.keepers) + 100)
        for happens in (keeper.begin, lambda: keeper.report(STARTED)):
            if self.draws(0.03):
                keeper.kill(with_program=self.draws(0.5))
                return port.StartRefused(code="used", message="it died over the start", run_id=run_id)
            happens()
        await self.step()
        if self.draws(0.1):
            return port.StartRefused(code="timed_out", message="slow", run_id=run_id)
        return port.Kept(run_id=run_id)

    async def dial(self, run_id: str) -> SimLink | port.Unreachable | port.Gone:
        """A keeper that lives may not answer; one that is dead is never taken for alive for long."""
        await self.step()
        keeper = self.keepers.get(run_id)
        if keeper is None:
            return port.Gone(run_id=run_id, evidence="no run directory", entries=(), survivors=())
        if self.draws(0.15):
            return port.Unreachable(run_id=run_id, evidence="silent")
        if keeper.is_alive:
            return SimLink(keeper, backend=self)
        return port.Gone(
            run_id=run_id,
            evidence=f"keeper {keeper.pid} is not alive",
            entries=tuple(keeper.journal),
            survivors=(),
        )

    async def sweep(self, run_id: str) -> tuple[port.ProcessName, ...]:
        """What a dead keeper left is ended and named."""
        await self.step()
        keeper = self.keepers.get(run_id)
        if keeper is None or keeper.is_alive or not keeper.program_lives:
            return ()
        keeper.program_lives = False
        return (port.ProcessName(pid=11, name="agent"),)
