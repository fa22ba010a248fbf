"""Subscriptions: in order, nothing left out, resumed anywhere, and a slow reader costs nothing."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from moduprompt.kernel import feed as feed_module
from moduprompt.kernel.bell import Bell
from moduprompt.kernel.feed import Feed, Filter, Found, Glance
from moduprompt.kernel.judgement import Fact
from moduprompt.protocol import Actor, EventEnvelope, EventId, Subject, WorkspaceId, encode
from moduprompt.storage.memory.log import MemoryLog
from moduprompt.storage.port import Append, StoredEvent
from tests.support.deadline import HANG_S, turns
from tests.support.domain import an_id
from tests.support.stores import W1, W2

ALL = Filter()


def a_fact(seq: int, *, type_: str = "task.created", subject: str = "t", project: str | None = None) -> Fact:
    envelope = EventEnvelope(
        event_id=EventId(an_id(seq)),
        event_type=type_,
        timestamp="2026-01-01T00:00:00.000000Z",
        actor=Actor(kind="user", id="u"),
        workspace_id=W1,
        project_id=project,  # type: ignore[arg-type]
        subject=Subject(kind="task", id=subject),
        payload=msgspec.Raw(b"{}"),
        schema_version=1,
        seq_global=seq,
        seq_stream=seq,
        prev_hash="h",
    )
    return Fact(
        event=None,
        envelope=envelope,
        stored=StoredEvent(seq=seq, subject_id=subject, data=encode(envelope)),
    )


class Desk:
    """A log and its feed."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.feed = Feed(self.log)
        self._seq = 0

    async def write(self, *facts: Fact, published: bool = True) -> None:
        """Durable, and said."""
        stored = tuple(fact.stored for fact in facts)
        part = Append(workspace_id=W1, expected_seq=self._seq, epoch=1, head_hash="h", events=stored)
        await self.log.append([part])
        self._seq += len(facts)
        if published:
            self.feed.publish(W1, facts)

    async def events(self, count: int, *, type_: str = "task.created") -> None:
        """So many more."""
        await self.write(*(a_fact(self._seq + n, type_=type_) for n in range(1, count + 1)))


def sees_all(_: Glance) -> bool:
    return True


def follow(
    desk: Desk, after: int = 0, only: Filter = ALL, workspace_id: WorkspaceId = W1
) -> AsyncIterator[Found]:
    return desk.feed.follow(workspace_id, after=after, only=only, sees=sees_all)


async def take(steps: AsyncIterator[Found], last: int) -> list[int]:
    """Sequences until a reader has looked so far."""
    seqs: list[int] = []
    async with asyncio.timeout(HANG_S):
        async for found in steps:
            seqs += [event.seq for event in found.events]
            if found.looked_to >= last:
                break
    return seqs


@pytest.mark.parametrize("after", [0, 1, 499, 500, 3_000, 4_999, 5_000])
async def test_a_reader_may_begin_anywhere(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "RING_EVENTS", 1_000)
    desk = Desk()
    await desk.events(5_000)
    reading = asyncio.create_task(take(follow(desk, after), 5_010))
    await turns()
    await desk.events(10)

    assert await reading == list(range(after + 1, 5_011))


async def test_readers_of_every_speed_get_everything_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "RING_EVENTS", 64)
    monkeypatch.setattr(feed_module, "READ_EVENTS", 10)
    desk = Desk()

    async def read(pause: int) -> list[int]:
        seqs: list[int] = []
        async for found in follow(desk):
            seqs += [event.seq for event in found.events]
            await turns(pause)
            if found.looked_to >= 500:
                break
        return seqs

    readers = [asyncio.create_task(read(pause)) for pause in (0, 1, 7, 40)]
    for count in [1, 2, 3, 64, 65, 66, 99, 100, 100]:
        await desk.events(count)
        await turns(3)

    for reader in readers:
        assert await asyncio.wait_for(reader, HANG_S) == list(range(1, 501))


async def test_a_slow_reader_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "RING_EVENTS", 100)
    desk = Desk()
    slow = follow(desk)
    await desk.events(1)
    await anext(slow)
    await desk.events(3_000)

    assert desk.feed.kept() == 100
    assert await take(slow, 3_001) == list(range(2, 3_002))


async def test_what_is_kept_is_bounded_over_all_workspaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "RINGS_MAX", 3)
    feed = Feed(MemoryLog())
    for number in range(10):
        feed.publish(WorkspaceId(an_id(number)), tuple(a_fact(seq) for seq in (1, 2)))

    assert feed.kept() == 6


async def test_no_wake_up_is_lost_between_looking_and_waiting() -> None:
    desk = Desk()
    for number in range(200):
        reading = asyncio.create_task(take(follow(desk, number), number + 1))
        await turns(number % 7)
        await desk.events(1)

        assert await asyncio.wait_for(reading, HANG_S) == [number + 1]


async def test_a_reader_that_goes_away_in_the_moment_of_its_waking_has_gone() -> None:
    feed = Feed(MemoryLog())
    waiting = asyncio.create_task(feed.wait_past(W1, 0, timeout_s=10))
    await turns(2)
    feed.set_head(W1, 1)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_many_readers_are_woken_by_one_commit() -> None:
    desk = Desk()
    readers = [asyncio.create_task(take(follow(desk), 1)) for _ in range(200)]
    await turns()
    await desk.events(1)

    assert await asyncio.gather(*readers) == [[1]] * 200


async def test_a_reader_of_one_workspace_is_not_woken_by_another() -> None:
    desk = Desk()
    reading = asyncio.ensure_future(anext(follow(desk, workspace_id=W2)))
    await turns()
    await desk.events(5)
    await turns()

    assert not reading.done()
    reading.cancel()


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        (Filter(), [1, 2, 3, 4]),
        (Filter(types=("task.*",)), [1, 2]),
        (Filter(types=("task.created", "run.*")), [1, 4]),
        (Filter(types=("task",)), []),
        (Filter(types=("*",)), [1, 2, 3, 4]),
        (Filter(project_id="p"), [2, 3]),
        (Filter(subject=Subject(kind="task", id="x")), [3]),
        (Filter(subject=Subject(kind="run", id="x")), []),
        (Filter(types=("task.*",), project_id="p"), [2]),
    ],
)
async def test_a_filter_takes_what_it_says(only: Filter, wanted: list[int]) -> None:
    desk = Desk()
    await desk.write(
        a_fact(1),
        a_fact(2, type_="task.started", project="p"),
        a_fact(3, type_="tasks.x", subject="x", project="p"),
        a_fact(4, type_="run.started", project="q"),
    )
    steps = follow(desk, only=only)
    found = await anext(steps) if wanted else None

    assert [event.seq for event in found.events] == wanted if found else wanted == []


async def test_a_filtered_reader_hears_how_far_it_has_come() -> None:
    desk = Desk()
    await desk.events(feed_module.SKIPPED_MAX)
    steps = follow(desk, only=Filter(types=("run.*",)))

    assert await anext(steps) == Found(events=(), looked_to=feed_module.SKIPPED_MAX)
    await desk.events(10)
    reading = asyncio.ensure_future(anext(steps))
    await turns()
    assert not reading.done()
    await desk.write(a_fact(feed_module.SKIPPED_MAX + 11, type_="run.started"))
    found = await reading
    assert [event.seq for event in found.events] == [feed_module.SKIPPED_MAX + 11]


async def test_what_may_not_be_seen_is_passed_over() -> None:
    desk = Desk()
    await desk.write(a_fact(1, subject="mine"), a_fact(2, subject="theirs"), a_fact(3, subject="mine"))
    steps = desk.feed.follow(W1, after=0, only=ALL, sees=lambda glance: glance.subject.id == "mine")

    assert [event.seq for event in (await anext(steps)).events] == [1, 3]


async def test_draining_ends_every_subscription() -> None:
    desk = Desk()
    await desk.events(3)

    async def read_on() -> list[int]:
        return [event.seq async for found in follow(desk) for event in found.events]

    readers = [asyncio.create_task(read_on()) for _ in range(10)]
    await turns()
    desk.feed.drain()

    assert await asyncio.wait_for(asyncio.gather(*readers), HANG_S) == [[1, 2, 3]] * 10
    assert [found async for found in follow(desk)] == []


async def test_events_that_became_durable_unheard_of_are_still_delivered() -> None:
    """After a commit whose outcome was unknown the log may hold more than was ever published."""
    desk = Desk()
    await desk.events(3)
    reading = asyncio.create_task(take(follow(desk), 6))
    await turns()
    await desk.write(a_fact(4), a_fact(5), published=False)
    desk.feed.set_head(W1, 5)
    await turns()
    await desk.write(a_fact(6))

    assert await asyncio.wait_for(reading, HANG_S) == [1, 2, 3, 4, 5, 6]


async def test_a_commit_that_does_not_follow_the_last_one_hides_nothing() -> None:
    desk = Desk()
    await desk.events(3)
    await desk.write(a_fact(4), a_fact(5), published=False)
    await desk.write(a_fact(6))

    assert await take(follow(desk, 3), 6) == [4, 5, 6]
    assert await take(follow(desk), 6) == [1, 2, 3, 4, 5, 6]


class Counting:
    """Makes a frame, and counts."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, seq: int, data: bytes) -> bytes:
        self.made += 1
        return b"%d %b" % (seq, data)


async def framed(steps: AsyncIterator[Found], make: Counting, last: int) -> list[bytes]:
    """The frames until a reader has looked so far."""
    frames: list[bytes] = []
    async for found in steps:
        frames += [each.framed(make) for each in found.events]
        if found.looked_to >= last:
            break
    return frames


async def test_an_event_is_framed_once_however_many_subscribe() -> None:
    desk, make = Desk(), Counting()
    readers = [asyncio.create_task(framed(follow(desk), make, 5)) for _ in range(200)]
    await turns()
    for _ in range(5):
        await desk.events(1)
        await turns(7)
    frames = await asyncio.gather(*readers)

    assert make.made == 5
    assert all(each == frames[0] for each in frames)
    assert len({id(frame) for each in frames for frame in each}) == 5  # shared, not equal


async def test_each_kind_of_frame_is_made_once() -> None:
    desk, one, other = Desk(), Counting(), Counting()
    await desk.events(3)
    for make in (one, other, one, other):
        await framed(follow(desk), make, 3)

    assert (one.made, other.made) == (3, 3)


async def test_frames_are_kept_of_the_newest_events_only() -> None:
    desk, make = Desk(), Counting()
    await desk.events(feed_module.FRAMED_EVENTS + 10)
    for _ in range(2):
        await framed(follow(desk), make, feed_module.FRAMED_EVENTS + 10)

    assert make.made == feed_module.FRAMED_EVENTS + 2 * 10


async def test_a_filter_is_asked_once_about_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    whole = Filter.takes

    def counted(self: Filter, glance: Glance) -> bool:
        asked.append(glance.event_type)
        return whole(self, glance)

    monkeypatch.setattr(Filter, "takes", counted)
    desk = Desk()
    await desk.events(4)
    for _ in range(50):
        assert await take(follow(desk, only=Filter(types=("task.*",))), 4) == [1, 2, 3, 4]

    assert len(asked) == 4


async def test_a_subscription_that_no_longer_lasts_ends_when_it_is_rung() -> None:
    desk, bell, lasting = Desk(), Bell(), [True]
    steps = desk.feed.follow(W1, after=0, only=ALL, sees=sees_all, lasts=lambda: bool(lasting), bell=bell)

    async def read_on() -> list[Found]:
        return [found async for found in steps]

    reading = asyncio.create_task(read_on())
    await turns()
    lasting.clear()
    bell.ring()

    assert await asyncio.wait_for(reading, HANG_S) == []
