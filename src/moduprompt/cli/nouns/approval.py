"""`mpctl approval`: the yes and the no of people, to gates and to what agents ask."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.live.text import plain, plain_lines
from moduprompt.cli.lookup import find_item, workspace_of
from moduprompt.cli.tables import Column, to_paragraph
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb
from moduprompt.client import RequestRefused
from moduprompt.domain.approval.commands import (
    ApprovalOrder,
    DenyApproval,
    GrantApproval,
    RevokeApproval,
)
from moduprompt.domain.approval.view import WAITING, ApprovalItem
from moduprompt.protocol import ApprovalId, TextRef, WorkspaceId
from moduprompt.views.board_rows import short

COLUMNS: Final[tuple[Column[ApprovalItem], ...]] = (
    ("ID", lambda item: item.id),
    ("FOR", lambda item: _what(item)),
    ("STATUS", lambda item: item.status),
    ("OF", lambda item: _whose(item)),
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
        ("session", item.session_id),
        ("run", item.run_id),
        ("asked by", item.requested_by),
        ("reason", item.reason),
        ("options", ", ".join(f"{plain(each.id)} ({each.kind})" for each in item.options)),
        ("decided by", item.decided_by),
        ("because", item.decision_reason),
        ("option", item.option),
        ("answered", item.answered),
    ]
    shown = to_paragraph(f"approval of {_what(item)}", facts)
    detail = None if call.is_json or item.detail is None else await _detail(call, item, item.detail)
    await call.show_item(item, f"{shown}\n\n{detail}" if detail else shown)


async def _detail(call: Call, item: ApprovalItem, text: TextRef) -> str:
    """What a program wants to do, in full, as it said it."""
    client = await call.client()
    try:
        said = await client.artifact(text.ref, workspace_id=WorkspaceId(item.workspace_id))
    except RequestRefused as refused:
        return f"what it wants to do in full can't be read: {refused.error.message}"
    return plain_lines(said.decode("utf-8", "replace"))


async def _grant(call: Call) -> None:
    item = await _named(call)
    await _decide(
        call,
        item,
        GrantApproval(
            workspace_id=WorkspaceId(item.workspace_id),
            approval_id=ApprovalId(item.id),
            reason=call.words.maybe("reason"),
            option=call.words.maybe("option"),
        ),
    )


async def _deny(call: Call) -> None:
    item = await _named(call)
    await _decide(
        call,
        item,
        DenyApproval(
            workspace_id=WorkspaceId(item.workspace_id),
            approval_id=ApprovalId(item.id),
            reason=call.words.maybe("reason"),
            option=call.words.maybe("option"),
        ),
    )


async def _revoke(call: Call) -> None:
    item = await _named(call)
    await _decide(
        call,
        item,
        RevokeApproval(
            workspace_id=WorkspaceId(item.workspace_id),
            approval_id=ApprovalId(item.id),
            reason=call.words.maybe("reason"),
        ),
    )


async def _decide(call: Call, item: ApprovalItem, order: ApprovalOrder) -> None:
    accepted = await call.submit(order)
    call.answer(accepted, *to_sentences(accepted, item))


def _what(item: ApprovalItem) -> str:
    return item.stage if item.stage is not None else f"{plain(item.tool or 'a tool')}, asked by an agent"


def _whose(item: ApprovalItem) -> str | None:
    if item.task_id is not None:
        return f"task {short(item.task_id)}"
    return f"session {short(item.session_id)}" if item.session_id is not None else None


async def _named(call: Call) -> ApprovalItem:
    return await find_item(call, ApprovalItem, call.words.text("approval"))


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("approval", metavar="APPROVAL", help="id")


def _reasoned(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")


def _answered(parser: argparse.ArgumentParser) -> None:
    _reasoned(parser)
    parser.add_argument(
        "--option",
        metavar="OPTION",
        help="which of the agent's answers, by id or kind; default: the one that holds this once only",
    )


def _listed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--waiting", action="store_true", help="only those that wait for a decision")


VERBS: Final = (
    Verb("list", _list, summary="list the approvals of the workspace", arguments=_listed, shows_past=True),
    Verb("show", _show, summary="show one", arguments=_one, shows_past=True),
    Verb("grant", _grant, summary="say yes", arguments=_answered),
    Verb("deny", _deny, summary="say no: what asked for it is not done", arguments=_answered),
    Verb("revoke", _revoke, summary="take a yes back, for what has not passed yet", arguments=_reasoned),
)
