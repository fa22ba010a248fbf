"""How much of one kind goes on at once: reads, streams, transfers. Who finds no seat is told at once.

Nothing waits here: a queue would only hide that there is too much, and hold memory meanwhile. A session's
share is bounded too, so that one that loops leaves room for the others.
"""

from collections import Counter
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from moduprompt.protocol import Actor, Refused, overloaded

READS_MAX: Final = 256  # each holds a page in memory, and a view's lock in turn; more would only be slower
STREAMS_MAX: Final = 4_096  # subscriptions of all connections; at some 40 kB each, 160 MB at the very most
STREAMS_OF_SESSION_MAX: Final = 64  # of one session, over all its connections: its children and their runs
TRANSFERS_MAX: Final = 4  # bundles on their way; each is a file as large as its workspace until it is through


class Seats:
    """So many at once, of which one session has a part."""

    def __init__(self, name: str, what: str, *, most: int, of_session: int | None = None) -> None:
        self.name = name
        self.most = most
        self.taken = 0
        self._what = what
        self._of_session = of_session
        self._sessions: Counter[str] = Counter()

    def take(self, actor: Actor) -> None:
        """One seat, to be given back. Raises Refused (`unavailable`)."""
        if self.taken >= self.most:
            raise Refused(
                overloaded(
                    self.name,
                    f"{self.most} {self._what} go on already",
                    hint="try again shortly; one connection can hold several subscriptions",
                )
            )
        if actor.kind == "session" and self._of_session is not None:
            if self._sessions[actor.id] >= self._of_session:
                raise Refused(
                    overloaded(
                        f"{self.name}_of_session",
                        f"this session has {self._of_session} {self._what} already",
                        hint="end one of them first",
                    )
                )
            self._sessions[actor.id] += 1
        self.taken += 1

    def give_back(self, actor: Actor) -> None:
        """It is over."""
        self.taken -= 1
        if actor.id in self._sessions:
            self._sessions[actor.id] -= 1
            if self._sessions[actor.id] <= 0:
                del self._sessions[actor.id]

    @contextmanager
    def held(self, actor: Actor) -> Generator[None]:
        """A seat for as long as this lasts. Raises Refused."""
        self.take(actor)
        try:
            yield
        finally:
            self.give_back(actor)


class SeatedResponse(StreamingResponse):
    """A body that goes on. Its seat is given back when it has ended, whether it was ever begun or not."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        *,
        seats: Seats,
        actor: Actor,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._seats = seats
        self._actor = actor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The whole answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._seats.give_back(self._actor)


def read_seats() -> Seats:
    """For everything that answers from the views, the log or the disk."""
    return Seats("reads", "reads", most=READS_MAX)


def stream_seats() -> Seats:
    """For subscriptions, and for terminals that are watched."""
    return Seats("streams", "streams", most=STREAMS_MAX, of_session=STREAMS_OF_SESSION_MAX)


def transfer_seats() -> Seats:
    """For bundles."""
    return Seats("transfers", "bundles", most=TRANSFERS_MAX)
