"""The daemon's own log: one JSON object a line, an event name and fields, no secrets."""

import logging
from typing import Final, TextIO

import msgspec

from moduprompt.protocol import Micros, to_timestamp

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Handler):
    """Writes records as JSON lines."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        fields = {name: str(value) for name, value in vars(record).items() if name not in _PLAIN}
        line: dict[str, str] = {
            "at": to_timestamp(Micros(int(record.created * 1_000_000))),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["fault"] = logging.Formatter().formatException(record.exc_info)
        try:
            self._stream.write(msgspec.json.encode(line).decode() + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return  # nobody can be told that nobody can be told
