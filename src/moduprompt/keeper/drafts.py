"""Whose half-typed line stands in a terminal, known from a person's keys alone.

The rule is careful: a line counts as a draft from its first character until a key that ends it in every program, also
after its author has gone. What was pasted stands there until it is sent, and so does what Up has fetched.

    in line mode     Enter, Ctrl-J and Ctrl-D send it; Ctrl-C and Ctrl-U throw it away
    in raw mode      Enter sends it; Ctrl-C and Ctrl-U throw it away. Ctrl-J, Alt-Enter and Enter behind a backslash
                     are a new line to most programs, Ctrl-D takes a character away: the draft goes on

Characters that are taken back one by one leave nothing behind, nor does Down after Up; after any other key
nobody knows from the keys where the next one goes. What was thrown away comes back by Ctrl-Y, what was sent by Ctrl-P or
Ctrl-R. A terminal may name its keys (`CSI 99;5u` is Ctrl-C, `CSI 104u` an h): they mean what they name.
"""

import re
import sys

_TOKEN = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[OP].|\x1b.|\x1b"
    rb"|[\x00-\x1f\x7f]|[^\x00-\x1f\x7f]+",
    re.DOTALL,
)
_BY_ITSELF = re.compile(rb"\x1b\[[?<>]|\x1b\[[0-9;]*[cRntIO]$|\x1b\]")  # what a terminal says, and no key
_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
_ENDS_RAW = (b"\r", b"\x03", b"\x15")
_ENDS_LINES = (*_ENDS_RAW, b"\n", b"\x04", b"\x1b\r", b"\x1b\n")
_BACKSPACES = (b"\x7f", b"\x08")
_UP, _DOWN = (b"\x1b[A", b"\x1bOA", b"\x10"), (b"\x1b[B", b"\x1bOB", b"\x0e")
_FETCHED = (b"\x19", b"\x12")  # Ctrl-Y, Ctrl-R: what stands there then, no key has said
# A key by its number, as terminals name it that were asked to: kitty's way, and xterm's.
_NAMED = re.compile(
    rb"\x1b\[(?P<key>\d{1,7})[:\d]*(?:;(?P<held>\d{0,3})(?::(?P<what>\d))?[;:\d]*)?u"
    rb"|\x1b\[27;(?P<held_x>\d{1,3});(?P<key_x>\d{1,7})~"
)
_SHIFT, _ALT, _CTRL, _OTHERS = 1, 2, 4, 8 | 16 | 32  # what is held with a key; the locks above don't count
_RELEASED = b"3"
_KEYPAD, _KEYPAD_ENTER = range(57399, 57414), 57414  # in the order of `_ON_KEYPAD`
_ON_KEYPAD = b"0123456789./*-+"
_PRIVATE = range(57344, 63744)  # keys that write nothing


class Draft:
    """Of one terminal. `author` is empty where nothing stands there."""

    def __init__(self) -> None:
        self.author = ""
        self._chars = 0
        self._fetched = 0  # how far Up has gone back
        self._is_plain = True  # nothing but characters, or nothing but Up, has made it what it is
        self._is_quoted = False  # the last key was a backslash
        self._is_in_paste = False

    def typed(self, keys: bytes, author: str, *, in_lines: bool = False) -> None:
        """A person's keys have gone to the terminal. `in_lines`: it collects lines; False where nobody knows."""
        first, ends, rest = keys.partition(_PASTE_ENDS)
        if ends and not self._is_in_paste and _PASTE_BEGINS not in first:
            self._pasted(first, author)  # nobody saw where it began
            keys = rest
        while keys:
            if self._is_in_paste:
                pasted, ends, keys = keys.partition(_PASTE_ENDS)
                self._is_in_paste = not ends
                self._pasted(pasted, author)
            else:
                typed, begins, keys = keys.partition(_PASTE_BEGINS)
                self._is_in_paste = bool(begins)
                for key in _TOKEN.findall(typed):
                    self._press(key, author, ends=_ENDS_LINES if in_lines else _ENDS_RAW)

    def _pasted(self, text: bytes, author: str) -> None:
        if text:
            self.author, self._is_plain, self._is_quoted = author, False, False

    def _press(self, key: bytes, author: str, *, ends: tuple[bytes, ...]) -> None:
        key = _plain(key)
        if not key:
            return
        is_new_line = self._is_quoted and key == b"\r" and ends is _ENDS_RAW
        self._is_quoted = key.endswith(b"\\") and key[:1] != b"\x1b"
        if key in ends and not is_new_line:
            self._end()
        elif key in _BACKSPACES:
            self._take_back()
        elif key in _UP or key in _DOWN:
            self._leaf(1 if key in _UP else -1, author)
        elif key in _FETCHED and ends is _ENDS_RAW:
            self.author, self._is_plain = author, False
        elif key[0] >= 0x20:
            self.author = author
            self._chars += len(key.decode("utf-8", "replace"))
        elif not _BY_ITSELF.match(key):
            self._is_plain = self._is_plain and not self.author

    def _take_back(self) -> None:
        self._is_plain = self._is_plain and not self._fetched
        self._chars = max(self._chars - 1, 0)
        if self._is_plain and not self._chars:
            self._end()

    def _leaf(self, step: int, author: str) -> None:
        """Through what was sent before: that replaces what stands there, and comes back to an empty line."""
        if self.author and (self._chars or not self._is_plain):
            self._is_plain = False
            return
        self._fetched = max(self._fetched + step, 0)
        self.author = author if self._fetched else ""

    def _end(self) -> None:
        self.author, self._chars, self._fetched, self._is_plain = "", 0, 0, True


def _plain(key: bytes) -> bytes:
    """The same as a terminal says it that names no keys; nothing of one that was let go."""
    named = _NAMED.fullmatch(key)
    if named is None:
        return key
    if named["what"] == _RELEASED:
        return b""
    number = int(named["key"] or named["key_x"])
    held = max(int(named["held"] or named["held_x"] or b"1") - 1, 0)
    written = _written(number)
    if not written or held & _OTHERS:
        return key
    if held & _CTRL:
        written = bytes([written[0] & 0x1F]) if written.isalpha() and len(written) == 1 else b""
    elif held & _SHIFT and written < b" ":
        written = b"\x1b" + written  # Shift-Enter: a new line to most programs
    return b"\x1b" + written if held & _ALT and written else written or key


def _written(number: int) -> bytes:
    """What a key with nothing held writes."""
    if number in _KEYPAD:
        return _ON_KEYPAD[number - _KEYPAD.start :][:1]
    if number == _KEYPAD_ENTER:
        return b"\r"
    if number in _PRIVATE or number > sys.maxunicode:
        return b""
    return chr(number).encode("utf-8", "replace")
