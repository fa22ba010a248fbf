"""The search view: one document for each thing that has a name or a text of its own.

A document holds the last text of each field that the events of its subject brought: names, titles, branches,
reasons, evidence, paths of repositories. What stands in artifacts is not in it: it can be erased, and a copy
here would outlive that.
"""

from functools import cache
from typing import Final
from unicodedata import normalize

import msgspec

from moduprompt.domain.approval.events import ApprovalEvent
from moduprompt.domain.decider import Event
from moduprompt.domain.gate.events import GateBlocked, GateSatisfied
from moduprompt.domain.hit import SearchHit
from moduprompt.domain.item import Item, Rows, Searched, Stamp, View, revised
from moduprompt.domain.project.events import ProjectEvent, RepositoryAttached, RepositoryDetached
from moduprompt.domain.run.events import RunEvent
from moduprompt.domain.session.events import SessionEvent
from moduprompt.domain.task.events import TaskEvent
from moduprompt.domain.workspace.events import WorkspaceEvent
from moduprompt.domain.worktree.events import WorktreeEvent
from moduprompt.views.search_words import Query, strength, to_index, to_place, to_snippet

TITLES: Final = ("name", "title", "branch")  # what people call a thing; the first one is its title
OTHERS: Final = ("stage", "reason", "evidence", "base", "into", "path")
KINDS: Final = ("workspace", "project", "session", "run", "worktree", "task", "gate", "approval")


class SearchDocument(Item, frozen=True, kw_only=True):
    """What can be found of one subject. `in_titles` and `in_others` are the words of `texts`, to look into."""

    kind: str
    texts: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    in_titles: str = ""
    in_others: str = ""


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the document of its subject."""
    subject = event.subject()
    if subject.kind not in KINDS:
        return  # a user has no place in a workspace, and an artifact's text can be erased
    row = rows.get(SearchDocument, subject.id) or SearchDocument(
        id=subject.id,
        workspace_id=stamp.workspace_id,
        version=stamp.version,
        created_at=stamp.timestamp,
        updated_at=stamp.timestamp,
        kind=subject.kind,
    )
    texts = _told(row.texts, event)
    if texts == row.texts:
        rows.put(revised(row, stamp))
        return
    rows.put(
        revised(
            row,
            stamp,
            texts=texts,
            in_titles=to_index([text for field, text in texts.items() if field in TITLES]),
            in_others=to_index([text for field, text in texts.items() if field not in TITLES]),
        )
    )


def searched(row: Item) -> Searched:
    """Its words."""
    assert isinstance(row, SearchDocument), "BUG: the view has no other rows"
    return Searched(titles=row.in_titles, others=row.in_others)


def place_of(row: SearchDocument, query: Query) -> str | None:
    """Where it stands among the hits; None where it is none."""
    found = strength(query, id_=row.id, title=row.in_titles, other=row.in_others)
    return None if found is None else to_place(found, created_at=row.created_at, id_=row.id)


def to_hit(row: SearchDocument, query: Query) -> SearchHit:
    """As it is served."""
    return SearchHit(
        id=row.id,
        workspace_id=row.workspace_id,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        kind=row.kind,
        title=next((row.texts[field] for field in (*TITLES, *OTHERS) if field in row.texts), ""),
        snippet=to_snippet(query, row.texts),
    )


def _told(texts: dict[str, str], event: Event) -> dict[str, str]:
    """The texts after an event: the last one of each field counts. Fields keep the order of the tables."""
    match event:
        case RepositoryAttached():
            new = {f"repository {event.repository_id}": f"{event.path} {event.branch}"}
        case RepositoryDetached():
            gone = f"repository {event.repository_id}"
            return {field: text for field, text in texts.items() if field != gone}
        case _:
            own = {field: getattr(event, field) for field in _fields(type(event))}
            new = {field: text for field, text in own.items() if isinstance(text, str) and text}
    if not new:
        return texts
    told = {**texts, **{field: normalize("NFC", text) for field, text in new.items()}}
    return told if len(told) == len(texts) else {field: told[field] for field in sorted(told, key=_order)}


@cache
def _fields(kind: type[Event]) -> tuple[str, ...]:
    """Those of the tables that this type of event has."""
    return tuple(field for field in (*TITLES, *OTHERS) if field in kind.__struct_fields__)


def _order(field: str) -> tuple[int, str]:
    known = (*TITLES, *OTHERS)
    return (known.index(field) if field in known else len(known), field)


VIEW: Final = View(
    name="search",
    version=1,
    collections=(("search_documents", SearchDocument),),
    fold=fold,
    searched=searched,
    takes=(
        WorkspaceEvent,
        ProjectEvent,
        SessionEvent,
        RunEvent,
        WorktreeEvent,
        TaskEvent,
        GateBlocked,
        GateSatisfied,
        ApprovalEvent,
    ),
)
