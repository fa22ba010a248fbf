"""`GET /v1/search`: over HTTP, page by page, in the past, and for a session no more than it may see."""

from __future__ import annotations

import msgspec
import pytest

from moduprompt.domain.hit import SearchHit
from moduprompt.domain.project.commands import RenameProject
from moduprompt.domain.task.commands import CancelTask, CreateTask
from moduprompt.domain.task.events import TaskCreated
from moduprompt.protocol import ProjectId, TaskId, WorkspaceId
from moduprompt.server.routes import search as search_module
from tests.support.served import TOKEN, Served


class Hits(msgspec.Struct, frozen=True):
    items: list[SearchHit]
    seq_global: int
    next: str | None = None


async def found(
    daemon: Served, workspace: WorkspaceId, q: str, *, token: str = TOKEN, **query: object
) -> Hits:
    reply = await daemon.get("/v1/search", token=token, workspace_id=workspace, q=q, **query)
    assert reply.status == 200, reply.body
    return msgspec.json.decode(reply.body, type=Hits)


async def titles(
    daemon: Served, workspace: WorkspaceId, q: str, *, token: str = TOKEN, **query: object
) -> list[str]:
    return [hit.title for hit in (await found(daemon, workspace, q, token=token, **query)).items]


async def make_task(daemon: Served, workspace: WorkspaceId, *, project: ProjectId, title: str) -> TaskId:
    made = await daemon.accepted(CreateTask(workspace_id=workspace, project_id=project, title=title))
    return next(each.task_id for each in made if isinstance(each, TaskCreated))


async def test_what_was_just_made_is_found_with_where_its_words_stand(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    task = await make_task(daemon, workspace, project=project, title="Mend the Parser")

    page = await found(daemon, workspace, "pars mend", kind="task")

    (hit,) = page.items
    assert (hit.id, hit.kind, hit.title, hit.workspace_id) == (task, "task", "Mend the Parser", workspace)
    marked = [hit.snippet.text[span.start : span.end] for span in hit.snippet.matches]
    assert marked == ["Mend", "Parser"]
    assert page.seq_global == daemon.kernel.feed.head(workspace)
    assert [each.id for each in (await found(daemon, workspace, task[-8:])).items] == [task]
    assert await titles(daemon, workspace, "parser", kind="session") == []


async def test_exact_comes_before_begun_and_titles_before_reasons_and_new_before_old(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    reason = await make_task(daemon, workspace, project=project, title="given up")
    await daemon.accepted(CancelTask(workspace_id=workspace, task_id=reason, reason="the parse was wrong"))
    for title in ("parsers", "old parse", "new parse"):
        await make_task(daemon, workspace, project=project, title=title)

    assert await titles(daemon, workspace, "PARSE") == ["new parse", "old parse", "given up", "parsers"]


async def test_pages_give_every_hit_once_in_order(daemon: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "SLICE_DOCUMENTS", 3)  # so that there is more than one of them
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    for number in range(7):
        await make_task(daemon, workspace, project=project, title=f"same {number}")
    whole = await titles(daemon, workspace, "same")

    pages, cursor = list[list[str]](), None
    while True:
        past = {} if cursor is None else {"cursor": cursor}
        page = await found(daemon, workspace, "same", limit=2, **past)
        pages.append([hit.title for hit in page.items])
        cursor = page.next
        if cursor is None:
            break

    assert whole == [f"same {number}" for number in reversed(range(7))]
    assert [len(page) for page in pages] == [2, 2, 2, 1]
    assert [title for page in pages for title in page] == whole


async def test_a_session_finds_what_it_may_see_and_nothing_else(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    own = await daemon.make_session(workspace, project, name="worker own")
    await daemon.make_session(workspace, project, name="worker child", parent=own.session_id)
    await daemon.make_session(workspace, project, name="worker stranger")

    assert set(await titles(daemon, workspace, "worker", kind="session")) == {
        "worker own",
        "worker child",
        "worker stranger",
    }
    seen = await titles(daemon, workspace, "worker", kind="session", token=own.token)
    assert set(seen) == {"worker own", "worker child"}
    other = await daemon.make_workspace("other")
    reply = await daemon.get("/v1/search", workspace_id=other, q="other", token=own.token)
    assert (reply.status, reply.code) == (404, "not_found")


async def test_the_past_is_searched_as_it_was(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    then = (await found(daemon, workspace, "core", kind="project")).seq_global
    await daemon.accepted(RenameProject(workspace_id=workspace, project_id=project, name="after"))

    assert await titles(daemon, workspace, "core", kind="project") == []
    assert await titles(daemon, workspace, "core", kind="project", as_of=then) == ["core"]
    assert await titles(daemon, workspace, "after", kind="project") == ["after"]


@pytest.mark.parametrize("q", ["", "  ", "-- …", "x" * 201])
async def test_a_query_without_a_word_or_too_long_is_refused_at_its_place(daemon: Served, q: str) -> None:
    workspace = await daemon.make_workspace()

    reply = await daemon.get("/v1/search", workspace_id=workspace, q=q)

    assert (reply.status, reply.code) == (400, "invalid_schema")
    assert b'"pointer":"/q"' in reply.body
    assert b'"hint"' in reply.body


async def test_a_cursor_of_one_question_is_none_of_another(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    for title in ("same one", "same two"):
        await make_task(daemon, workspace, project=project, title=title)
    cursor = (await found(daemon, workspace, "same", limit=1)).next

    reply = await daemon.get("/v1/search", workspace_id=workspace, q="other", cursor=cursor)

    assert (reply.status, reply.code) == (400, "invalid_schema")


async def test_the_sdk_searches(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    await daemon.make_project(workspace)
    async with daemon.client() as client:
        page = await client.search("cor", workspace_id=workspace, kind="project", limit=5)

    assert [hit.title for hit in page.items] == ["core"]
