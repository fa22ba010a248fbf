"""How rows are found by their words in SQLite: the entries of its full-text index, and what is asked of it.

    a row's words → each behind its place (`<shelf>-<home>-`) → FTS5, which splits at spaces and nowhere else
    a query       → one expression for each strength, which takes what answers so well and no better

What a word is, and how well a row answers, is decided by `views.search_words` alone. A query's words are runs of
letters and digits and stand in quotes, so nothing that is typed is ever syntax of the index.
"""

import re
from collections.abc import Sequence
from typing import Final

from moduprompt.domain.item import Item, Searched
from moduprompt.views.search_words import EXACT, EXACT_TITLE, IS_ID, PREFIX, PREFIX_TITLE, Query

PLACE: Final = "|"  # where the place of edition and workspace goes, once it is known; never part of a word
ANYWHERE: Final = "{titles others}"
NOTHING: Final = f'"{PLACE}-"'  # no word begins with a hyphen
_ID: Final = re.compile(r"[a-z0-9-]+")


class Entry:
    """What the index has of one row."""

    def __init__(self, row: Item, words: Searched, *, shelf: int, home: int) -> None:
        place = f"{shelf}-{home}-"
        self.titles = _placed(words.titles, place)
        self.others = _placed(words.others, place)
        self.id = place + row.id
        self.tail = place + row.id[::-1]

    def bindings(self, number: int) -> tuple[int, str, str, str, str]:
        """As it is written."""
        return number, self.titles, self.others, self.id, self.tail


def expression(query: Query, strength: int) -> str:
    """What takes the rows that answer with this strength, or nothing. Those that are met by their id may be among them."""
    words = query.words
    all_by = {
        EXACT_TITLE: _all([f"titles : {_word(each)}" for each in words]),
        EXACT: _all([f"{ANYWHERE} : {_word(each)}" for each in words]),
        PREFIX_TITLE: _all([f"({ANYWHERE} : {_word(each)} OR titles : {_word(each)} *)" for each in words]),
        PREFIX: _all([f"{ANYWHERE} : {_word(each)} *" for each in words]),
    }
    if strength == IS_ID:
        return _by_id(query.id_part)
    better = all_by.get(strength + 1)
    return all_by[strength] if better is None else f"{all_by[strength]} NOT {better}"


def _by_id(part: str | None) -> str:
    if part is None or _ID.fullmatch(part) is None:
        return NOTHING
    return f"ids : {_word(part)} * OR tails : {_word(part[::-1])} *"


def _all(each: Sequence[str]) -> str:
    return f"({' AND '.join(each)})" if each else NOTHING


def _word(word: str) -> str:
    return f'"{PLACE}{word}"'


def _placed(words: str, place: str) -> str:
    return " ".join([place + word for word in words.split()])
