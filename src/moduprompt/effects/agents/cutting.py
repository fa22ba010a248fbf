"""Cuts a program's output into lines, whatever it prints: a line that is too long is passed over, not held."""

from collections.abc import Iterator
from typing import Final

from moduprompt.domain.run.said import LineSkipped

LINE_BYTES_MAX: Final = 4 * 1024 * 1024  # a tool's whole result stands in one line; those seen have under one


class LineCutter:
    """Fed with bytes in any pieces. Holds at most one unfinished line of LINE_BYTES_MAX."""

    def __init__(self) -> None:
        self._begun = bytearray()
        self._skipped_bytes = 0

    def feed(self, data: bytes) -> Iterator[bytes | LineSkipped]:
        """Each line that ends in this piece, without its end; or how long it was, where it was too long."""
        *whole, rest = data.split(b"\n")
        for part in whole:
            yield self._ended(part)
        self._hold(rest)

    def last(self) -> bytes | LineSkipped:
        """What came after the last line end, when nothing more will come."""
        return self._ended(b"")

    def _ended(self, part: bytes) -> bytes | LineSkipped:
        self._hold(part)
        if self._skipped_bytes:
            skipped, self._skipped_bytes = LineSkipped(bytes=self._skipped_bytes), 0
            return skipped
        line = bytes(self._begun)
        self._begun.clear()
        return line

    def _hold(self, part: bytes) -> None:
        if self._skipped_bytes or len(self._begun) + len(part) > LINE_BYTES_MAX:
            self._skipped_bytes += len(self._begun) + len(part)
            self._begun.clear()
        else:
            self._begun += part
