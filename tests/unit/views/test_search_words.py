"""What a search compares: words, how well they match, and where they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.views.search_words import (
    EXACT,
    EXACT_TITLE,
    IS_ID,
    PREFIX,
    PREFIX_TITLE,
    SNIPPET_CHARS,
    strength,
    to_index,
    to_place,
    to_query,
    to_snippet,
    words_of,
)

ID = "01a20428-0000-7000-8000-00000000aaaa"


def found(query: str, *, title: str = "", other: str = "") -> int | None:
    return strength(to_query(query), id_=ID, title=to_index([title]), other=to_index([other]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Fix the log-head (again)", ["fix", "the", "log", "head", "again"]),
        ("snake_case feature/x2", ["snake", "case", "feature", "x2"]),
        ("STRASSE Straße ΣΊΣΥΦΟΣ", ["strasse", "strasse", "σίσυφοσ"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("日本語 – 42", ["日本語", "42"]),
        (" … _ ", []),
    ],
)
def test_words_are_casefolded_runs_of_letters_and_digits(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("query", "title", "other", "expected"),
    [
        ("parser", "the Parser", "", EXACT_TITLE),
        ("parser", "", "a parser", EXACT),
        ("pars", "the parser", "", PREFIX_TITLE),
        ("pars", "", "a parser", PREFIX),
        ("the pars", "the parser", "", PREFIX_TITLE),
        ("the broken", "the parser", "is broken", EXACT),
        ("pars brok", "the parser", "is broken", PREFIX),
        ("brok pars", "the parser", "is broken", PREFIX),
        ("arser", "the parser", "", None),
        ("the lexer", "the parser", "", None),
        ("theparser", "the parser", "", None),
    ],
)
def test_every_word_must_begin_a_word_and_the_weakest_counts(
    query: str, title: str, other: str, expected: int | None
) -> None:
    assert found(query, title=title, other=other) == expected


@pytest.mark.parametrize(("query", "is_met"), [(ID[:4], True), ("AAAA", True), (ID, True), ("aaa", False)])
def test_an_id_is_met_by_four_characters_of_its_beginning_or_end(query: str, is_met: bool) -> None:
    assert (found(query) == IS_ID) is is_met


def test_nothing_typed_finds_nothing() -> None:
    assert found(" – ", title="a title") is None


def test_places_put_the_stronger_then_the_newer_then_the_later_id_first() -> None:
    old, new = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"
    wanted = [
        to_place(EXACT, created_at=old, id_="a"),
        to_place(PREFIX, created_at=new, id_="b"),
        to_place(PREFIX, created_at=new, id_="a"),
        to_place(PREFIX, created_at=old, id_="c"),
    ]

    assert sorted(wanted, reverse=True) == wanted


def test_a_snippet_marks_each_word_that_matches_in_the_first_field_that_has_one() -> None:
    snippet = to_snippet(to_query("brok pars"), {"name": "a thing", "reason": "Parser broken, parse again"})

    assert snippet.field == "reason"
    assert [snippet.text[each.start : each.end] for each in snippet.matches] == ["Parser", "broken", "parse"]


def test_a_snippet_of_what_was_found_by_its_id_is_its_first_text() -> None:
    snippet = to_snippet(to_query("aaaa"), {"name": "x" * 300})

    assert (snippet.field, len(snippet.text), snippet.matches) == ("name", SNIPPET_CHARS, ())


@given(text=st.text(max_size=400), at=st.integers(0, 400), word=st.sampled_from(["needle", "Straße", "ǅ9"]))
def test_a_snippet_shows_a_match_wherever_it_stands(text: str, at: int, word: str) -> None:
    whole = f"{text[:at]} {word} {text[at:]}"

    snippet = to_snippet(to_query(word), {"name": whole})

    assert snippet.text in whole
    assert len(snippet.text) <= SNIPPET_CHARS
    assert snippet.matches
    for span in snippet.matches:
        assert 0 <= span.start < span.end <= len(snippet.text)
