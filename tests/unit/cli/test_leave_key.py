"""Ctrl-] as terminals write it, and what only looks like it."""

import pytest

from moduprompt.cli.leave_key import LeaveKey

BEGINS, ENDS = b"\x1b[200~", b"\x1b[201~"
AS_WRITTEN = (
    b"\x1d",
    b"\x1b[93;5u",
    b"\x1b[93;5:1u",
    b"\x1b[93;69u",  # caps lock is on
    b"\x1b[93:125;133u",  # num lock, and what shift would make of it
    b"\x1b[1098::93;5u",  # the key where another layout has the bracket
    b"\x1b[93;5;29u",  # with the text that it stands for
    b"\x1b[27;5;93~",
)
OTHERS = (
    b"\x1b[93;5:3u",  # let go of
    b"\x1b[93;1u",
    b"\x1b[93;6u",  # with shift
    b"\x1b[93;7u",  # with alt
    b"\x1b[91;5u",
    b"\x1b[193;5u",
    b"\x1b[27;3;93~",
    b"\x1b[93;5~",
    b"]",
    b"\x1b",
)


@pytest.mark.parametrize("key", AS_WRITTEN)
def test_it_leaves_however_a_terminal_writes_it(key: bytes) -> None:
    assert LeaveKey().before(b"first" + key + b"behind") == (b"first", True)


@pytest.mark.parametrize("keys", OTHERS)
def test_other_keys_go_to_the_run(keys: bytes) -> None:
    assert LeaveKey().before(keys) == (keys, False)


@pytest.mark.parametrize("key", AS_WRITTEN)
def test_what_is_pasted_leaves_nowhere_and_the_key_behind_it_does(key: bytes) -> None:
    keys = b"a" + BEGINS + b"rm " + key + b" -rf" + ENDS + b"b"
    for cut in range(len(keys)):
        leave = LeaveKey()
        assert leave.before(keys[:cut]) == (keys[:cut], False)
        assert leave.before(keys[cut:]) == (keys[cut:], False)
        assert leave.before(b"c" + key) == (b"c", True)


@pytest.mark.parametrize("key", [key for key in AS_WRITTEN if len(key) > 1])
def test_one_that_comes_in_two_pieces_leaves_too(key: bytes) -> None:
    for cut in range(1, len(key)):
        leave = LeaveKey()
        assert leave.before(b"x" + key[:cut]) == (b"x" + key[:cut], False)
        assert leave.before(key[cut:]) == (b"", True)


def test_a_paste_whose_end_was_lost_holds_nobody() -> None:
    leave = LeaveKey()
    leave.before(BEGINS + b"text")

    assert leave.before(b"more\x1dof it") == (b"more\x1dof it", False)
    assert leave.before(b"\x1d") == (b"", True)
