"""What agent programs print: their readers take anything, and what they say of it always fits into the log."""

from collections.abc import Callable
from typing import Final

from moduprompt.effects.agents.catalogue import ADAPTERS
from moduprompt.effects.agents.cutting import LineCutter
from tests.support.fuzzing.decoder import Decoder
from tests.support.transcripts import heard, reader_of, transcripts


def reading(name: str) -> Callable[[bytes], object]:
    """A fresh reader for each try."""
    return lambda data: heard(reader_of(name), data)


def cut(data: bytes) -> object:
    """Its lines, fed in two pieces; nothing of them is lost."""
    cutter, half = LineCutter(), len(data) // 2
    lines = [*cutter.feed(data[:half]), *cutter.feed(data[half:]), cutter.last()]
    assert b"\n".join(line for line in lines if isinstance(line, bytes)) == data
    return lines


UNDERSTOOD: Final = tuple(adapter.name for adapter in ADAPTERS if adapter.reader() is not None)
OF_AGENTS: Final[tuple[Decoder, ...]] = (
    Decoder(
        covers=("effects.agents.cutting:LineCutter.feed",),
        samples=(b'{"type":"a"}\n\n{"type":"b"}\r\nnot whole',),
        read=cut,
    ),
    *(
        Decoder(
            covers=(
                f"effects.agents.{name}",
                "effects.agents.lines:read_object",
                "effects.agents.lines:_decoded",
            ),
            samples=tuple(transcripts(name).values()),
            read=reading(name),
        )
        for name in UNDERSTOOD
    ),
)
