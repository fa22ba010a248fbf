"""`mpctl session set-patience`, and how it is told what a session waits for and how an alternative began."""

import argparse
from collections.abc import Sequence
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.lookup import find_item
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import Patience, SetPatience
from moduprompt.domain.session.view import SessionItem
from moduprompt.protocol import SessionId
from moduprompt.views.board_rows import short

PATIENCE: Final[dict[str, Patience]] = {"bounded": "bounded", "endless": "endless"}


def parked_told(item: SessionItem) -> str | None:
    """Until when it is parked, and why; None where it is not."""
    if item.parked is None:
        return None
    why = item.parked.failure.value.replace("_", " ")
    return f"until {item.parked.due_at} ({why}); at once with mpctl run start {short(item.id)}"


def begun_told(item: SessionItem, runs: Sequence[RunItem]) -> str | None:
    """How an alternative's conversation began: whose it carries on, or why none; None for what is no fork."""
    if item.fork_of is None:
        return None
    if not runs or (runs[0].resumes is not None and runs[0].begun is None):
        return "not begun"
    first = runs[0]
    if first.resumes is None:
        return f"fresh: session {short(item.fork_of)} had said nothing by then"
    if first.begun == "fresh":
        return f"fresh: {first.begun_why}"
    return f"carried on from run {short(first.resumes)} of session {short(item.fork_of)}, {first.begun_why}"


async def _set_patience(call: Call) -> None:
    item = await find_item(call, SessionItem, call.words.text("session"))
    command = SetPatience(
        workspace_id=item.workspace_id,
        session_id=SessionId(item.id),
        patience=PATIENCE[call.words.text("patience")],
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="id or name")
    parser.add_argument("patience", choices=tuple(PATIENCE), help="bounded stops it; endless lets it go on")


SET_PATIENCE: Final = Verb(
    "set-patience",
    _set_patience,
    summary="say whether its runs are stopped when they get nowhere",
    arguments=_arguments,
)
