"""The key that leaves a run's terminal: Ctrl-], however this terminal writes it, and never one that was pasted.

A program may ask its terminal to name keys instead of writing their bytes, and codex does: then Ctrl-] comes as
`CSI 93;5u` (the kitty keyboard protocol, sw.kovidgoyal.net/kitty/keyboard-protocol) or `CSI 27;5;93~` (xterm's
modifyOtherKeys). What is pasted stands between two marks where the program has asked for them.
"""

import re
from typing import Final

NAME: Final = "Ctrl-]"  # as people are told it
BYTE: Final = b"\x1d"  # as in telnet: no agent program uses it
_CODE: Final = b"93"  # of the key `]`, wherever a layout has it
_CTRL: Final = (
    4  # of the modifiers shift, alt, ctrl, super, hyper, meta; caps lock and num lock stand above them
)
_MODIFIERS: Final = 0b111111
_RELEASED: Final = b"3"
_PASTE_BEGINS: Final = b"\x1b[200~"
_PASTE_ENDS: Final = b"\x1b[201~"
_SEEN: Final = re.compile(
    rb"\x1b\[20[01]~|\x1d|\x1b\[27;(?P<other>\d{1,3});93~"
    rb"|\x1b\[(?P<key>\d{1,7}(?::\d{0,7}){0,2});(?P<mods>\d{1,3})(?::(?P<event>\d))?(?:;[\d:]{0,64})?u"
)
_TAIL_BYTES: Final = 32  # of what came before: a read may end in the middle of a key or of a mark


class LeaveKey:
    """Looks for it in the keys of one person, as they come."""

    def __init__(self) -> None:
        self._tail = b""
        self._is_pasting = False

    def before(self, keys: bytes) -> tuple[bytes, bool]:
        """The keys that come before it, all of them where it does not come; and whether it does."""
        text, known = self._tail + keys, len(self._tail)
        for found in _SEEN.finditer(text):
            if found[0] in (_PASTE_BEGINS, _PASTE_ENDS):
                self._is_pasting = found[0] == _PASTE_BEGINS
            elif found.end() <= known or not _leaves(found):
                continue
            elif (
                not self._is_pasting or found[0] == keys
            ):  # what comes alone is a key, whatever a paste has lost
                return text[known : found.start()], True
        self._tail = text[-_TAIL_BYTES:]
        return keys, False


def _leaves(found: re.Match[bytes]) -> bool:
    if found[0] == BYTE:
        return True
    if found["other"] is not None:
        return _is_ctrl(found["other"])
    key, _, layout = found["key"].partition(b":")
    is_bracket = key == _CODE or layout.rpartition(b":")[2] == _CODE
    return is_bracket and found["event"] != _RELEASED and _is_ctrl(found["mods"])


def _is_ctrl(mods: bytes) -> bool:
    """And nothing else that is held down with it."""
    return (int(mods) - 1) & _MODIFIERS == _CTRL
