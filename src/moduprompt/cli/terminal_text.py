"""Terminal output as text to read: what would act on a terminal is taken out.

For reading what a program printed without letting it move the cursor, set the title, or
answer as the keyboard. Escape sequences (ECMA-48: CSI, OSC and the like) vanish, also
when they come in pieces; line breaks and tabs stay; a lone carriage return ends its line.
"""

import codecs
import re
from typing import Final

PENDING_MAX: Final = 4_096  # of an unfinished sequence; a longer one is none

_CSI: Final = re.compile("\x1b\\[[0-?]*[ -/]*([@-~]|\\Z)")  # ends with its final byte, or is cut off
_SHORT: Final = re.compile("\x1b[ -/]*([0-Z\\\\^_`a-~]|\\Z)")  # two characters, or with intermediates
_STRING: Final = re.compile("\x07|\x1b\\\\")  # what ends an OSC, DCS, SOS, PM or APC: BEL or ST
_STRINGS: Final = "]PX^_"  # what such a string begins with, after ESC
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Cleaner:
    """Takes bytes as they come, gives text that is safe to print."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""  # the beginning of a sequence
        self._return = ""  # a carriage return whose line feed may come yet

    def feed(self, data: bytes) -> str:
        """What can be shown by now."""
        return self._cleaned(self._decoder.decode(data))

    def finish(self) -> str:
        """What was held back."""
        rest = self._cleaned(self._decoder.decode(b"", final=True))
        pending, self._pending, self._return = self._pending, "", ""
        return rest + _CONTROL.sub("", pending)

    def _cleaned(self, decoded: str) -> str:
        text, self._pending = _without_sequences(self._pending + decoded)
        text = self._return + text
        self._return = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
        return _CONTROL.sub("", text)


def _without_sequences(text: str) -> tuple[str, str]:
    """The text without whole sequences, and the one it may end in. In time that grows with its length only:
    an end of a string that was looked for and is not there is not looked for again."""
    shown: list[str] = []
    place, string_end = (
        0,
        0,
    )  # where the next string ends, of those looked for so far; no end: behind the text
    while (start := text.find("\x1b", place)) >= 0:
        shown.append(text[place:start])
        if text[start + 1 : start + 2] and text[start + 1] in _STRINGS:
            if string_end <= start + 1:
                ended = _STRING.search(text, start + 2)
                string_end = ended.end() if ended is not None else len(text) + 1
            place = string_end
        else:
            short = _CSI.match(text, start) or _SHORT.match(text, start)
            is_cut = short is not None and not short[1]
            place = start + 1 if short is None else len(text) + 1 if is_cut else short.end()
        if place > len(text):
            if len(text) - start <= PENDING_MAX:
                return "".join(shown), text[start:]
            place = start + 1  # it is none: what it was made of is text
    shown.append(text[place:])
    return "".join(shown), ""


def to_text(data: bytes) -> str:
    """All of it at once."""
    cleaner = Cleaner()
    return cleaner.feed(data) + cleaner.finish()
