"""From what a person typed to the one item that is meant.

A whole id; a name that only one item has, where what is archived leaves its name to others; or
the beginning or the end of an id, of four characters or more, that only one item has. A run has no name
of its own: where one is wanted, its session means the newest. Anything else is refused, with the candidates.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed
from moduprompt.cli.live.text import plain
from moduprompt.client import collection_of
from moduprompt.domain.item import Item
from moduprompt.domain.project.view import ProjectItem
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.view import TaskItem
from moduprompt.domain.workspace.view import WorkspaceItem
from moduprompt.domain.worktree.view import WorktreeItem
from moduprompt.protocol import SYSTEM_WORKSPACE, Code, WorkspaceId, is_id, missing

ItemT = TypeVar("ItemT", bound=Item)  # the item's type

PART_MIN: Final = 4  # characters of an id; fewer are met by chance
SHOWN_MAX: Final = 8  # candidates in a message


async def find_item(call: Call, kind: type[ItemT], text: str) -> ItemT:
    """The item that is meant. Raises CallFailed (`not_found`, `validation_failed`) or RequestRefused."""
    if is_id(text):
        return await call.get(kind, text)
    of = None if kind is WorkspaceItem else await workspace_of(call)
    items = [item for item in await call.list(kind, of=of) if item.id != SYSTEM_WORKSPACE]
    meant = _meant(items, text)
    if not meant and kind is RunItem:
        meant = await _newest_of_session(call, items, text)
    if len(meant) == 1:
        return meant[0]
    raise _refused(kind, text, meant)


def _meant(items: Sequence[ItemT], text: str) -> list[ItemT]:
    named = [item for item in items if name_of(item) == text]
    meant = [item for item in named if not _is_archived(item)] or named
    if not meant and len(text) >= PART_MIN:
        part = text.lower()
        meant = [item for item in items if item.id.startswith(part) or item.id.endswith(part)]
    return meant


async def _newest_of_session(call: Call, runs: Sequence[ItemT], text: str) -> list[ItemT]:
    sessions = _meant(await call.list(SessionItem, of=await workspace_of(call)), text)
    if len(sessions) > 1:
        raise _refused(SessionItem, text, sessions)
    ids = {session.id for session in sessions}
    own = [run for run in runs if isinstance(run, RunItem) and run.session_id in ids]
    return [max(own, key=lambda run: run.ordinal)] if own else []


async def workspace_of(call: Call) -> WorkspaceId:
    """The workspace a call is about: the flag, MP_WORKSPACE, or the only one there is."""
    named = call.words.maybe("workspace") or call.environ.get("MP_WORKSPACE")
    if named is not None and is_id(named):
        return WorkspaceId(named)
    if named is not None:
        return WorkspaceId((await find_item(call, WorkspaceItem, named)).id)
    active = [each for each in await call.workspaces() if each.status == "active"]
    if len(active) == 1:
        return WorkspaceId(active[0].id)
    if not active:
        raise failed(
            Code.NOT_FOUND, "there is no workspace yet", hint="make one: mpctl workspace create NAME"
        )
    raise failed(
        Code.VALIDATION_FAILED,
        f"there are {len(active)} workspaces; say which one",
        hint="-w NAME, or MP_WORKSPACE: " + ", ".join(each.name for each in active[:SHOWN_MAX]),
        details={"reason": "ambiguous", "candidates": [each.id for each in active]},
    )


async def find_own(call: Call, kind: type[ItemT], text: str | None, *, variable: str) -> ItemT:
    """As `find_item`; inside a run, what is left out is the run's own."""
    own = text or call.environ.get(variable)
    if own is None:
        noun = noun_of(kind)
        raise failed(
            Code.VALIDATION_FAILED,
            f"say which {noun}",
            hint=f"mpctl {noun} list shows them",
            details={"reason": "usage"},
        )
    return await find_item(call, kind, own)


async def namesakes_told(
    call: Call, kind: type[ItemT], name: str, *, of: WorkspaceId | None
) -> tuple[str, ...]:
    """What is to be said where a name that was just given is another's too: from now on it means neither."""
    if call.is_json:
        return ()
    same = [each for each in await call.list(kind, of=of) if name_of(each) == name and not _is_archived(each)]
    if len(same) < 2:
        return ()
    noun = noun_of(kind)
    return (
        f"{len(same)} {collection_of(kind)} are called {plain(name)} now: mean each by its id, or mpctl {noun} rename",
    )


def name_of(item: Item) -> str | None:
    """What people call it; None for what has no name."""
    match item:
        case WorkspaceItem() | ProjectItem() | SessionItem():
            return item.name
        case TaskItem():
            return item.title
        case WorktreeItem():
            return item.branch
        case _:
            return None


def _is_archived(item: Item) -> bool:
    return isinstance(item, WorkspaceItem | ProjectItem) and item.status == "archived"


def noun_of(kind: type[Item]) -> str:
    """`run` of RunItem."""
    return collection_of(kind).removesuffix("s")


def _refused(kind: type[Item], text: str, meant: list[ItemT]) -> Exception:
    noun = noun_of(kind)
    if not meant:
        refused = missing(noun, text[:200])
        return failed(refused.code, refused.message, hint=refused.hint, details=refused.details)
    named = ", ".join(f"{item.id} ({name_of(item) or item.created_at})" for item in meant[:SHOWN_MAX])
    return failed(
        Code.VALIDATION_FAILED,
        f"{text!r} could be any of {len(meant)} {collection_of(kind)}: {named}",
        hint="type more of the id; the end differs most",
        details={"reason": "ambiguous", "candidates": [item.id for item in meant]},
    )
