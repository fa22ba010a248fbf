"""What is typed for a text: cleaned, and cut as this terminal takes it.

    line mode            the lines, each ended by Enter; the last Enter goes with them
    raw, paste on        ESC[200~ text ESC[201~, and Enter by itself once that is read
    raw, paste off       one line without tabs, and Enter by itself; several lines would be several prompts

Line ends of every kind are one. Control characters are left out: an escape or a Ctrl-C inside a text would be an order to the terminal.
"""

import re
from typing import Final, Literal, TypeAlias

import msgspec

from moduprompt.keeper.wire import INPUT_BYTES_MAX

LINE_BYTES_MAX: Final = 4_094  # a terminal in line mode holds 4,096 bytes; what is longer it cuts
ENTER: Final = b"\r"
PASTE_BEGINS, PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
LINE_ENDS: Final = re.compile(r"\r\n?")
CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # neither ASCII's nor C1's


Form: TypeAlias = Literal["lines", "paste", "keys"]
FORMS: Final[tuple[Form, ...]] = ("lines", "paste", "keys")


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """`parts`, one after another, and then `last`, which sends it all."""

    form: Form
    parts: tuple[bytes, ...] = ()
    last: bytes


class Unfit(msgspec.Struct, frozen=True, kw_only=True):
    """These keys can't be typed whole, and what is cut would be another text."""

    why: str


def form_for(*, is_canonical: bool, takes_paste: bool) -> Form:
    """How a terminal in this mode takes text."""
    if is_canonical:
        return "lines"
    return "paste" if takes_paste else "keys"


def cleaned(text: bytes) -> str:
    """What of a text is typed: its lines, with nothing in them that would be an order."""
    lines = LINE_ENDS.sub("\n", text.decode("utf-8", "replace"))
    return CONTROL.sub("", lines).strip("\n")


def to_keys(text: bytes, form: Form) -> Keys | Unfit:
    """What is typed for this text."""
    kept = cleaned(text).replace("\n", "\r").encode()
    if not kept or (form != "lines" and not kept.strip()):
        return Unfit(why="not typed: nothing but blanks and control characters is in it")
    if form == "lines":
        return _in_lines(kept)
    if form == "paste":
        return Keys(form=form, parts=_cut(PASTE_BEGINS + kept + PASTE_ENDS), last=ENTER)
    if ENTER in kept or b"\t" in kept:
        return Unfit(
            why="not typed: its program takes no pasted text, so a line's end would send what stands there, and a tab"
            " complete it; say it in one line without tabs, or put it into a file"
        )
    return Keys(form=form, parts=_cut(kept), last=ENTER)


def _in_lines(kept: bytes) -> Keys | Unfit:
    if max(map(len, kept.split(ENTER))) > LINE_BYTES_MAX:
        return Unfit(
            why=f"not typed: a line is over {LINE_BYTES_MAX} bytes, and its program reads whole lines;"
            " break it, or put the text into a file"
        )
    *parts, last = _cut(kept + ENTER)
    return Keys(form="lines", parts=tuple(parts), last=last)


def _cut(keys: bytes) -> tuple[bytes, ...]:
    return tuple(keys[at : at + INPUT_BYTES_MAX] for at in range(0, len(keys), INPUT_BYTES_MAX))
