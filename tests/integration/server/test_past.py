"""`as_of=`: every read answers as it did when the log ended there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.project.commands import RenameProject
from moduprompt.domain.session.commands import CloseSession, PromptSession
from moduprompt.domain.task.commands import AdvanceStage, CreateTask, StartTask
from moduprompt.domain.task.events import TaskCreated
from moduprompt.domain.workspace.commands import ArchiveWorkspace, RenameWorkspace
from moduprompt.kernel import past as past_module
from moduprompt.protocol import SECOND, WorkspaceId, to_timestamp
from moduprompt.storage.port import StoredEvent
from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.served import Reply, Served, serve_in

COLLECTIONS = [name for view in VIEWS for name, _ in view.collections if name != "workspaces"]


class Row(msgspec.Struct, frozen=True):
    id: str
    name: str = ""


class Rows(msgspec.Struct, frozen=True):
    items: list[Row]
    seq_global: int
    next: str | None = None


class Stamped(msgspec.Struct, frozen=True):
    timestamp: str
    seq_global: int


class Stamps(msgspec.Struct, frozen=True):
    items: list[Stamped]


Answers = dict[str, tuple[int, bytes]]


async def read(daemon: Served, path: str, *, token: str, **query: object) -> tuple[int, bytes]:
    reply = await daemon.ask("GET", path, query=query, token=token)
    return reply.status, reply.body


async def everything(
    daemon: Served, workspace: WorkspaceId, *, token: str, paths: set[str], **query: object
) -> Answers:
    """Every answer that these paths give, and those of the items that the lists name."""
    found: Answers = {}
    for name in COLLECTIONS:
        path = f"/v1/{name}"
        found[path] = await read(daemon, path, token=token, workspace_id=workspace, **query)
        if found[path][0] == 200:
            ids = [each.id for each in msgspec.json.decode(found[path][1], type=Rows).items]
            paths |= {f"{path}/{id_}" for id_ in ids}
    for path in sorted(paths):
        found[path] = await read(daemon, path, token=token, workspace_id=workspace, **query)
    return found


async def stamps(daemon: Served, workspace: WorkspaceId) -> list[str]:
    page = (await daemon.get("/v1/events", workspace_id=workspace)).body
    return [each.timestamp for each in msgspec.json.decode(page, type=Stamps).items]


async def head_of(daemon: Served, workspace: WorkspaceId) -> int:
    return msgspec.json.decode(
        (await daemon.get("/v1/projects", workspace_id=workspace)).body, type=Rows
    ).seq_global


async def a_history(daemon: Served, workspace: WorkspaceId, told: dict[int, dict[str, Answers]]) -> str:
    """Steps of ordinary work; after each of them all answers are noted. Gives the token of a session."""
    paths = {"/v1/board", "/v1/log/head", "/v1/events", f"/v1/workspaces/{workspace}"}

    async def note(token: str | None = None) -> None:
        seq = await head_of(daemon, workspace)
        told[seq] = {"owner": await everything(daemon, workspace, token="the-owner's-token", paths=paths)}
        if token is not None:
            told[seq]["session"] = await everything(daemon, workspace, token=token, paths=set())

    await note()
    project = await daemon.make_project(workspace)
    await note()
    line = await daemon.make_session(workspace, project)
    await note(line.token)
    made = await daemon.accepted(CreateTask(workspace_id=workspace, project_id=project, title="do it"))
    task = next(each.task_id for each in made if isinstance(each, TaskCreated))
    await note(line.token)
    child = await daemon.make_session(workspace, project, name="child", parent=line.session_id)
    await note(line.token)
    for command in (
        StartTask(workspace_id=workspace, task_id=task),
        AdvanceStage(workspace_id=workspace, task_id=task),
        PromptSession(workspace_id=workspace, session_id=child.session_id, prompt="go on"),
        RenameProject(workspace_id=workspace, project_id=project, name="other"),
        CloseSession(workspace_id=workspace, session_id=child.session_id),
        RenameWorkspace(workspace_id=workspace, name="later"),
    ):
        await daemon.accepted(command)
        await note(line.token)
    return line.token


async def test_every_read_answers_as_it_did_when_the_log_ended_there(daemon: Served) -> None:
    told: dict[int, dict[str, Answers]] = {}
    workspace = await daemon.make_workspace()
    session = await a_history(daemon, workspace, told)
    tokens = {"owner": "the-owner's-token", "session": session}
    times = await stamps(daemon, workspace)
    assert len(told) >= 8

    for seq, answers in reversed(told.items()):
        for who, expected in answers.items():
            paths = {
                path
                for path in expected
                if path.count("/") > 2 or path.removeprefix("/v1/") not in COLLECTIONS
            }
            found = await everything(daemon, workspace, token=tokens[who], paths=paths, as_of=seq)
            assert found == expected, (seq, who)
        last = sum(each <= times[seq - 1] for each in times)
        assert last in told
        by_time = await read(
            daemon, "/v1/board", token=tokens["owner"], workspace_id=workspace, as_of=times[seq - 1]
        )
        assert by_time == told[last]["owner"]["/v1/board"]


async def test_the_past_survives_a_restart(tmp_path: Path) -> None:
    async with serve_in(tmp_path) as daemon:
        workspace = await daemon.make_workspace()
        await daemon.make_project(workspace)
        board = await daemon.get("/v1/board", workspace_id=workspace)
        seq = await head_of(daemon, workspace)
        await daemon.make_project(workspace)
    async with serve_in(tmp_path) as daemon:
        assert (await daemon.get("/v1/board", workspace_id=workspace, as_of=seq)).body == board.body


async def test_an_item_is_not_there_before_it_was_made(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)

    assert (await daemon.get(f"/v1/projects/{project}", as_of=1)).status == 404
    assert (await daemon.get(f"/v1/projects/{project}", as_of=2)).status == 200
    assert (await daemon.get(f"/v1/projects/{project}", as_of=2, workspace_id=workspace)).status == 200


async def test_a_session_sees_no_more_of_the_past_than_of_the_present(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    stranger = await daemon.make_session(workspace, project, name="stranger")
    before = await head_of(daemon, workspace)
    line = await daemon.make_session(workspace, project)

    async def seen(**query: object) -> list[str]:
        reply = await daemon.get("/v1/sessions", workspace_id=workspace, token=line.token, **query)
        assert reply.status == 200
        return [each.id for each in msgspec.json.decode(reply.body, type=Rows).items]

    assert await seen() == [line.session_id]
    assert await seen(as_of=before) == []
    hidden = await daemon.get(f"/v1/sessions/{stranger.session_id}", token=line.token, as_of=before)
    assert hidden.status == 404
    events = await daemon.get("/v1/events", workspace_id=workspace, token=line.token, as_of=before)
    assert msgspec.json.decode(events.body, type=Stamps).items == []
    assert (await daemon.get("/v1/board", workspace_id=workspace, token=line.token, as_of=1)).status == 403


async def pages(daemon: Served, path: str, **query: object) -> list[str]:
    found: list[str] = []
    cursor: dict[str, object] = {}
    while True:
        reply = await daemon.ask("GET", path, query={**query, **cursor, "limit": 2})
        assert reply.status == 200, reply.body
        page = msgspec.json.decode(reply.body, type=Rows)
        found += [each.id for each in page.items]
        if page.next is None:
            return found
        cursor = {"cursor": page.next}


async def test_pages_of_the_past_lead_through_all_of_it_while_the_present_goes_on(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    ids = [await daemon.make_project(workspace) for _ in range(5)]
    seq = await head_of(daemon, workspace)
    first = await daemon.get("/v1/projects", workspace_id=workspace, as_of=seq, limit=2)
    cursor = msgspec.json.decode(first.body, type=Rows).next
    await daemon.make_project(workspace)

    assert await pages(daemon, "/v1/projects", workspace_id=workspace, as_of=seq) == ids
    here: dict[str, object] = {"workspace_id": workspace, "cursor": cursor}
    assert (await daemon.ask("GET", "/v1/projects", query={**here, "as_of": seq})).status == 200
    for wrong in ({}, {"as_of": seq - 1}, {"as_of": seq + 1}):
        reply = await daemon.ask("GET", "/v1/projects", query={**here, **wrong})
        assert (reply.status, reply.code) == (400, "invalid_schema")


async def test_workspaces_are_listed_as_of_a_time_only(daemon: Served) -> None:
    one = await daemon.make_workspace("one")
    (first,) = await stamps(daemon, one)
    live = await daemon.get("/v1/workspaces")
    other = await daemon.make_workspace("other")
    await daemon.accepted(RenameWorkspace(workspace_id=one, name="renamed"))
    await daemon.accepted(ArchiveWorkspace(workspace_id=other))
    (second, *_) = await stamps(daemon, other)

    assert (await daemon.get("/v1/workspaces", as_of=first)).body == live.body
    then = msgspec.json.decode((await daemon.get("/v1/workspaces", as_of=second)).body, type=Rows)
    assert {each.id: each.name for each in then.items[1:]} == {one: "one", other: "other"}
    assert await pages(daemon, "/v1/workspaces", as_of=second) == [each.id for each in then.items]
    reply = await daemon.get("/v1/workspaces", as_of=1)
    assert (reply.status, reply.code) == (400, "invalid_schema")


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "9" * 17, "9007199254740993", "²", "", "head", "yesterday", "2026-11-22", "2026-11-22T10:00:00",
     "2026-11-22T10:00:00 01:00", "2026-13-22T10:00:00Z", "2026-11-22T10:00:60Z", "0001-01-01T00:00:00+99:00"],
)  # fmt: skip
async def test_what_is_no_moment_is_refused_in_words(daemon: Served, text: str) -> None:
    workspace = await daemon.make_workspace()

    for path in ("/v1/projects", "/v1/board", "/v1/log/head", "/v1/events", f"/v1/workspaces/{workspace}"):
        reply = await daemon.get(path, workspace_id=workspace, as_of=text)
        assert (reply.status, reply.code) == (400, "invalid_schema"), path
        assert "sequence" in str(reply.json()["message"])


def reason_of(reply: Reply) -> tuple[int, object]:
    details = msgspec.convert(reply.json().get("details", {}), dict[str, object])
    return reply.status, details.get("reason")


async def test_a_moment_that_is_not_there_is_refused_and_says_why(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    (made,) = await stamps(daemon, workspace)
    future = to_timestamp(daemon.kernel.now() + 3600 * SECOND)  # type: ignore[arg-type]

    async def asked(as_of: object) -> tuple[int, object]:
        return reason_of(await daemon.get("/v1/board", workspace_id=workspace, as_of=as_of))

    assert await asked(2) == (422, "as_of_beyond_head")
    assert await asked(future) == (422, "as_of_beyond_head")
    assert await asked("2001-01-01T00:00:00Z") == (422, "as_of_before_first")
    assert await asked(made) == (200, None)


async def test_a_time_may_be_told_from_any_place(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    (made,) = await stamps(daemon, workspace)
    hour = int(made[11:13])
    there = (
        f"{made[:11]}{hour + 1 if hour < 23 else hour:02}{made[13:-1]}{'+01:00' if hour < 23 else '+00:00'}"
    )

    reply = await daemon.get("/v1/board", workspace_id=workspace, as_of=there)

    assert reply.status == 200


async def test_too_many_folds_at_once_are_unavailable_and_say_when_to_come_again(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = await daemon.make_workspace()
    for name in "abcd":
        await daemon.accepted(RenameWorkspace(workspace_id=workspace, name=name))
    await daemon.get("/v1/projects", workspace_id=workspace)  # the views are there: nobody else reads the log
    reading, go_on = asyncio.Event(), asyncio.Event()
    read_log, waiting = SqliteLog.read, 0

    async def slow(
        self: SqliteLog, workspace_id: WorkspaceId, *, after: int, limit: int
    ) -> list[StoredEvent]:
        nonlocal waiting
        waiting += 1
        if waiting == past_module.FOLDS_MAX:
            reading.set()
        await go_on.wait()
        return await read_log(self, workspace_id, after=after, limit=limit)

    monkeypatch.setattr(SqliteLog, "read", slow)
    asked = [
        asyncio.create_task(daemon.get("/v1/board", workspace_id=workspace, as_of=seq), name=f"read {seq}")
        for seq in range(1, past_module.FOLDS_MAX + 1)
    ]
    await reading.wait()
    refused = await daemon.get("/v1/board", workspace_id=workspace, as_of=5)
    go_on.set()

    assert (refused.status, refused.code) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert [(await each).status for each in asked] == [200] * past_module.FOLDS_MAX
