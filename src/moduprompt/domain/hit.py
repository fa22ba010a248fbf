"""What a search answers with: an item that was found, and why."""

import msgspec

from moduprompt.domain.item import Item


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A matching word of a snippet, in characters: `text[start:end]`."""

    start: int
    end: int


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of one field's text, and where the words of the query stand in it."""

    field: str
    text: str
    matches: tuple[Span, ...] = ()


class SearchHit(Item, frozen=True, kw_only=True):
    """An item of `GET /v1/search`."""

    kind: str
    title: str
    snippet: Snippet
