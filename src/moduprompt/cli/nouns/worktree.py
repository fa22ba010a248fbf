"""`mpctl worktree`. What git has to do is waited for, unless --no-wait says otherwise."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.faults import misused
from moduprompt.cli.lookup import find_item, workspace_of
from moduprompt.cli.tables import Column, to_paragraph
from moduprompt.cli.telling import await_outcome, to_sentences
from moduprompt.cli.verbs import Verb
from moduprompt.client import first_event
from moduprompt.domain.decider import Command, Event
from moduprompt.domain.project.view import ProjectItem
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.worktree.commands import (
    CommitWorktree,
    CreateWorktree,
    DeleteWorktree,
    MergeWorktree,
)
from moduprompt.domain.worktree.events import (
    WorktreeCommitted,
    WorktreeCreated,
    WorktreeDeleted,
    WorktreeMerged,
    WorktreeRequested,
)
from moduprompt.domain.worktree.view import WorktreeItem
from moduprompt.protocol import ProjectId, Subject, WorktreeId
from moduprompt.views.board_rows import short

SHARED: Final = "shared: each run begins where it stands, and moves it on at its end"
COLUMNS: Final[tuple[Column[WorktreeItem], ...]] = (
    ("ID", lambda item: item.id),
    ("BRANCH", lambda item: item.branch),
    ("STATUS", lambda item: item.status),
    ("COMMITS", lambda item: len(item.commits)),
    ("WRITER", lambda item: short(item.writer) if item.writer else None),
    ("MERGED", lambda item: item.merged_as[:12] if item.merged_as else None),
)


async def _create(call: Call) -> None:
    project = await find_item(call, ProjectItem, call.words.text("project"))
    accepted = await call.submit(
        CreateWorktree(
            workspace_id=project.workspace_id,
            project_id=ProjectId(project.id),
            branch=call.words.text("branch"),
            base=call.words.maybe("base"),
        )
    )
    made = first_event(accepted, WorktreeRequested)
    subject = Subject(kind="worktree", id=made.worktree_id)
    told = [f"worktree {made.worktree_id} on branch {made.branch}"]
    if not call.words.is_set("no_wait"):
        told.append(await await_outcome(call, accepted, subject=subject, ends=(WorktreeCreated,)) or "")
    call.answer(accepted, *told)


async def _list(call: Call) -> None:
    of = await workspace_of(call)
    await call.show_list(WorktreeItem, COLUMNS, of=of, empty="no worktree yet: sessions bring their own")


async def _show(call: Call) -> None:
    item = await _meant(call)
    facts = [
        ("id", item.id),
        ("status", item.status),
        ("path", item.path),
        ("repository", item.repository),
        ("branch", SHARED if item.is_shared else None),
        ("base", item.base),
        ("head", item.head),
        ("writer", item.writer),
        ("session", item.session_id),
        ("commits", ", ".join(each[:12] for each in item.commits)),
        ("merged as", item.merged_as),
        ("saved as", item.salvage_ref),
        ("failure", item.failure),
    ]
    await call.show_item(item, to_paragraph(item.branch, facts))


async def _commit(call: Call) -> None:
    item = await _meant(call)
    message = call.words.text("message")
    order = CommitWorktree(workspace_id=item.workspace_id, worktree_id=WorktreeId(item.id), message=message)
    await _carried_out(call, item, order, ends=WorktreeCommitted)


async def _merge(call: Call) -> None:
    item = await _meant(call)
    order = MergeWorktree(workspace_id=item.workspace_id, worktree_id=WorktreeId(item.id))
    await _carried_out(call, item, order, ends=WorktreeMerged)


async def _delete(call: Call) -> None:
    item = await _meant(call)
    order = DeleteWorktree(workspace_id=item.workspace_id, worktree_id=WorktreeId(item.id))
    await _carried_out(call, item, order, ends=WorktreeDeleted)


async def _carried_out(call: Call, item: WorktreeItem, order: Command, *, ends: type[Event]) -> None:
    accepted = await call.submit(order)
    outcome = None
    if not call.words.is_set("no_wait"):
        subject = Subject(kind="worktree", id=item.id)
        outcome = await await_outcome(call, accepted, subject=subject, ends=(ends,), about=item)
    call.answer(accepted, *([outcome] if outcome else to_sentences(accepted, item)))


async def _meant(call: Call) -> WorktreeItem:
    """The one that is named, or inside a run its session's."""
    named = call.words.maybe("worktree")
    mine = call.environ.get("MP_SESSION")
    if named is None and mine is not None:
        named = (await find_item(call, SessionItem, mine)).worktree_id
    if named is None:
        raise misused("say which worktree", hint="mpctl worktree list shows them")
    return await find_item(call, WorktreeItem, named)


def _new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-p", "--project", metavar="PROJECT", required=True, help="id or name")
    parser.add_argument("--branch", metavar="BRANCH", required=True, help="a new branch")
    parser.add_argument("--base", metavar="BRANCH", help="where it begins; default: the project's branch")
    _patient(parser)


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "worktree", metavar="WORKTREE", nargs="?", help="id or branch; inside a run: its session's"
    )


def _ordered(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    _patient(parser)


def _committed(parser: argparse.ArgumentParser) -> None:
    _ordered(parser)
    parser.add_argument("-m", "--message", metavar="TEXT", required=True, help="what the commit says")


def _patient(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="don't wait until git has done it")


VERBS: Final = (
    Verb("create", _create, summary="make one that no session works in yet", arguments=_new),
    Verb("list", _list, summary="list the worktrees of the workspace", shows_past=True),
    Verb(
        "show",
        _show,
        summary="show one: where it lies, who writes, what was committed",
        arguments=_one,
        shows_past=True,
    ),
    Verb("commit", _commit, summary="commit what lies there", arguments=_committed),
    Verb("merge", _merge, summary="merge its branch into the project's", arguments=_ordered),
    Verb(
        "delete",
        _delete,
        summary="remove it from disk; what is not merged is saved first",
        arguments=_ordered,
    ),
)
