"""Cuts the output of a program into text, controls and sequences.

Follows ECMA-48 and the parser of DEC's terminals (vt100.net/emu/dec_ansi_parser): a control inside of a
sequence acts at once and the sequence goes on; CAN, SUB and a new ESC end it; what has no meaning is
dropped whole, never shown. Input may be cut anywhere, also inside of a character. Bytes that are no
UTF-8 become U+FFFD, one for each broken piece.

Guarantees: linear time, bounded memory for hostile input (see the limits), and the same tokens' effect
however the input is cut.
"""

import codecs
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

PARAMETERS_MAX: Final = 32  # xterm's 30, rounded; more of them are dropped
PARAMETER_MAX: Final = 65_535  # the window's size has 16 bits, so nothing larger means anything
SEQUENCE_CHARS_MAX: Final = 256  # of one CSI: 32 parameters of 5 digits, and something to spare
STRING_CHARS_MAX: Final = 8 * 1024  # of one OSC: a title or a link; pictures and clipboards are skipped
MISSING: Final = -1  # a parameter that was left out

Parameters = tuple[tuple[int, ...], ...]  # each with its sub-parameters


class Text(msgspec.Struct, frozen=True, gc=False):
    """Characters to show."""

    value: str


class Control(msgspec.Struct, frozen=True, gc=False):
    """One control character."""

    value: str


class Escape(msgspec.Struct, frozen=True, gc=False):
    """ESC, perhaps intermediates, and a final character."""

    intermediates: str
    final: str


class Csi(msgspec.Struct, frozen=True, gc=False):
    """A control sequence. `private` is one of `<=>?` or empty."""

    private: str
    parameters: Parameters
    intermediates: str
    final: str

    def number(self, place: int, default: int) -> int:
        """A parameter; the default where it is missing or 0."""
        if place >= len(self.parameters):
            return default
        value = self.parameters[place][0]
        return value if value > 0 else default

    @property
    def choice(self) -> int:
        """The first parameter where it picks one of several; 0 where it is missing."""
        return max(self.parameters[0][0], 0) if self.parameters else 0


class String(msgspec.Struct, frozen=True, gc=False):
    """An operating system command (`]`); the other strings have no effect on a screen."""

    value: str


Token = Text | Control | Escape | Csi | String

_TEXT: Final = re.compile("[^\x00-\x1f\x7f-\x9f]+")
_CSI_BODY: Final = re.compile("[\x20-\x3f]*")
_ESCAPE_BODY: Final = re.compile("[\x20-\x2f]*")
_STRING_END: Final = re.compile("[\x07\x18\x1a\x1b]")
_CSI_PARTS: Final = re.compile("([<=>?]?)([0-9:;]*)([\x20-\x2f]*)\\Z")
_STRINGS: Final = "]PX^_"
_ABORTS: Final = "\x18\x1a"


class Cutter:
    """Takes bytes as they come, gives the tokens that are complete."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""  # an unfinished sequence, from its ESC on
        self._is_skipping = False  # inside of a string that is too long

    def feed(self, data: bytes) -> Iterator[Token]:
        """The next tokens. Must be exhausted before the next call."""
        text = self._rest + self._decoder.decode(data)
        self._rest = ""
        at = self._skip(text) if self._is_skipping else 0
        while at < len(text):
            run = _TEXT.match(text, at)
            if run is not None:
                yield Text(run[0])
                at = run.end()
            elif text[at] != "\x1b":
                yield Control(text[at])
                at += 1
            else:
                tokens, at = self._sequence(text, at)
                yield from tokens

    def _sequence(self, text: str, at: int) -> tuple[list[Token], int]:
        """The tokens of what begins with the ESC at `at`, and where to go on."""
        kind = text[at + 1 : at + 2]
        if not kind:
            return self._unfinished(text[at:], text)
        if kind in _STRINGS:
            return self._string(text, at)
        pattern, start = (_CSI_BODY, at + 2) if kind == "[" else (_ESCAPE_BODY, at + 1)
        tokens: list[Token] = []
        body = ""
        end = start
        while True:
            found = pattern.match(text, end)
            assert found is not None, "BUG: both patterns match nothing at least"
            body += found[0]
            end = found.end()
            if len(body) > SEQUENCE_CHARS_MAX:
                return tokens, end  # no sequence; what follows is shown, as it would be anyhow
            if end == len(text):
                return self._unfinished(text[at:start] + body, text, tokens)
            final = text[end]
            if final == "\x1b":
                return tokens, end
            end += 1
            if final in _ABORTS:
                return tokens, end
            if " " <= final <= "~":
                break
            if final < " ":
                tokens.append(Control(final))  # it acts at once, as if it had come before the sequence
        tokens += _csi(body, final) if kind == "[" else (Escape(body, final),)
        return tokens, end

    def _string(self, text: str, at: int) -> tuple[list[Token], int]:
        found = _STRING_END.search(text, at + 2)
        if found is None:
            if len(text) - at > STRING_CHARS_MAX:
                self._is_skipping = True
                return [], len(text)
            return self._unfinished(text[at:], text)
        end = found.start()
        after = end + 1
        if found[0] == "\x1b":
            if after == len(text):
                return self._unfinished(text[at:], text)
            after = end + 2 if text[after] == "\\" else end  # another sequence ends the string too
        is_command = text[at + 1] == "]" and found[0] not in _ABORTS and end - at <= STRING_CHARS_MAX
        return [String(text[at + 2 : end])] if is_command else [], after

    def _unfinished(self, rest: str, text: str, tokens: list[Token] | None = None) -> tuple[list[Token], int]:
        self._rest = rest
        return tokens or [], len(text)

    def _skip(self, text: str) -> int:
        found = _STRING_END.search(text)
        if found is None:
            return len(text)
        self._is_skipping = False
        return found.start() if found[0] == "\x1b" else found.end()


def _csi(body: str, final: str) -> tuple[Token, ...]:
    parts = _CSI_PARTS.match(body)
    if parts is None:  # a private mark in the wrong place: the sequence means nothing
        return ()
    return (Csi(parts[1], _parameters(parts[2]), parts[3], final),)


@lru_cache(maxsize=4_096)  # programs say the same colours and places again and again
def _parameters(raw: str) -> Parameters:
    if not raw:
        return ()
    return tuple(
        tuple(min(int(each), PARAMETER_MAX) if each else MISSING for each in part.split(":"))
        for part in raw.split(";", PARAMETERS_MAX)[:PARAMETERS_MAX]
    )
