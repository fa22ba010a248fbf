"""Terminal output as text to read: what would act on a terminal is taken out.

For reading what a program printed without letting it move the cursor, set the title, or
answer as the keyboard. Escape sequences (ECMA-48: CSI, OSC and the like) vanish, also
when they come in pieces; line breaks and tabs stay; a lone carriage return ends its line.
"""

import codecs
import re
from typing import Final

PENDING_MAX: Final = 4_096  # of an unfinished sequence; a longer one is none

_SEQUENCE: Final = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]"  # CSI … final byte
    "|[\\]PX^_](?:[^\x07\x1b]|\x1b(?!\\\\))*(?:\x07|\x1b\\\\)"  # OSC, DCS, SOS, PM, APC … BEL or ST
    "|[ -/]*[0-Z\\\\^_`a-~])"  # two characters, or with intermediates
)
_UNFINISHED: Final = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*|[\\]PX^_](?:[^\x07\x1b]|\x1b(?!\\\\))*\x1b?|[ -/]*)?\\Z"
)
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Cleaner:
    """Takes bytes as they come, gives text that is safe to print."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    def feed(self, data: bytes) -> str:
        """What can be shown by now."""
        return self._cleaned(self._decoder.decode(data))

    def finish(self) -> str:
        """What was held back."""
        rest = self._cleaned(self._decoder.decode(b"", final=True))
        pending, self._pending = self._pending, ""
        return rest + _CONTROL.sub("", pending)

    def _cleaned(self, decoded: str) -> str:
        text = self._pending + decoded
        self._pending = ""
        unfinished = _UNFINISHED.search(text) if "\x1b" in text or text.endswith("\r") else None
        if unfinished is not None and len(unfinished[0]) <= PENDING_MAX:
            text, self._pending = text[: unfinished.start()], unfinished[0]
        elif text.endswith("\r"):
            text, self._pending = text[:-1], "\r"
        text = _SEQUENCE.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
        return _CONTROL.sub("", text)


def to_text(data: bytes) -> str:
    """All of it at once."""
    cleaner = Cleaner()
    return cleaner.feed(data) + cleaner.finish()
