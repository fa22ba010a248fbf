"""Time and ids that only move when a test says so."""

import asyncio
import heapq
from itertools import count

from moduprompt.protocol import SECOND, Micros, RunId, WorkspaceId
from tests.support.domain import NOW, an_id


class FakeClock:
    """Stands still until `set` or `later`; who sleeps is woken when their time has come."""

    def __init__(self, at: Micros = NOW) -> None:
        self._now = at
        self._asleep: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()
        self.slept: list[float] = []

    def now(self) -> Micros:
        """Microseconds since 1970."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Until the clock has been moved that far."""
        self.slept.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._asleep, (self._now + round(seconds * SECOND), next(self._order), woken))
        await woken

    def later(self, seconds: float) -> None:
        """Time passes, or is set back."""
        self._now = Micros(self._now + round(seconds * SECOND))
        while self._asleep and self._asleep[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._asleep)
            if not woken.done():
                woken.set_result(None)


class CountingMint:
    """Ids in order, after 0x10000 unless told otherwise: another machine's ids are others."""

    def __init__(self, *, after: int = 0x1_0000) -> None:
        self._next = after

    def new_id(self) -> str:
        """The next one."""
        self._next += 1
        return an_id(self._next)

    def run_token(self, workspace_id: WorkspaceId, run_id: RunId) -> str:
        """Readable, and different for each run."""
        return f"mprun.{workspace_id}.{run_id}.secret"
