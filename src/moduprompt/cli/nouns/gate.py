"""`mpctl gate`."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.lookup import find_item, workspace_of
from moduprompt.cli.tables import Column, to_paragraph
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb
from moduprompt.domain.gate.commands import RequestApproval
from moduprompt.domain.gate.view import GateItem
from moduprompt.protocol import GateId
from moduprompt.views.board_rows import short

COLUMNS: Final[tuple[Column[GateItem], ...]] = (
    ("ID", lambda item: item.id),
    ("STAGE", lambda item: item.stage),
    ("KIND", lambda item: item.gate_kind),
    ("STATUS", lambda item: item.status),
    ("NEEDS", lambda item: item.approvals_needed),
    ("TASK", lambda item: short(item.task_id)),
)


async def _list(call: Call) -> None:
    of = await workspace_of(call)
    await call.show_list(GateItem, COLUMNS, of=of, empty="no gate has held anything yet")


async def _show(call: Call) -> None:
    item = await _named(call)
    facts = [
        ("id", item.id),
        ("status", item.status),
        ("kind", item.gate_kind),
        ("approvals needed", str(item.approvals_needed)),
        ("task", item.task_id),
        ("evidence", item.evidence),
    ]
    await call.show_item(item, to_paragraph(f"gate to {item.stage}", facts))


async def _request(call: Call) -> None:
    item = await _named(call)
    command = RequestApproval(
        workspace_id=item.workspace_id, gate_id=GateId(item.id), reason=call.words.maybe("reason")
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


async def _named(call: Call) -> GateItem:
    return await find_item(call, GateItem, call.words.text("gate"))


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gate", metavar="GATE", help="id")


def _reasoned(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why it should be opened")


VERBS: Final = (
    Verb("list", _list, summary="list the gates of the workspace", shows_past=True),
    Verb("show", _show, summary="show one", arguments=_one, shows_past=True),
    Verb("request", _request, summary="ask the people who can to open it", arguments=_reasoned),
)
