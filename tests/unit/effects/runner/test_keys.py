"""What is typed for a text: nothing but text, lines and tabs, cut as the terminal takes it."""

import pytest

from moduprompt.effects.runner.keys import FORMS, LINE_BYTES_MAX, Form, Keys, Unfit, form_for, to_keys
from moduprompt.keeper.wire import INPUT_BYTES_MAX


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("go", b"go\r"),
        ("two\nlines", b"two\rlines\r"),
        ("windows\r\nlines\r\n", b"windows\rlines\r"),
        ("\n\nround about\n\n", b"round about\r"),
        ("between\n\nlines", b"between\r\rlines\r"),
        ("tab\tstays", b"tab\tstays\r"),
        ("\x03\x04\x1a\x1b[2Jclear\x7f\x00", b"[2Jclear\r"),
        ("C1 \x9b31m \x85", b"C1 31m \r"),
        ("größe 日本 🙂", "größe 日本 🙂\r".encode()),
        ("old\rmac\r\nlines", b"old\rmac\rlines\r"),
        (" ", b" \r"),
    ],
)
def test_only_text_lines_and_tabs_are_typed(text: str, keys: bytes) -> None:
    assert to_keys(text.encode(), "lines") == Keys(form="lines", last=keys)


def test_a_paste_is_marked_and_sent_by_an_enter_of_its_own() -> None:
    keys = to_keys(b"two\nlines", "paste")
    assert keys == Keys(form="paste", parts=(b"\x1b[200~two\rlines\x1b[201~",), last=b"\r")


def test_a_text_can_not_end_its_own_paste() -> None:
    keys = to_keys(b"a\x1b[201~\rrm -r\x9b201~b", "paste")
    assert isinstance(keys, Keys)
    assert keys.parts[0].count(b"\x1b[201~") == 1


@pytest.mark.parametrize("text", [b"two\nlines", b"two\rlines", b"a\ttab"])
def test_without_paste_lines_and_tabs_would_be_orders_and_are_not_typed(text: bytes) -> None:
    assert to_keys(b"one", "keys") == Keys(form="keys", parts=(b"one",), last=b"\r")
    assert isinstance(to_keys(text, "keys"), Unfit)
    assert isinstance(to_keys(text, "paste"), Keys)


@pytest.mark.parametrize(
    ("text", "form"),
    [(b"", "lines"), (b"\x1b\x03", "lines"), (b"\n", "paste"), (b" \n\t", "paste"), (b" ", "keys")],
)
def test_a_text_in_which_nothing_is_said_is_not_typed(text: bytes, form: Form) -> None:
    assert isinstance(to_keys(text, form), Unfit)


def test_a_line_that_line_mode_would_cut_is_not_typed() -> None:
    assert isinstance(to_keys(b"x" * LINE_BYTES_MAX, "lines"), Keys)
    assert isinstance(to_keys(b"x" * (LINE_BYTES_MAX + 1), "lines"), Unfit)
    assert isinstance(to_keys(b"x" * (LINE_BYTES_MAX + 1), "paste"), Keys)


@pytest.mark.parametrize("form", FORMS)
def test_no_part_is_larger_than_the_keeper_takes(form: Form) -> None:
    text = b"word " * INPUT_BYTES_MAX if form != "lines" else b"a line\n" * INPUT_BYTES_MAX
    keys = to_keys(text, form)
    assert isinstance(keys, Keys)
    assert max(map(len, (*keys.parts, keys.last))) <= INPUT_BYTES_MAX
    whole = b"".join((*keys.parts, keys.last)).removeprefix(b"\x1b[200~").replace(b"\x1b[201~", b"")
    assert whole == text.strip(b"\n").replace(b"\n", b"\r") + b"\r"


def test_line_mode_comes_first_and_paste_where_it_is_on() -> None:
    assert form_for(is_canonical=True, takes_paste=True) == "lines"
    assert form_for(is_canonical=False, takes_paste=True) == "paste"
    assert form_for(is_canonical=False, takes_paste=False) == "keys"
