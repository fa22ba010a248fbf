"""The bounded queue in front of the writer. When it is full the answer is `unavailable`, at once."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from moduprompt.kernel.judgement import Judged, Order
from moduprompt.kernel.keys import Hold
from moduprompt.kernel.meters import Meters
from moduprompt.protocol import Code, Refused, Rejection, WorkspaceId, overloaded, refusal

INBOX_MAX: Final = 1_024  # some tenths of a second at the measured rate; more would only be late


class Pending:
    """An order that waits for its answer. `refused` is a verdict of a gate, to be recorded.

    Whoever asked may stop waiting; the order is decided all the same, and once, and only then
    does the key it came under become free.
    """

    def __init__(
        self,
        order: Order,
        *,
        workspace_id: WorkspaceId,
        hold: Hold,
        refused: Rejection | None,
        ended: Callable[[], None],
    ) -> None:
        self.order = order
        self.workspace_id = workspace_id
        self.refused = refused
        self.answer: asyncio.Future[Judged] = asyncio.get_running_loop().create_future()
        self._hold = hold
        self._ended = ended
        hold.await_decision()

    def settle(self, judged: Judged) -> None:
        """It is durable."""
        if not self.answer.done():
            self.answer.set_result(judged)
        self._end()

    def fail(self, fault: Exception) -> None:
        """Nothing came of it."""
        if not self.answer.done():
            self.answer.set_exception(fault)
        self._end()

    def _end(self) -> None:
        self._hold.decided()
        self._ended()


class Inbox:
    """First come, first decided."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._oldest_at = 0.0
        self.asked = 0  # orders that were ever queued
        self.answered = 0  # of them, those that were settled or failed
        self._orders: deque[Pending] = deque()
        self._stirred = asyncio.Event()
        self._closed = False

    def put(
        self, order: Order, *, workspace_id: WorkspaceId, hold: Hold, refused: Rejection | None = None
    ) -> Pending:
        """Queue it. Raises Refused when there is no room."""
        if self._closed:
            raise Refused(refusal(Code.UNAVAILABLE, "the daemon is shutting down", hint="try again shortly"))
        if len(self._orders) >= INBOX_MAX:
            raise Refused(
                overloaded(
                    "inbox",
                    f"{INBOX_MAX} commands are waiting already",
                    hint="try again shortly, with the same idempotency key",
                )
            )
        if not self._orders:
            self._oldest_at = asyncio.get_running_loop().time()
        pending = Pending(
            order, workspace_id=workspace_id, hold=hold, refused=refused, ended=self._count_answer
        )
        self.asked += 1
        self._orders.append(pending)
        self._stirred.set()
        return pending

    def stir(self) -> None:
        """Something else happened that whoever waits here must look at."""
        self._stirred.set()

    async def until_stirred(self) -> None:
        """Until something was put or happened since the last time, or nothing ever will be put again."""
        await self._stirred.wait()
        self._stirred.clear()

    def take(self, most: int) -> list[Pending]:
        """What is there, at most so many, without waiting."""
        if not self._orders or most <= 0:
            return []
        self._meters.inbox_s.observe(self.waited_s())
        self._oldest_at = asyncio.get_running_loop().time()
        return [self._orders.popleft() for _ in range(min(most, len(self._orders)))]

    def waited_s(self) -> float:
        """How long the oldest has waited, at least: since it came, or since those before it were taken."""
        return asyncio.get_running_loop().time() - self._oldest_at if self._orders else 0.0

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is taken."""
        return self._closed

    def close(self) -> None:
        """Take nothing more; what is queued is still decided."""
        self._closed = True
        self._stirred.set()

    def __len__(self) -> int:
        return len(self._orders)

    def _count_answer(self) -> None:
        self.answered += 1
