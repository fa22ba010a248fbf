"""The bounded queue in front of the writer. When it is full the answer is `unavailable`, at once."""

import asyncio
from collections import deque
from typing import Final

import msgspec

from moduprompt.kernel.judgement import Judged, Order
from moduprompt.kernel.meters import Meters
from moduprompt.protocol import Code, Refused, Rejection, WorkspaceId, overloaded, refusal

INBOX_MAX: Final = 1_024  # some tenths of a second at the measured rate; more would only be late


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waits for its answer. `refused` is a verdict of a gate, to be recorded."""

    workspace_id: WorkspaceId
    order: Order
    answer: "asyncio.Future[Judged]"
    refused: Rejection | None = None


class Inbox:
    """First come, first decided."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._oldest_at = 0.0
        self._orders: deque[Pending] = deque()
        self._filled = asyncio.Event()
        self._closed = False

    def put(self, pending: Pending) -> None:
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
        self._orders.append(pending)
        self._filled.set()

    async def wait(self) -> bool:
        """Until there is something (True), or there will never be (False)."""
        while not self._orders and not self._closed:
            self._filled.clear()
            await self._filled.wait()
        return bool(self._orders)

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
        self._filled.set()

    def __len__(self) -> int:
        return len(self._orders)
