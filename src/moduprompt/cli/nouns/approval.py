"""`mpctl approval`: the yes and the no of people."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.lookup import find_item, workspace_of
from moduprompt.cli.tables import Column, to_paragraph
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb
from moduprompt.domain.approval.commands import (
    ApprovalOrder,
    DenyApproval,
    GrantApproval,
    RevokeApproval,
)
from moduprompt.domain.approval.view import ApprovalItem
from moduprompt.protocol import ApprovalId
from moduprompt.views.board_rows import short

WAITING: Final = "requested"
COLUMNS: Final[tuple[Column[ApprovalItem], ...]] = (
    ("ID", lambda item: item.id),
    ("STAGE", lambda item: item.stage),
    ("STATUS", lambda item: item.status),
    ("TASK", lambda item: short(item.task_id)),
    ("SINCE", lambda item: item.created_at[:19]),
    ("REASON", lambda item: item.reason),
)


async def _list(call: Call) -> None:
    only_waiting = call.words.is_set("waiting")
    await call.show_list(
        ApprovalItem,
        COLUMNS,
        of=await workspace_of(call),
        empty="nothing waits for a decision" if only_waiting else "no approval was asked for yet",
        keep=lambda item: not only_waiting or item.status == WAITING,
    )


async def _show(call: Call) -> None:
    item = await _named(call)
    facts = [
        ("id", item.id),
        ("status", item.status),
        ("task", item.task_id),
        ("gate", item.gate_id),
        ("asked by", item.requested_by),
        ("reason", item.reason),
        ("decided by", item.decided_by),
        ("because", item.decision_reason),
    ]
    await call.show_item(item, to_paragraph(f"approval of {item.stage}", facts))


async def _grant(call: Call) -> None:
    await _decided(call, GrantApproval)


async def _deny(call: Call) -> None:
    await _decided(call, DenyApproval)


async def _revoke(call: Call) -> None:
    await _decided(call, RevokeApproval)


async def _decided(call: Call, order: type[ApprovalOrder]) -> None:
    item = await _named(call)
    command = order(
        workspace_id=item.workspace_id, approval_id=ApprovalId(item.id), reason=call.words.maybe("reason")
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


async def _named(call: Call) -> ApprovalItem:
    return await find_item(call, ApprovalItem, call.words.text("approval"))


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("approval", metavar="APPROVAL", help="id")


def _reasoned(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")


def _listed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--waiting", action="store_true", help="only those that wait for a decision")


VERBS: Final = (
    Verb("list", _list, summary="list the approvals of the workspace", arguments=_listed, shows_past=True),
    Verb("show", _show, summary="show one", arguments=_one, shows_past=True),
    Verb("grant", _grant, summary="say yes", arguments=_reasoned),
    Verb("deny", _deny, summary="say no: what asked for it is not done", arguments=_reasoned),
    Verb("revoke", _revoke, summary="take a yes back, for what has not passed yet", arguments=_reasoned),
)
