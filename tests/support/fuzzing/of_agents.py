"""What agent programs print: their readers take anything, and what they say of it always fits into the log."""

from collections.abc import Callable
from typing import Final

from moduprompt.effects.agents.catalogue import ADAPTERS
from tests.support.fuzzing.decoder import Decoder
from tests.support.transcripts import heard, reader_of, transcripts


def reading(name: str) -> Callable[[bytes], object]:
    """A fresh reader for each try."""
    return lambda data: heard(reader_of(name), data)


UNDERSTOOD: Final = tuple(adapter.name for adapter in ADAPTERS if adapter.reader() is not None)
OF_AGENTS: Final[tuple[Decoder, ...]] = tuple(
    Decoder(
        covers=(f"effects.agents.{name}", "effects.agents.lines:read_object"),
        samples=tuple(transcripts(name).values()),
        read=reading(name),
    )
    for name in UNDERSTOOD
)
