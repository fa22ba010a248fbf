"""What a search compares: the words of a text, and how well a document answers a query.

    text → NFC → runs of letters and digits → casefolded words
    query → its words; a document answers when each of them begins one of the document's

This is plain Python over rows, so that every store of read models finds the same, in the same order.
A hit's place is one string (strength, time of birth, id): sorted downwards it is the order of the answer,
and it is where a next page goes on.
"""

import re
from functools import lru_cache
from typing import Final
from unicodedata import normalize

import msgspec

from moduprompt.domain.hit import Snippet, Span

WORD: Final = re.compile(r"[^\W_]+")
QUERY_MAX: Final = 200  # characters of a query: as long as a name
ID_PART_MIN: Final = 4  # characters of an id, as on the command line; fewer are met by chance
SNIPPET_CHARS: Final = 160  # two lines of a terminal: enough to see why it was found
LEAD_CHARS: Final = 40  # of them before the first match
TEXTS_KEPT: Final = (
    1_000  # of those that were split last: one of several changes at a time, and names of stages repeat
)

IS_ID: Final = 4
EXACT_TITLE: Final = 3
EXACT: Final = 2
PREFIX_TITLE: Final = 1
PREFIX: Final = 0


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for. `id_part` is the text as a piece of an id, where it is long enough to be one."""

    words: tuple[str, ...]
    id_part: str | None = None


def to_query(text: str) -> Query:
    """The words of what was typed; without any, nothing can be found."""
    part = text.strip().lower()
    is_part = len(part) >= ID_PART_MIN and part.isascii()
    return Query(words=tuple(dict.fromkeys(words_of(text))), id_part=part if is_part else None)


def words_of(text: str) -> list[str]:
    """Casefolded runs of letters and digits, in order."""
    return [each.casefold() for each in WORD.findall(normalize("NFC", text))]


def to_index(texts: list[str]) -> str:
    """The words of some texts as one string, a space before and behind each: what `strength` looks into."""
    return f" {' '.join([_joined(text) for text in texts])} "


@lru_cache(maxsize=TEXTS_KEPT)
def _joined(text: str) -> str:
    return " ".join(words_of(text))


def strength(query: Query, *, id_: str, title: str, other: str) -> int | None:
    """How well an item answers; the weakest word counts. None where one of the words is nowhere.

    `title` and `other` are indexes as `to_index` makes them.
    """
    part = query.id_part
    if part is not None and (id_.startswith(part) or id_.endswith(part)):
        return IS_ID
    weakest = EXACT_TITLE
    for word in query.words:
        if f" {word} " in title:
            continue
        if f" {word} " in other:
            weakest = min(weakest, EXACT)
        elif f" {word}" in title:
            weakest = min(weakest, PREFIX_TITLE)
        elif f" {word}" in other:
            weakest = PREFIX
        else:
            return None
    return weakest if query.words else None


def to_place(found: int, *, created_at: str, id_: str) -> str:
    """Where a hit stands: a larger place comes first. Every part has one width, so strings compare as they should."""
    return f"{found}~{created_at}~{id_}"


def to_snippet(query: Query, texts: dict[str, str]) -> Snippet:
    """The first field that holds a word of the query, else the first one; cut around the first match."""
    for field, text in texts.items():
        spans = _spans(query, text)
        if spans:
            return _cut(field, text, spans)
    field, text = next(iter(texts.items()), ("", ""))
    return Snippet(field=field, text=text[:SNIPPET_CHARS])


def _spans(query: Query, text: str) -> list[tuple[int, int]]:
    found = ((match.span(), match[0].casefold()) for match in WORD.finditer(text))
    return [span for span, word in found if word.startswith(query.words)]


def _cut(field: str, text: str, spans: list[tuple[int, int]]) -> Snippet:
    """Never beyond the text; a match that is cut through is marked as far as it is shown."""
    begin = max(0, min(spans[0][0] - LEAD_CHARS, len(text) - SNIPPET_CHARS))
    end = begin + SNIPPET_CHARS
    shown = tuple(
        Span(start=max(start, begin) - begin, end=min(stop, end) - begin)
        for start, stop in spans
        if start < end and stop > begin
    )
    return Snippet(field=field, text=text[begin:end], matches=shown)
