"""`mpctl search`: what in a workspace holds the words."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.lookup import workspace_of
from moduprompt.cli.progress import waiting_for
from moduprompt.cli.tables import Column, to_table
from moduprompt.cli.verbs import Verb
from moduprompt.domain.hit import SearchHit
from moduprompt.protocol import encode
from moduprompt.views.search import KINDS

LIMIT: Final = 50  # lines on one screen or two; more words find less
COLUMNS: Final[tuple[Column[SearchHit], ...]] = (
    ("KIND", lambda hit: hit.kind),
    ("ID", lambda hit: hit.id),
    ("TITLE", lambda hit: hit.title),
    ("FOUND", lambda hit: to_marked(hit)),
)


async def _search(call: Call) -> None:
    of = await workspace_of(call)
    moment = await call.moment(of)
    client = await call.client()
    async with waiting_for("searching"):
        page = await client.search(
            " ".join(call.words.texts("word")),
            workspace_id=of,
            kind=call.words.maybe("kind"),
            limit=LIMIT,
            as_of=None if moment is None else moment.seq,
        )
    more = "\nand more: say more words, or --kind" if page.next is not None else ""
    text = to_table(page.items, COLUMNS) + more if page.items else "nothing holds these words"
    call.show(encode(page), text)


def to_marked(hit: SearchHit) -> str:
    """The snippet with what matches in brackets."""
    text = hit.snippet.text
    for span in reversed(hit.snippet.matches):
        text = f"{text[: span.start]}[{text[span.start : span.end]}]{text[span.end :]}"
    return f"{hit.snippet.field}: {text}"


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "word", metavar="WORD", nargs="+", help="words or their beginnings, or a piece of an id"
    )
    parser.add_argument("--kind", metavar="KIND", choices=KINDS, help=f"only these: {', '.join(KINDS)}")


VERB: Final = Verb(
    "search", _search, summary="find what holds all these words", arguments=_words, shows_past=True
)
