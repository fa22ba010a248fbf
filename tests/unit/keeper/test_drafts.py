"""What a person's keys leave standing depends on who collects them: the terminal, or the program."""

import pytest

from moduprompt.keeper.drafts import Draft


@pytest.mark.parametrize(
    "keys", [b"one\n", b"one\x04", b"one\x1b\r", b"one\\\r", b"one\r", b"one\x03", b"one\x15"]
)
def test_in_line_mode_the_terminal_ends_the_line(keys: bytes) -> None:
    draft = Draft()
    draft.typed(keys, "ada", in_lines=True)

    assert draft.author == ""


@pytest.mark.parametrize("keys", [b"one\n", b"one\x04", b"one\x1b\r", b"one\\\r"])
def test_in_raw_mode_only_what_every_program_takes_for_an_end_is_one(keys: bytes) -> None:
    draft = Draft()
    draft.typed(keys, "ada")

    assert draft.author == "ada"


def test_whoever_typed_last_is_whose_it_is() -> None:
    draft = Draft()
    draft.typed(b"one", "ada")
    draft.typed(b"two", "ben")

    assert draft.author == "ben"


def test_each_key_counts_for_itself_however_the_keys_come() -> None:
    keys = (b"\x1b[A", b"\x1b[B", b"a", b"b", b"\\", b"\r", b"\x7f", b"c", b"\r", b"\x1b[A", b"d")
    for upto in range(1, len(keys) + 1):
        together, alone = Draft(), Draft()
        together.typed(b"".join(keys[:upto]), "ada")
        for key in keys[:upto]:
            alone.typed(key, "ada")
        assert alone.author == together.author, keys[:upto]


NAMED = {
    b"h": b"\x1b[104u",
    b"H": b"\x1b[104:72;2u",
    b"\xc3\xa9": b"\x1b[233u",
    b"7": b"\x1b[57406u",
    b"i": b"\x1b[105;1:1u\x1b[105;1:3u",
    b"\r": b"\x1b[13u",
    b"\x03": b"\x1b[99;5u",
    b"\x15": b"\x1b[117;5:1u\x1b[117;5:3u",
    b"\x7f": b"\x1b[127u",
    b"\x19": b"\x1b[121;5u",
    b"\x1b\r": b"\x1b[13;2u",
    b"\x04": b"\x1b[27;5;100~",
}


@pytest.mark.parametrize("key", NAMED)
@pytest.mark.parametrize("before", [b"", b"a", b"ab\x15", b"\x1b[A"])
@pytest.mark.parametrize("after", [b"", b"\x7f", b"\r"])
def test_a_key_means_what_it_names_where_a_terminal_names_its_keys(
    before: bytes, key: bytes, after: bytes
) -> None:
    plain, named = Draft(), Draft()
    plain.typed(before + key + after, "ada")
    named.typed(before + NAMED[key] + after, "ada")

    assert named.author == plain.author


@pytest.mark.parametrize("key", [b"\x1b[57441;2u", b"\x1b[57350u", b"\x1b[?1u", b"\x1b[9999999u"])
def test_a_key_that_writes_nothing_leaves_nothing(key: bytes) -> None:
    draft = Draft()
    draft.typed(key, "ada")

    assert draft.author == ""


@pytest.mark.parametrize("key", [b"\x19", b"\x12", b"\x10"])
def test_what_was_thrown_away_or_sent_before_can_come_back_and_stands_there(key: bytes) -> None:
    draft = Draft()
    draft.typed(b"one\x15", "ada")
    draft.typed(key, "ada")
    assert draft.author == "ada"

    draft.typed(b"\r", "ada")
    assert draft.author == ""


def test_in_line_mode_nothing_comes_back_by_a_key() -> None:
    draft = Draft()
    draft.typed(b"one\x15\x19\x12", "ada", in_lines=True)

    assert draft.author == ""
