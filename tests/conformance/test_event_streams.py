"""What every transport of events promises: one suite, run against each of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from moduprompt.client import Transport
from moduprompt.domain.run.commands import ReportLost, ReportStarted
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.kernel.feed import RING_EVENTS, SKIPPED_MAX
from moduprompt.kernel.inbox import INBOX_MAX
from moduprompt.protocol import WorkspaceId
from moduprompt.protocol.framing.frames import EventFrame, Position
from tests.support.deadline import eventually_async
from tests.support.served import Served, serve_in
from tests.support.streams import PATHS, TRANSPORTS, AnyTransport, Subscription, follow

POSITION_S = 0.05
NUMBERS = itertools.count()


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> AnyTransport:
    return request.param


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncGenerator[Served]:
    async with serve_in(tmp_path) as served:
        yield served


async def renamed(daemon: Served, workspace: WorkspaceId, *, times: int) -> None:
    """So many events more."""
    for _ in range(times):
        await daemon.report(RenameWorkspace(workspace_id=workspace, name=f"the {next(NUMBERS)}th"))


async def test_events_come_in_order_from_the_first_and_go_on(daemon: Served, transport: AnyTransport) -> None:
    workspace = await daemon.make_workspace()
    await renamed(daemon, workspace, times=4)

    async with follow(daemon.socket, Subscription(transport=transport, workspace_id=workspace)) as stream:
        assert await stream.events(5) == [1, 2, 3, 4, 5]
        await renamed(daemon, workspace, times=2)
        assert await stream.events(2) == [6, 7]


async def flooded(daemon: Served, workspace: WorkspaceId, *, times: int) -> None:
    """So many events more, as fast as the writer takes them."""
    for start in range(0, times, INBOX_MAX // 2):
        count = min(INBOX_MAX // 2, times - start)
        await asyncio.gather(*(renamed(daemon, workspace, times=1) for _ in range(count)))


@pytest.mark.parametrize(
    ("query", "headers", "first"),
    [
        ({"from": 3}, {}, 4),
        ({}, {"Last-Event-ID": "4"}, 5),
        ({"from": 1}, {"Last-Event-ID": "4"}, 5),
        ({"from": "head"}, {"Last-Event-ID": "2"}, 3),
        ({"from": "head"}, {}, 6),
    ],
)
async def test_a_stream_goes_on_behind_what_the_client_has(
    daemon: Served, transport: AnyTransport, query: dict[str, str], headers: dict[str, str], first: int
) -> None:
    workspace = await daemon.make_workspace()
    await renamed(daemon, workspace, times=4)
    wanted = Subscription(transport=transport, workspace_id=workspace, query=query, headers=headers)

    async with follow(daemon.socket, wanted) as stream:
        await renamed(daemon, workspace, times=1)
        assert await stream.events(1) == [first]


async def test_more_than_the_ring_holds_is_read_from_the_log(daemon: Served, transport: AnyTransport) -> None:
    workspace = await daemon.make_workspace()
    await flooded(daemon, workspace, times=100)
    ring = daemon.kernel.feed._rings[workspace]  # pyright: ignore[reportPrivateUsage] - 4,096 events take long
    while len(ring) > 10:
        ring.popleft()

    async with follow(daemon.socket, Subscription(transport=transport, workspace_id=workspace)) as stream:
        seen = await stream.events(daemon.kernel.feed.head(workspace))

    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) < RING_EVENTS


async def test_a_restarted_daemon_continues_where_the_other_stopped(
    tmp_path: Path, transport: AnyTransport
) -> None:
    async with serve_in(tmp_path) as daemon:
        workspace = await daemon.make_workspace()
        await renamed(daemon, workspace, times=2)
    async with serve_in(tmp_path) as daemon:
        wanted = Subscription(transport=transport, workspace_id=workspace, query={"from": 2})
        async with follow(daemon.socket, wanted) as stream:
            await renamed(daemon, workspace, times=1)
            assert await stream.events(2) == [3, 4]


@pytest.mark.parametrize("types", ["project.*", "project.created", "task.*, project.created"])
async def test_a_filter_lets_through_what_it_names(
    daemon: Served, transport: AnyTransport, types: str
) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    wanted = Subscription(transport=transport, workspace_id=workspace, query={"types": types})

    async with follow(daemon.socket, wanted) as stream:
        frame = await stream.next()

    assert isinstance(frame, EventFrame)
    assert project.encode() in frame.data


@pytest.mark.parametrize("by", ["project_id", "subject"])
async def test_a_filter_by_what_an_event_is_about(daemon: Served, transport: AnyTransport, by: str) -> None:
    workspace = await daemon.make_workspace()
    await daemon.make_project(workspace)
    second = await daemon.make_project(workspace)
    value = second if by == "project_id" else f"project:{second}"

    async with follow(
        daemon.socket, Subscription(transport=transport, workspace_id=workspace, query={by: value})
    ) as stream:
        assert await stream.events(1) == [3]


async def test_a_quiet_stream_says_how_far_it_has_looked(tmp_path: Path, transport: AnyTransport) -> None:
    async with serve_in(tmp_path, position_s=POSITION_S) as daemon:
        workspace = await daemon.make_workspace()
        async with follow(daemon.socket, Subscription(transport=transport, workspace_id=workspace)) as stream:
            assert await stream.events(1) == [1]
            assert await stream.position() == 1
            assert await stream.position() == 1


async def test_a_reader_who_wants_nothing_hears_in_time_also_in_a_busy_workspace(
    tmp_path: Path, transport: AnyTransport
) -> None:
    async with serve_in(tmp_path, position_s=POSITION_S) as daemon:
        workspace = await daemon.make_workspace()
        wanted = Subscription(transport=transport, workspace_id=workspace, query={"types": "task.*"})
        async with follow(daemon.socket, wanted) as stream:

            async def hear_of_more() -> int:
                while (heard := await stream.position()) == 1:
                    pass  # it was due before the first of them was on the disk
                return heard

            async with asyncio.TaskGroup() as both:
                reading = both.create_task(hear_of_more())
                while not reading.done():  # an event comes more often than a position is due
                    await renamed(daemon, workspace, times=1)

    assert reading.result() > 1


async def test_a_thousand_skipped_events_move_the_position(daemon: Served, transport: AnyTransport) -> None:
    workspace = await daemon.make_workspace()
    await flooded(daemon, workspace, times=SKIPPED_MAX)
    wanted = Subscription(transport=transport, workspace_id=workspace, query={"types": "task.*"})

    async with follow(daemon.socket, wanted) as stream:
        assert await stream.position() >= SKIPPED_MAX


async def test_events_that_are_passed_over_move_the_position_along(
    daemon: Served, transport: AnyTransport
) -> None:
    workspace = await daemon.make_workspace()
    await daemon.make_project(workspace)
    await renamed(daemon, workspace, times=3)
    wanted = Subscription(transport=transport, workspace_id=workspace, query={"types": "project.*"})

    async with follow(daemon.socket, wanted) as stream:
        event, position = await stream.next(), await stream.next()

    assert isinstance(event, EventFrame)
    assert event.seq == 2
    assert position == Position(seq=5)


async def test_a_draining_daemon_says_so(daemon: Served, transport: AnyTransport) -> None:
    workspace = await daemon.make_workspace()

    async with follow(daemon.socket, Subscription(transport=transport, workspace_id=workspace)) as stream:
        assert await stream.events(1) == [1]
        daemon.kernel.feed.drain()
        assert await stream.end() == "draining"


async def test_a_reader_who_does_not_read_costs_no_memory_and_misses_nothing(
    daemon: Served, transport: AnyTransport
) -> None:
    workspace = await daemon.make_workspace()
    count = 3_000  # a good megabyte: more than the sockets' buffers hold
    async with follow(daemon.socket, Subscription(transport=transport, workspace_id=workspace)) as stream:
        assert await stream.events(1) == [1]
        await flooded(daemon, workspace, times=count)
        head = daemon.kernel.feed.head(workspace)
        waiting = daemon.kernel.feed._waiting  # pyright: ignore[reportPrivateUsage] - it must wait elsewhere
        assert not any(waiting.values()), "a stuck reader waits for its socket, not for news"
        assert await stream.events(head - 1) == list(range(2, head + 1))


async def test_a_reader_who_hangs_up_is_let_go(daemon: Served, transport: AnyTransport) -> None:
    workspace = await daemon.make_workspace()
    waiting = daemon.kernel.feed._waiting  # pyright: ignore[reportPrivateUsage] - what would be left behind

    async def is_waiting() -> bool:
        return bool(waiting.get(workspace))

    async def is_let_go() -> bool:
        return not await is_waiting()

    async with follow(daemon.socket, Subscription(transport=transport, workspace_id=workspace)) as stream:
        assert await stream.events(1) == [1]
        await eventually_async(is_waiting)
    await eventually_async(is_let_go)


async def test_a_session_sees_its_lineage_and_its_position_passes_the_rest(
    daemon: Served, transport: AnyTransport
) -> None:
    workspace = await daemon.make_workspace()
    project = await daemon.make_project(workspace)
    other = await daemon.make_session(workspace, project, name="stranger")
    mine = await daemon.make_session(workspace, project, name="mine")
    await daemon.report(ReportStarted(workspace_id=workspace, run_id=other.run_id, pid=1, start_time=1))
    head = daemon.kernel.feed.head(workspace)
    wanted = Subscription(transport=transport, workspace_id=workspace, token=mine.token)

    async with follow(daemon.socket, wanted) as stream:
        seen: list[bytes] = []
        while True:
            frame = await stream.next()
            if isinstance(frame, EventFrame):
                seen.append(frame.data)
            if isinstance(frame, Position):
                break

    assert frame == Position(seq=head)
    assert not any(other.session_id.encode() in data or other.run_id.encode() in data for data in seen)
    assert any(mine.run_id.encode() in data for data in seen)


async def test_a_sessions_stream_ends_with_its_run(daemon: Served, transport: AnyTransport) -> None:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    wanted = Subscription(transport=transport, workspace_id=workspace, token=line.token)

    async with follow(daemon.socket, wanted) as stream:
        await stream.events(1)
        await daemon.report(ReportLost(workspace_id=workspace, run_id=line.run_id, evidence="gone"))
        assert await stream.end() == "token_ended"


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ({"from": "-1"}, {}, 400),
        ({"from": "1e3"}, {}, 400),
        ({"from": "99999999999999999"}, {}, 400),
        ({"from": "1000"}, {}, 422),
        ({}, {"Last-Event-ID": "1000"}, 422),
        ({"form": "1"}, {}, 400),
        ({"subject": "project"}, {}, 400),
        ({"types": ",".join(["task.*"] * 65)}, {}, 400),
        ({"workspace_id": "x"}, {}, 400),
        ({"workspace_id": "00000000-0000-7000-8000-00000000dead"}, {}, 404),
        ({}, {"Last-Event-ID": "last"}, 400),
        ({}, {"Accept-Encoding": "gzip"}, 200),
    ],
)
async def test_what_is_asked_wrongly_is_refused_before_the_stream_begins(
    daemon: Served, transport: AnyTransport, query: dict[str, str], headers: dict[str, str], status: int
) -> None:
    workspace = await daemon.make_workspace()

    async with follow(
        daemon.socket,
        Subscription(transport=transport, workspace_id=workspace, query=query, headers=headers),
    ) as stream:
        assert stream.status == status
        assert "content-encoding" not in stream.headers


@pytest.mark.parametrize("spoken", PATHS)
async def test_the_sdk_reads_each_event_once_over_a_restart(tmp_path: Path, spoken: Transport) -> None:
    seen: list[int] = []
    async with serve_in(tmp_path) as daemon:
        workspace = await daemon.make_workspace()
        client = daemon.client()
        events = client.events(workspace, transport=spoken)
        seen.append((await anext(events)).seq_global)
    async with serve_in(tmp_path) as daemon:
        await renamed(daemon, workspace, times=2)
        seen += [(await anext(events)).seq_global, (await anext(events)).seq_global]
        await events.aclose()
        await client.close()

    assert seen == [1, 2, 3]
