"""`mpctl workspace`."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.lookup import find_item, namesakes_told, workspace_of
from moduprompt.cli.tables import Column, to_paragraph
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb
from moduprompt.client import first_event
from moduprompt.domain.workspace.commands import (
    AdoptWorkspace,
    ArchiveWorkspace,
    CreateWorkspace,
    RenameWorkspace,
)
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.domain.workspace.view import WorkspaceItem
from moduprompt.protocol import SYSTEM_WORKSPACE, WorkspaceId

COLUMNS: Final[tuple[Column[WorkspaceItem], ...]] = (
    ("ID", lambda item: item.id),
    ("NAME", lambda item: item.name),
    ("STATUS", lambda item: item.status),
    ("CREATED", lambda item: item.created_at[:19]),
)


async def _create(call: Call) -> None:
    command = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name=call.words.text("name"))
    accepted = await call.submit(command)
    made = first_event(accepted, WorkspaceCreated)
    shared = await namesakes_told(call, WorkspaceItem, made.name, of=None)
    call.answer(accepted, f"workspace {made.workspace_id} {made.name}", *shared)


async def _list(call: Call) -> None:
    await call.show_list(
        WorkspaceItem,
        COLUMNS,
        of=None,
        empty="no workspace yet: mpctl workspace create NAME",
        keep=lambda item: item.id != SYSTEM_WORKSPACE,
    )


async def _show(call: Call) -> None:
    named = call.words.maybe("name")
    item = await find_item(call, WorkspaceItem, named or await workspace_of(call))
    facts = (("id", item.id), ("status", item.status), ("owner", item.owner_id), ("version", item.version))
    await call.show_item(item, to_paragraph(item.name, [*facts, ("created", item.created_at)]))


async def _rename(call: Call) -> None:
    item = await find_item(call, WorkspaceItem, call.words.text("name"))
    accepted = await call.submit(
        RenameWorkspace(workspace_id=WorkspaceId(item.id), name=call.words.text("new_name"))
    )
    call.answer(accepted, *to_sentences(accepted, item))


async def _archive(call: Call) -> None:
    item = await find_item(call, WorkspaceItem, call.words.text("name"))
    accepted = await call.submit(ArchiveWorkspace(workspace_id=WorkspaceId(item.id)))
    call.answer(accepted, *to_sentences(accepted, item))


async def _adopt(call: Call) -> None:
    item = await find_item(call, WorkspaceItem, call.words.text("name"))
    accepted = await call.submit(AdoptWorkspace(workspace_id=WorkspaceId(item.id)))
    call.answer(accepted, *to_sentences(accepted, item))


def _named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="WORKSPACE", help="id or name")


def _maybe_named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="WORKSPACE", nargs="?", help="id or name; default: the current one")


def _new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def _renamed(parser: argparse.ArgumentParser) -> None:
    _named(parser)
    parser.add_argument("new_name", metavar="NAME")


VERBS: Final = (
    Verb("create", _create, summary="make a workspace", arguments=_new),
    Verb("list", _list, summary="list the workspaces", shows_past=True),
    Verb("show", _show, summary="show one", arguments=_maybe_named, shows_past=True),
    Verb("rename", _rename, summary="give it another name", arguments=_renamed),
    Verb("archive", _archive, summary="take no further work; everything stays readable", arguments=_named),
    Verb(
        "adopt", _adopt, summary="take over one that was imported; until then it is frozen", arguments=_named
    ),
)
