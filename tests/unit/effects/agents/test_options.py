"""Which words a session may give a program."""

from __future__ import annotations

from moduprompt.effects.agents.options import Option, UnfitWords, read_options

OPTIONS = (
    Option(name="model", what="which model"),
    Option(name="permissions", what="who decides", values=("ask", "all"), default="ask"),
)


def test_what_is_not_given_has_its_default() -> None:
    assert read_options((), OPTIONS) == {"model": "", "permissions": "ask"}


def test_a_value_stands_beside_its_option_or_is_joined_to_it() -> None:
    words = ("--model", "small", "--permissions=all")

    assert read_options(words, OPTIONS) == {"model": "small", "permissions": "all"}


def test_what_is_no_option_is_refused_with_those_that_are() -> None:
    for words in (("--yolo",), ("model", "small"), ("--model",), ("--permissions", "auto"), ("-p", "x")):
        refused = read_options(words, OPTIONS)

        assert isinstance(refused, UnfitWords), words
        assert refused.message
        assert refused.hint


def test_a_value_that_looks_like_an_option_is_a_value() -> None:
    assert read_options(("--model", "--permissions"), OPTIONS) == {
        "model": "--permissions",
        "permissions": "ask",
    }
