"""Ids that come twice: the command is refused, and what bears the id stays as it was, in memory, on disk and in the views."""

import io
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from moduprompt.domain.decider import Command
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.project.commands import CreateProject, RenameProject
from moduprompt.domain.session.commands import AgentSpec, SpawnSession
from moduprompt.domain.task.commands import CreateTask
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.kernel.cabinet import new_ledger
from moduprompt.kernel.writer import CommandBroke
from moduprompt.protocol import SYSTEM_WORKSPACE, Code, ProjectId, WorkspaceId
from moduprompt.storage.port import ViewStore
from tests.support.clocks import CountingMint
from tests.support.kernel import House, accepted, events_of, make_kernel, rejection
from tests.support.stores import OpenViews, memory_views, sqlite_views

AGENT = AgentSpec(adapter="command", argv=("true",))


class RepeatingMint(CountingMint):
    """Gives an id again when it is told to: the next one, or the one after so many others."""

    def __init__(self, *, after: int = 0x1_0000) -> None:
        super().__init__(after=after)
        self._again: str | None = None
        self._others = 0
        self._is_stuck = False

    def stick(self) -> None:
        """The same id for ever."""
        self._is_stuck = True

    def repeat(self, id_: str, *, after: int = 0) -> None:
        self._again, self._others = id_, after

    def new_id(self) -> str:
        if self._is_stuck:
            return "00000000-0000-7000-8000-00000000dead"
        if self._again is None or self._others:
            self._others = max(0, self._others - 1)
            return super().new_id()
        again, self._again = self._again, None
        return again


@asynccontextmanager
async def a_house() -> AsyncGenerator[tuple[House, RepeatingMint, WorkspaceId, ProjectId]]:
    mint = RepeatingMint()
    async with make_kernel(mint=mint) as house:
        ws = await house.workspace()
        yield house, mint, ws, await house.project(ws)


async def holds(house: House, workspace_id: WorkspaceId) -> None:
    """Memory says what a fold of the log from zero says."""
    known, folded = await house.kernel.find(workspace_id), new_ledger(workspace_id)
    for stored in await house.log.inner.read(workspace_id, after=0, limit=10_000):
        folded.replay(stored)
    assert known is not None
    assert (known.seq, known.head_hash, known.state_hash()) == (
        folded.seq,
        folded.head_hash,
        folded.state_hash(),
    )


def a_project(ws: WorkspaceId, _: ProjectId) -> Command:
    return CreateProject(workspace_id=ws, name="another", repository="/srv/another")


def a_task(ws: WorkspaceId, project: ProjectId) -> Command:
    return CreateTask(workspace_id=ws, project_id=project, title="t")


def a_session(ws: WorkspaceId, project: ProjectId) -> Command:
    return SpawnSession(workspace_id=ws, project_id=project, name="s", agent=AGENT, place="none")


@pytest.mark.parametrize("after", range(1, 6))
@pytest.mark.parametrize("make", [a_project, a_task, a_session])
async def test_an_id_that_is_in_use_is_given_to_nothing_else(
    make: Callable[[WorkspaceId, ProjectId], Command], after: int
) -> None:
    """Whichever of a command's ids it is: of what it makes, of what follows, of an event."""
    async with a_house() as (house, mint, ws, project):
        before = await house.stored(ws)
        mint.repeat(project, after=after)

        try:
            answer = await house.submit(make(ws, project), key="k")
        except CommandBroke:
            assert await house.stored(ws) == before
        else:  # its ids were used up before the one that comes twice
            assert project not in {each.event_id for each in events_of(answer)}
            assert len({each.event_id for each in await house.stored(ws)}) == len(await house.stored(ws))
        await holds(house, ws)

        mint.repeat("", after=10_000)
        accepted(await house.submit(make(ws, project), key="k"))
        await holds(house, ws)


async def test_one_command_makes_no_two_things_with_one_id() -> None:
    async with a_house() as (house, mint, ws, project):
        before = await house.stored(ws)
        mint.stick()

        with pytest.raises(CommandBroke):
            await house.submit(CreateTask(workspace_id=ws, project_id=project, title="t"))

        assert await house.stored(ws) == before
        await holds(house, ws)


async def test_a_workspace_whose_id_is_in_use_is_not_made() -> None:
    async with a_house() as (house, mint, ws, _):
        before = await house.stored(ws)
        mint.repeat(ws, after=1)  # the first one is the command's

        refused = await house.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="new"), key="k")

        assert rejection(refused).code is Code.UNAVAILABLE
        assert await house.stored(ws) == before
        await holds(house, ws)
        accepted(await house.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="new"), key="k"))
        await house.accept(RenameWorkspace(workspace_id=ws, name="still there"))
        await holds(house, ws)


@pytest.mark.parametrize("make_views", [memory_views, sqlite_views])
async def test_an_imported_workspace_changes_no_row_of_another_whose_ids_it_bears(
    tmp_path: Path, make_views: Callable[[Path], OpenViews]
) -> None:
    """Ids of a bundle were minted by somebody else: by accident or on purpose they may be ours."""
    store = await make_views(tmp_path)(VIEWS)
    async with make_kernel(views_store=store) as house:
        ws = await house.workspace()
        project = await house.project(ws, "ours")
        await settled(house, ws)
        before = await rows_of(store, ws)

        forged = await house.kernel.transfer.take_in(await a_forged_bundle(project))
        await settled(house, forged.workspace_id)

        assert await rows_of(store, ws) == before
        assert await store.row("projects", project) == (ws, before["projects"][project])
        theirs = await rows_of(store, forged.workspace_id)
        assert b"theirs" in theirs["projects"][project]
        await house.accept(RenameProject(workspace_id=ws, project_id=project, name="still ours"))
        await settled(house, ws)
        assert await rows_of(store, forged.workspace_id) == theirs
        assert b"still ours" in (await rows_of(store, ws))["projects"][project]
    await store.close()


async def a_forged_bundle(project: ProjectId) -> io.BytesIO:
    """A workspace of another machine, with a project of this id and a task in it."""
    mint, body = RepeatingMint(after=0x2_0000), io.BytesIO()
    async with make_kernel(mint=mint) as house:
        ws = await house.workspace("forged")
        mint.repeat(project, after=1)  # the first one is the command's
        assert await house.project(ws, "theirs") == project
        await house.accept(CreateTask(workspace_id=ws, project_id=project, title="t"))
        bundled = await house.kernel.transfer.export(ws, seq=house.kernel.feed.head(ws), body=body)
    return io.BytesIO(bundled.head + body.getvalue())


async def settled(house: House, ws: WorkspaceId) -> None:
    await house.kernel.projector.wait_for(ws, house.kernel.feed.head(ws))


async def rows_of(store: ViewStore, ws: WorkspaceId) -> dict[str, dict[str, bytes]]:
    """All that the views show of one workspace."""
    names = [name for view in VIEWS for name, _ in view.collections]
    return {name: dict(await store.rows(name, workspace_id=ws, after="", limit=1_000)) for name in names}


async def test_two_commands_with_one_id_are_two_commands() -> None:
    async with a_house() as (house, mint, ws, _):
        first = accepted(await house.submit(RenameWorkspace(workspace_id=ws, name="a"), key="a"))
        mint.repeat(first.command_id)

        second = accepted(await house.submit(RenameWorkspace(workspace_id=ws, name="b"), key="b"))

        assert second.command_id == first.command_id
        assert second.seq_global == first.seq_global + 1
        assert await house.submit(RenameWorkspace(workspace_id=ws, name="a"), key="a") == first
        assert await house.submit(RenameWorkspace(workspace_id=ws, name="b"), key="b") == second
        await holds(house, ws)
