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
