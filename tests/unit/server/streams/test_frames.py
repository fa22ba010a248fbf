"""Messages that are written past the WebSocket library are messages to it."""

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from moduprompt.server.streams.frames import _opening, _text  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_message_of_any_length_is_read_as_it_was_written(length: int) -> None:
    payload = b"x" * length
    reader = Connection(ConnectionType.CLIENT)
    reader.receive_data(_text(payload) + _text(b"and the next"))

    seen = [event for event in reader.events() if isinstance(event, TextMessage)]
    texts = "".join(event.data for event in seen)

    assert texts == payload.decode() + "and the next"
    assert len(_opening(length)) <= 10
