"""What a reader gets out of any stream, whatever carried it."""

from typing import TypeAlias

import msgspec


class StreamBroken(Exception):
    """The bytes are no stream of ours: damaged, or from another server."""


class EventFrame(msgspec.Struct, frozen=True, kw_only=True):
    """An event: its sequence and its JSON bytes as served."""

    seq: int
    data: bytes


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The stream has looked this far; what was skipped does not concern this reader."""

    seq: int


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The server ends the stream on purpose: resume elsewhere or later."""

    reason: str

    @staticmethod
    def parse(data: bytes) -> "End":
        """From `{"end": "…"}`."""
        try:
            return End(reason=_end_decoder.decode(data).end)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise StreamBroken("an end frame without a reason") from fault


class _Ending(msgspec.Struct, frozen=True):
    end: str


_end_decoder = msgspec.json.Decoder(_Ending)


Frame: TypeAlias = EventFrame | Position | End
