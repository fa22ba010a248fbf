"""`mpctl board`: the picture of a workspace."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.lookup import workspace_of
from moduprompt.cli.pictures import show_board, watch_board
from moduprompt.cli.verbs import Verb


async def _board(call: Call) -> None:
    of = await workspace_of(call)
    await (watch_board(call, of) if call.words.is_set("watch") else show_board(call, of))


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="keep it up to date; in a pipe, a line a change")


VERB: Final = Verb(
    "board", _board, summary="draw sessions, tasks and what waits", arguments=_words, shows_past=True
)
