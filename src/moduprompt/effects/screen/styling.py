"""Select graphic rendition: what its parameters make of a style (ECMA-48 8.3.117, with xterm's colours)."""

from typing import Final

import msgspec

from moduprompt.effects.screen.grid import DEFAULT, PLAIN, RGB, Style, Weight
from moduprompt.effects.screen.sequences import Parameters

_SET: Final = {
    1: Weight.BOLD, 2: Weight.DIM, 3: Weight.ITALIC, 4: Weight.UNDERLINE, 5: Weight.BLINK,
    6: Weight.BLINK, 7: Weight.REVERSE, 8: Weight.HIDDEN, 9: Weight.STRIKE, 21: Weight.UNDERLINE,
}  # fmt: skip
_CLEARED: Final = {
    22: Weight.BOLD | Weight.DIM, 23: Weight.ITALIC, 24: Weight.UNDERLINE, 25: Weight.BLINK,
    27: Weight.REVERSE, 28: Weight.HIDDEN, 29: Weight.STRIKE,
}  # fmt: skip
_BY_INDEX, _BY_RGB = 5, 2
_FOREGROUND, _BACKGROUND, _UNDERLINE_COLOUR = 38, 48, 58


def restyled(style: Style, parameters: Parameters) -> Style:
    """The style after one SGR sequence. What it doesn't know it passes over."""
    if not parameters:
        return PLAIN
    place = 0
    while place < len(parameters):
        head = parameters[place]
        code = max(head[0], 0)
        if code in (_FOREGROUND, _BACKGROUND, _UNDERLINE_COLOUR):
            colour, taken = _colour(parameters, place)
            place += taken
            style = _coloured(style, code, colour)
            continue
        place += 1
        style = _simple(style, code, head)
    return style


def _simple(style: Style, code: int, head: tuple[int, ...]) -> Style:
    if code == 0:
        return PLAIN
    if code == 4 and len(head) > 1 and head[1] == 0:  # 4:0, no underline
        return msgspec.structs.replace(style, weight=style.weight & ~Weight.UNDERLINE)
    if code in _SET:
        return msgspec.structs.replace(style, weight=style.weight | _SET[code])
    if code in _CLEARED:
        return msgspec.structs.replace(style, weight=style.weight & ~_CLEARED[code])
    for first, last, base in ((30, 37, 0), (90, 97, 8)):
        if first <= code <= last:
            return msgspec.structs.replace(style, foreground=code - first + base)
        if first + 10 <= code <= last + 10:
            return msgspec.structs.replace(style, background=code - first - 10 + base)
    if code == 39:
        return msgspec.structs.replace(style, foreground=DEFAULT)
    if code == 49:
        return msgspec.structs.replace(style, background=DEFAULT)
    return style


def _coloured(style: Style, code: int, colour: int | None) -> Style:
    if colour is None or code == _UNDERLINE_COLOUR:
        return style
    if code == _FOREGROUND:
        return msgspec.structs.replace(style, foreground=colour)
    return msgspec.structs.replace(style, background=colour)


def _colour(parameters: Parameters, place: int) -> tuple[int | None, int]:
    """(the colour, how many parameters it took): `38;5;n`, `38;2;r;g;b`, or one with sub-parameters."""
    head = parameters[place]
    if len(head) > 1:
        values = head[1:]
        # 38:2:r:g:b leaves the colour space out, 38:2::r:g:b does not.
        return _read_colour(values[:1] + values[2:] if len(values) > 4 else values), 1
    values = tuple(each[0] for each in parameters[place + 1 : place + 5])
    if values[:1] == (_BY_INDEX,):
        return _read_colour(values[:2]), 3
    if values[:1] == (_BY_RGB,):
        return _read_colour(values), 5
    return None, 1


def _read_colour(values: tuple[int, ...]) -> int | None:
    channels = [max(each, 0) for each in values[1:]]
    if any(each > 255 for each in channels):
        return None
    if values[0] == _BY_INDEX and len(channels) == 1:
        return channels[0]
    if values[0] == _BY_RGB and len(channels) >= 3:
        red, green, blue = channels[:3]
        return RGB | red << 16 | green << 8 | blue
    return None
