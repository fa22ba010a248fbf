"""What a client sends, and what it was promised."""

import msgspec

from moduprompt.protocol import Accepted, CommandEnvelope, encode
from tests.support.kernel_stories import Asked


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was answered with a yes: from then on it is carried out, once, for ever."""

    asked: Asked
    answer: Accepted


def to_envelope(asked: Asked) -> CommandEnvelope:
    """As it goes over the wire."""
    command = asked.command
    return CommandEnvelope(
        type=command.wire,
        schema_version=command.version,
        payload=msgspec.Raw(encode(command)),
        idempotency_key=asked.key,
        expected_version=asked.expected_version,
        trace_id="trace",
    )
