"""What the fuzz tests know of one decoder."""

from collections.abc import Callable
from typing import Any

import msgspec


class No(msgspec.Struct, frozen=True, kw_only=True):
    """A declared refusal."""

    why: str


class Decoder(msgspec.Struct, frozen=True, kw_only=True):
    """`covers`: its names in the source. `refuses`: all that it may raise. `also`: bytes to damage that say no.

    `again` writes what was read from a sample, and reading that must give the same.
    """

    covers: tuple[str, ...]
    samples: tuple[bytes, ...]
    read: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...] = ()
    also: tuple[bytes, ...] = ()
    again: Callable[[Any], bytes] | None = None

    @property
    def name(self) -> str:
        """For a test's name."""
        return self.covers[0]

    def outcome(self, data: bytes) -> object:
        """What was read, or the refusal. Whatever else is raised is a fault."""
        try:
            return self.read(data)
        except self.refuses as refused:
            return No(why=str(refused))


def text(data: bytes) -> str:
    """Bytes where a text is read: what is no UTF-8 comes as lone surrogates, like a program's arguments."""
    return data.decode("utf-8", "surrogateescape")
