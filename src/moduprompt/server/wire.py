"""The bytes of a connection, below ASGI: so that an event costs a subscriber one write and nothing else.

A stream's head and its last byte go the way of every answer. Between them whoever streams has the
connection for itself and writes whole frames: what is written here and what goes through the server
never cut into each other. A reader that does not read is waited for: `drained` (ADR 0032).
"""

import weakref
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from starlette.requests import HTTPConnection

WIRE: Final = "wire"  # where a request's scope says which connection it came through


class Wire(Protocol):
    """A connection. What is written after its end is dropped."""

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, whoever ended it."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether its peer does not keep up: then nothing more is written before it has `drained`."""
        ...

    def write(self, data: bytes) -> None:
        """Whole frames."""
        ...

    async def drained(self) -> None:
        """It takes more, or is gone."""
        ...

    def listen(self, ring: Callable[[], None]) -> None:
        """Ring when it is gone."""
        ...

    def unlisten(self, ring: Callable[[], None]) -> None:
        """No longer."""
        ...


def named(state: Mapping[str, object], wire: Wire) -> dict[str, object]:
    """A scope's state that names the connection, without keeping it alive or making a circle."""
    return {**state, WIRE: weakref.ref(wire)}


def wire_of(request: HTTPConnection) -> Wire | None:
    """The connection of a request; None when it has gone already."""
    reference: Callable[[], Wire | None] = request.scope["state"][WIRE]
    return reference()
