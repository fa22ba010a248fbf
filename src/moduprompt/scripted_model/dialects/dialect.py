"""What a dialect has to say: how its requests are read, and how a reply looks whole and in pieces."""

from collections.abc import Callable
from typing import NamedTuple

from moduprompt.scripted_model import loose
from moduprompt.scripted_model.conversation import Conversation, Reply

CREATED = 1_767_225_600  # a reply has a time, and the same step the same reply


class Dialect(NamedTuple):
    """`read` never raises: what a request lacks reads as empty.

    `pieces` are the frames of a streamed reply, each whole; joined they are what the client gets.
    `refused` is an error as the vendor's own server would say it: status and message in, its body out.
    """

    name: str
    read: Callable[[dict[str, object]], Conversation]
    whole: Callable[[Reply], object]
    pieces: Callable[[Reply], list[bytes]]
    refused: Callable[[int, str], object]


def event(data: object, *, name: str = "") -> bytes:
    """A server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {loose.to_text(data)}\n\n".encode("utf-8", "replace")


def words(text: str) -> list[str]:
    """A text in the pieces in which it is streamed: at least two where it has two letters, so that it can be cut."""
    if " " not in text.strip():
        half = len(text) // 2
        return [piece for piece in (text[:half], text[half:]) if piece]
    spaced = [f"{word} " for word in text.split(" ")]
    return [*spaced[:-1], spaced[-1][:-1]] if spaced[-1] != " " else spaced[:-1]


def texts(content: object, *, kinds: tuple[str, ...]) -> list[str]:
    """The texts of a message: a plain one, or those of its parts that are of these kinds."""
    if isinstance(content, str):
        return [content]
    return [loose.text(part.get("text")) for part in loose.tables(content) if part.get("type") in kinds]
