"""`mpctl session interrupt`: the turn ends, the session stays; and what is known of the last one there was."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.lookup import find_item
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb
from moduprompt.domain.session.commands import InterruptSession
from moduprompt.domain.session.view import InterruptItem, SessionItem
from moduprompt.protocol import SessionId


async def _interrupt(call: Call) -> None:
    item = await find_item(call, SessionItem, call.words.text("session"))
    command = InterruptSession(
        workspace_id=item.workspace_id,
        session_id=SessionId(item.id),
        reason=call.words.maybe("reason"),
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


def interrupt_told(item: InterruptItem | None) -> str | None:
    """How far it came, and on what evidence; None where there was none."""
    if item is None:
        return None
    turn = "" if item.turn is None else f" of turn {item.turn}"
    return f"{item.state}{turn}" + (f": {item.evidence}" if item.evidence else "")


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="id or name")
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")


INTERRUPT: Final = Verb(
    "interrupt",
    _interrupt,
    summary="end the turn that its program is in; the session goes on",
    arguments=_words,
    more="What came of it stands in session show. An agent that can't end a turn alone is refused: stop its run.",
)
