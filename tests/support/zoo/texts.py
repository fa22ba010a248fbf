"""Prompts of every kind that people and programs send, and what is left of each when it has been typed."""

from __future__ import annotations

import random
from typing import Final

LONG_BYTES: Final = 3_000
HUGE_BYTES: Final = 1_000_000
BITS: Final = (
    "a plain line",
    "größer, 日本語 und 🙂 daneben",
    "two\nlines",
    "old\rmac, windows\r\nand \n\n blanks",
    "orders \x1b[2J\x1b[31m\x03\x04\x15\x7f\x00 in it",
    "the end of a paste \x1b[201~\rrm -r /\r\x9b201~ in it",
    "Overwrite it? [y/N] y",
    "1. Yes\n2. No",
    "[?] May I go on with step 1? (y/n)",
    "~ working",
    "> quoted\n-- ready",
)


def draw_text(rng: random.Random, number: int, *, bytes_max: int, is_one_line: bool = False) -> bytes:
    """The prompt of this number: it is in the text, unless that is a single byte."""
    drawn = rng.random()
    if drawn < 0.03:
        return b"xyz7"[number % 4 :][:1]
    text = f"p{number} {rng.choice(BITS)} q{number}".encode()
    if drawn < 0.08:
        text = text + b" \xff\xfe\xc3 no UTF-8 " + str(number).encode()
    elif drawn < 0.15:
        text += b" and so on" * (min(LONG_BYTES, bytes_max // 2) // 10) + b" end"
    elif drawn < 0.155 and bytes_max >= HUGE_BYTES:
        text += b"\n0123456789 abcdef" * (HUGE_BYTES // 18)
    if is_one_line:
        return cleaned(text).replace("\n", " ").encode()
    return text[:bytes_max]


def cleaned(text: bytes) -> str:
    """What a program gets: text, line ends of one kind, tabs; no control character, and no line ends around it."""
    whole = text.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    kept = [each for each in whole if each in "\n\t" or not (each < " " or "\x7f" <= each <= "\x9f")]
    return "".join(kept).strip("\n")
