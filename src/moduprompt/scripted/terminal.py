"""What the agent shows and reads: short lines, coloured on a terminal, and one line of input a question.

Input is taken as the terminal gives it in canonical mode: a line when it is finished. It is
read without a buffer of ours in front, so that what was typed ahead stays in order and a time limit works.
"""

import os
import select
import time
from collections.abc import Mapping
from typing import TextIO

LINE_CHARS_MAX = 400  # a longer line is data, not something to look at
READ_BYTES = 4096  # the longest line a terminal holds in canonical mode
PASTE_MARKS = ("\x1b[200~", "\x1b[201~")  # around what was pasted, where bracketed paste is on

COLOURS = {"dim": "2", "bold": "1", "good": "32", "bad": "31", "ask": "33", "kind": "36"}


class TerminalGone(Exception):
    """Nobody is at the other end of the output any more."""


class Terminal:
    """One per agent. `descriptor` is where answers come from."""

    def __init__(self, out: TextIO, *, descriptor: int, colours: bool) -> None:
        self._out = out
        self._descriptor = descriptor
        self._colours = colours
        self._typed = b""

    def headline(self, *, number: int, total: int, kind: str, text: str) -> None:
        place = f"{number:>{len(str(total))}}/{total}"
        self._print(f"{self._paint(place, 'dim')} {self._paint(f'{kind:<8}', 'kind')} {visible(text)}")

    def body(self, text: str) -> None:
        self._print(f"  {self._paint('│', 'dim')} {visible(text)}")

    def good(self, text: str) -> None:
        self._print(f"  {self._paint('✓', 'good')} {visible(text)}")

    def bad(self, text: str, *, hint: str = "") -> None:
        self._print(f"  {self._paint('✗', 'bad')} {visible(text)}")
        if hint:
            self._print(f"    {self._paint('hint:', 'dim')} {hint}")

    def ask(self, question: str, *, timeout_s: float | None) -> str | None:
        """One line of input without its end; None when the input ended or the time was up."""
        self._put(f"  {self._paint('?', 'ask')} {visible(question)} ")
        line = self._read_line(timeout_s)
        if line is None or not os.isatty(self._descriptor):
            self._print("")  # a terminal has echoed the end of the line itself
        return line

    def _read_line(self, timeout_s: float | None) -> str | None:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._typed:
            # Without a limit it simply reads: whoever watches the process can see that it waits for input.
            if deadline is not None and not self._is_readable(max(0.0, deadline - time.monotonic())):
                return None
            chunk = self._read_some()
            if not chunk:
                return None
            self._typed += chunk
        line, _, self._typed = self._typed.partition(b"\n")
        text = line.decode("utf-8", "replace").rstrip("\r")
        for mark in PASTE_MARKS:
            text = text.replace(mark, "")
        return text

    def _is_readable(self, within_s: float) -> bool:
        return bool(select.select([self._descriptor], [], [], within_s)[0])

    def _read_some(self) -> bytes:
        try:
            return os.read(self._descriptor, READ_BYTES)
        except OSError:  # the other end of the terminal is gone
            return b""

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self._colours else text

    def _print(self, text: str) -> None:
        self._put(f"{text}\n")

    def _put(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except OSError as broken:
            raise TerminalGone from broken


def wants_colours(out: TextIO, *, environment: Mapping[str, str]) -> bool:
    """On a terminal, unless the user says no: https://no-color.org."""
    return out.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def visible(text: str) -> str:
    """The text on one line, without anything that could move the cursor or change the screen."""
    shown = "".join(char if char.isprintable() or char == "\t" else " " for char in text.strip("\r\n"))
    return shown if len(shown) <= LINE_CHARS_MAX else f"{shown[:LINE_CHARS_MAX]} …"
