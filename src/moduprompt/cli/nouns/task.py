"""`mpctl task`."""

import argparse
import re
import sys
import time
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.cli.call import Call
from moduprompt.cli.faults import misused
from moduprompt.cli.lookup import find_item, workspace_of
from moduprompt.cli.sums import row_told, work_of
from moduprompt.cli.tables import Column, to_paragraph
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb, from_one, whole
from moduprompt.client import first_event
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.project.view import ProjectItem
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.commands import (
    AdvanceStage,
    AssignTask,
    CancelTask,
    CompleteTask,
    CreateTask,
    FailTask,
    PauseTask,
    ResumeTask,
    RetryTask,
    SetDeadline,
    StartTask,
    TaskCommand,
    TaskOrder,
)
from moduprompt.domain.task.events import TaskCreated
from moduprompt.domain.task.retries import ATTEMPTS_MAX, RetryRule
from moduprompt.domain.task.stages import DEFAULT_PIPELINE, StageSpec
from moduprompt.domain.task.view import TaskItem
from moduprompt.protocol import SECOND, Micros, ProjectId, SessionId, TaskId, to_timestamp
from moduprompt.views.board_rows import short
from moduprompt.views.usage import task_of, usage_of

STAGES_BYTES_MAX: Final = 256 * 1024  # 32 stages have a few kilobytes
UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
SPAN: Final = re.compile(r"^\+?([0-9]{1,7})([smhd])$")
COLUMNS: Final[tuple[Column[TaskItem], ...]] = (
    ("ID", lambda item: item.id),
    ("TITLE", lambda item: item.title),
    ("STATUS", lambda item: item.status),
    ("STAGE", lambda item: item.stage),
    ("SESSION", lambda item: short(item.session_id) if item.session_id else None),
)


class _StagesFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    stages: tuple[StageSpec, ...]


async def _create(call: Call) -> None:
    words = call.words
    project = await find_item(call, ProjectItem, words.text("project"))
    stages = words.maybe("stages")
    command = CreateTask(
        workspace_id=project.workspace_id,
        project_id=ProjectId(project.id),
        title=words.text("title"),
        description=words.maybe("description"),
        stages=read_stages(Path(stages)) if stages else DEFAULT_PIPELINE,
        priority=words.number("priority"),
        retry=RetryRule(max_attempts=words.number("attempts")),
        carry_on=words.is_set("carry_on"),
    )
    accepted = await call.submit(command)
    made = first_event(accepted, TaskCreated)
    call.answer(
        accepted, f"task {made.task_id} {made.title}", "stages: " + " → ".join(s.name for s in made.stages)
    )


async def _list(call: Call) -> None:
    of = await workspace_of(call)
    await call.show_list(
        TaskItem, COLUMNS, of=of, empty="no task yet: mpctl task create TITLE --project PROJECT"
    )


async def _show(call: Call) -> None:
    item = await _meant(call)
    facts = [
        ("id", item.id),
        ("status", item.status),
        ("stages", " → ".join(f"[{s.name}]" if s.name == item.stage else s.name for s in item.stages)),
        ("proposed", item.proposed),
        ("waits for gate", ", ".join(item.waits_for)),
        ("attempt", str(item.attempt)),
        ("session", item.session_id),
        ("due", item.due_at),
        ("next attempt", item.retry_at),
        ("parked until", item.parked_until),
        ("failure", item.failure),
        ("used", await _used(call, item)),
    ]
    await call.show_item(item, to_paragraph(item.title, facts))


async def _used(call: Call, item: TaskItem) -> str | None:
    if call.is_json:
        return None
    work = await work_of(call, item.workspace_id)
    of_task = {each.id for each in work.sessions if task_of(each, work) == item.id}
    return row_told(usage_of(run for run in work.runs if run.session_id in of_task))


async def _start(call: Call) -> None:
    await _ordered(call, StartTask)


async def _complete(call: Call) -> None:
    await _ordered(call, CompleteTask)


async def _retry(call: Call) -> None:
    await _ordered(call, RetryTask)


async def _pause(call: Call) -> None:
    await _ordered(call, PauseTask)


async def _resume(call: Call) -> None:
    await _ordered(call, ResumeTask)


async def _advance(call: Call) -> None:
    item = await _meant(call)
    to = call.words.maybe("to")
    await _sent(call, item, AdvanceStage(workspace_id=item.workspace_id, task_id=TaskId(item.id), to=to))


async def _assign(call: Call) -> None:
    item = await _meant(call)
    session = await find_item(call, SessionItem, call.words.text("session"))
    await _sent(
        call,
        item,
        AssignTask(workspace_id=item.workspace_id, task_id=TaskId(item.id), session_id=SessionId(session.id)),
    )


async def _fail(call: Call) -> None:
    item = await _meant(call)
    failure = FailureClass(call.words.text("failure"))
    reason = call.words.maybe("reason") or ""
    await _sent(
        call,
        item,
        FailTask(workspace_id=item.workspace_id, task_id=TaskId(item.id), failure=failure, reason=reason),
    )


async def _cancel(call: Call) -> None:
    item = await _meant(call)
    reason = call.words.maybe("reason")
    await _sent(
        call, item, CancelTask(workspace_id=item.workspace_id, task_id=TaskId(item.id), reason=reason)
    )


async def _deadline(call: Call) -> None:
    item = await _meant(call)
    due_at = to_due(call.words.text("when"), now=Micros(time.time_ns() // 1_000))
    await _sent(
        call, item, SetDeadline(workspace_id=item.workspace_id, task_id=TaskId(item.id), due_at=due_at)
    )


async def _ordered(call: Call, order: type[TaskOrder]) -> None:
    item = await _meant(call)
    accepted = await call.submit(order(workspace_id=item.workspace_id, task_id=TaskId(item.id)))
    call.answer(accepted, *to_sentences(accepted, item))


async def _sent(call: Call, item: TaskItem, command: TaskCommand) -> None:
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


async def _meant(call: Call) -> TaskItem:
    """The one that is named, or inside a run its session's."""
    named = call.words.maybe("task")
    mine = call.environ.get("MP_SESSION")
    if named is None and mine is not None:
        named = (await find_item(call, SessionItem, mine)).task_id
    if named is None:
        raise misused("say which task", hint="mpctl task list shows them")
    return await find_item(call, TaskItem, named)


def read_stages(path: Path) -> tuple[StageSpec, ...]:
    """The stages of a TOML or JSON file, `stages` at its top. Raises CallFailed."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(STAGES_BYTES_MAX + 1)
        else:
            with path.open("rb") as file:
                data = file.read(STAGES_BYTES_MAX + 1)
    except OSError as fault:
        raise misused(f"{path}: {fault.strerror}", hint="--stages names a TOML or JSON file") from fault
    if len(data) > STAGES_BYTES_MAX:
        raise misused(f"{path} has more than {STAGES_BYTES_MAX} bytes", hint="at most 32 stages are taken")
    try:
        if path.suffix == ".toml":
            return msgspec.convert(tomllib.loads(data.decode()), type=_StagesFile).stages
        return msgspec.json.decode(data, type=_StagesFile).stages
    except (ValueError, RecursionError) as fault:  # of the decoders, of UTF-8, of a number without end
        hint = '{"stages": [{"name": "plan", "kind": "plan"}, …]}; in TOML one [[stages]] each'
        raise misused(f"{path}: {fault}", hint=hint) from fault


def to_due(typed: str, *, now: Micros) -> str | None:
    """`none`, a span from now (`90m`), or a point in time (ISO 8601; without a zone: UTC)."""
    if typed == "none":
        return None
    span = SPAN.match(typed)
    try:
        if span:
            return to_timestamp(Micros(now + int(span[1]) * UNITS_S[span[2]] * SECOND))
        at = datetime.fromisoformat(typed)
        zoned = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError) as fault:
        raise misused(f"{typed!r} is no time", hint="90m, 2h, 3d, 2026-11-30T18:00Z, or none") from fault


def _new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("title", metavar="TITLE")
    parser.add_argument("-p", "--project", metavar="PROJECT", required=True, help="id or name")
    parser.add_argument("--description", metavar="TEXT", help="what is to be done")
    parser.add_argument("--stages", metavar="FILE", help="its stages and gates, as TOML or JSON")
    parser.add_argument(
        "--priority", metavar="N", type=whole, choices=range(10), default=5, help="0 to 9, default 5"
    )
    parser.add_argument(
        "--attempts", metavar="N", type=from_one, default=1, help=f"so many at most, up to {ATTEMPTS_MAX}"
    )
    parser.add_argument(
        "--carry-on", action="store_true", help="another attempt carries the conversation of the last on"
    )


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", nargs="?", help="id or title; inside a run: its session's")


def _advanced(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--to", metavar="STAGE", help="which stage; default: the next")


def _assigned(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="id or title")
    parser.add_argument("session", metavar="SESSION", help="id or name")


def _failed(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    classes = [each.value for each in FailureClass]
    parser.add_argument(
        "--failure", metavar="CLASS", choices=classes, default="invalid_output", help="what kind"
    )
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")


def _reasoned(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")


def _dated(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="id or title")
    parser.add_argument("when", metavar="WHEN", help="90m, 2h, 3d, a point in time, or none")


VERBS: Final = (
    Verb("create", _create, summary="make a task; its stages and gates are fixed with it", arguments=_new),
    Verb("list", _list, summary="list the tasks of the workspace", shows_past=True),
    Verb("show", _show, summary="show one", arguments=_one, shows_past=True),
    Verb("start", _start, summary="begin the first attempt, in the first stage", arguments=_one),
    Verb("advance", _advance, summary="propose the next stage; gates may hold it", arguments=_advanced),
    Verb("assign", _assign, summary="say whose branch is its result", arguments=_assigned),
    Verb("complete", _complete, summary="say that it is done; only from its last stage", arguments=_one),
    Verb("fail", _fail, summary="say that this attempt has failed", arguments=_failed),
    Verb("cancel", _cancel, summary="give it up", arguments=_reasoned),
    Verb("retry", _retry, summary="open a failed one again", arguments=_one),
    Verb("pause", _pause, summary="hold it where it is", arguments=_one),
    Verb("resume", _resume, summary="go on", arguments=_one),
    Verb("deadline", _deadline, summary="say until when it must be done", arguments=_dated),
)
