"""A saved stream played back: the pictures that were seen live, one for each sequence.

What a picture shows depends on the events up to its sequence and on nothing else: not on
how the bytes were cut into pieces, nor on which pictures in between were painted.
"""

from collections.abc import Iterable, Iterator

import msgspec

from moduprompt.cli.live.lines import Change
from moduprompt.cli.live.picture import Size, draw
from moduprompt.cli.live.spans import Line, to_plain
from moduprompt.cli.live.story import Story
from moduprompt.protocol import decode_event
from moduprompt.protocol.framing.frames import EventFrame
from moduprompt.protocol.framing.ndjson import NdjsonReader


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One picture: that of a sequence."""

    seq: int
    change: Change
    lines: tuple[Line, ...]

    def text(self) -> str:
        """Its characters, without styles."""
        return "".join(f"{to_plain(line)}\n" for line in self.lines)


def play(chunks: Iterable[bytes], size: Size) -> Iterator[Frame]:
    """The pictures of a stream in NDJSON, cut into chunks anywhere.

    Raises StreamBroken and msgspec.DecodeError on what is no event stream.
    """
    story = Story()
    for change in told(chunks, story):
        yield Frame(seq=change.seq, change=change, lines=draw(story.scene(), size))


def told(chunks: Iterable[bytes], story: Story) -> Iterator[Change]:
    """The changes of a stream in NDJSON, each after `story` has taken it in."""
    reader = NdjsonReader()
    for chunk in chunks:
        for frame in reader.feed(chunk):
            change = story.tell(decode_event(frame.data)) if isinstance(frame, EventFrame) else None
            if change is not None:
                yield change
