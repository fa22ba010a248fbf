"""What was used, by what people ask for: each session, task, lineage, adapter or day. A pure sum over rows.

A session's usage is that of its runs. A task's is that of every session that was made for it or assigned to it, and
of those below them. A lineage is a root with all below it. A run counts on the day on which it was asked for, in
UTC. Nobody's word is taken for zero: runs that told nothing are counted beside, and so are reports without a cost.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from moduprompt.domain.run.usage import Usage, together
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.view import TaskItem

UsageBy: TypeAlias = Literal["session", "task", "lineage", "adapter", "day"]
WAYS: Final[dict[str, UsageBy]] = {
    "session": "session",
    "task": "task",
    "lineage": "lineage",
    "adapter": "adapter",
    "day": "day",
}
DATE_CHARS: Final = 10  # of a timestamp
NO_TASK: Final = ""


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `key` is an id, an adapter or a day; `silent` are the runs that told nothing."""

    key: str
    name: str
    runs: int = 0
    silent: int = 0
    turns: int = 0
    tools: int = 0
    usage: Usage = Usage()


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one workspace, of one moment."""

    runs: tuple[RunItem, ...]
    sessions: tuple[SessionItem, ...]
    tasks: tuple[TaskItem, ...] = ()


def usage_by(way: UsageBy, work: Work) -> tuple[UsageRow, ...]:
    """The sums, what came first first."""
    key_of = _keys(way, work)
    names = _names(way, work)
    rows: dict[str, UsageRow] = {}
    for run in sorted(work.runs, key=lambda run: (run.created_at, run.id)):
        key = key_of(run)
        rows[key] = _with(rows.get(key) or UsageRow(key=key, name=names.get(key, key)), run)
    return tuple(rows.values())


def usage_of(runs: Iterable[RunItem], *, key: str = "", name: str = "") -> UsageRow:
    """All of these in one line."""
    row = UsageRow(key=key, name=name)
    for run in runs:
        row = _with(row, run)
    return row


def task_of(session: SessionItem, work: Work) -> str:
    """The task that a session works on: its own, or that of the nearest above it; empty where there is none."""
    assigned = {task.session_id: task.id for task in work.tasks if task.session_id is not None}
    made_for = {each.id: each.task_id for each in work.sessions}
    found = (made_for.get(id_) or assigned.get(id_) for id_ in reversed(session.path))
    return next((task for task in found if task), NO_TASK)


def _keys(way: UsageBy, work: Work) -> Callable[[RunItem], str]:
    sessions = {each.id: each for each in work.sessions}
    match way:
        case "session":
            return lambda run: run.session_id
        case "adapter":
            return lambda run: run.adapter
        case "day":
            return lambda run: run.created_at[:DATE_CHARS]
        case "lineage":
            roots = {each.id: each.root_session_id for each in work.sessions}
            return lambda run: roots.get(run.session_id, run.session_id)
        case "task":
            tasks = {id_: task_of(each, work) for id_, each in sessions.items()}
            return lambda run: tasks.get(run.session_id, NO_TASK)


def _names(way: UsageBy, work: Work) -> Mapping[str, str]:
    match way:
        case "session" | "lineage":
            return {each.id: each.name for each in work.sessions}
        case "task":
            return {NO_TASK: "for no task", **{each.id: each.title for each in work.tasks}}
        case "adapter" | "day":
            return {}


def _with(row: UsageRow, run: RunItem) -> UsageRow:
    return msgspec.structs.replace(
        row,
        runs=row.runs + 1,
        silent=row.silent + (run.usage.reports == 0),
        turns=row.turns + run.turns,
        tools=row.tools + run.tools,
        usage=together(row.usage, run.usage),
    )
