"""What every event log promises, whatever it is made of."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import msgspec
import pytest

from moduprompt.protocol import WorkspaceId
from moduprompt.storage.hashing import content_hash, first_hash
from moduprompt.storage.port import READ_MAX, Append, EventLog, HeadMoved, StorageFailed
from tests.support.stores import W1, W2, W3, OpenLog, Tip, a_key, an_append, an_event, memory_log, sqlite_log

MAKERS = (memory_log, sqlite_log)


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> OpenLog:
    make: Callable[[Path], OpenLog] = request.param
    return make(tmp_path)


@pytest.fixture
async def log(open_log: OpenLog) -> AsyncGenerator[EventLog]:
    opened = await open_log()
    yield opened
    await opened.close()


async def seqs(log: EventLog, workspace_id: WorkspaceId) -> list[int]:
    return [event.seq for event in await log.read(workspace_id, after=0, limit=100)]


async def nothing_of(log: EventLog, workspace_id: WorkspaceId) -> bool:
    known = [head.workspace_id for head in await log.heads()]
    return workspace_id not in known and await seqs(log, workspace_id) == []


async def test_a_new_log_is_empty(log: EventLog) -> None:
    assert await log.heads() == []
    assert await log.read(W1, after=0, limit=10) == []
    assert await log.read_stream(W1, subject_id="s1", after=0, limit=10) == []
    assert await log.find_key(W1, actor="user:u1", key="k") is None


async def test_an_append_at_zero_in_epoch_one_makes_the_workspace(log: EventLog) -> None:
    part = an_append(Tip(workspace_id=W1), 3)

    await log.append([part])

    (head,) = await log.heads()
    assert (head.workspace_id, head.seq, head.epoch, head.head_hash) == (W1, 3, 1, part.head_hash)
    assert await log.read(W1, after=0, limit=10) == list(part.events)


async def test_a_workspace_can_be_made_once_only(log: EventLog, open_log: OpenLog) -> None:
    await log.append([an_append(Tip(workspace_id=W1))])
    other = await open_log()

    for writer in (log, other):
        with pytest.raises(HeadMoved):
            await writer.append([an_append(Tip(workspace_id=W1), text="again")])
    await other.close()

    assert await seqs(log, W1) == [1]


@pytest.mark.parametrize(("seq", "epoch"), [(0, 0), (0, 2), (1, 1), (5, 3)])
async def test_an_unknown_workspace_takes_nothing_else(log: EventLog, seq: int, epoch: int) -> None:
    with pytest.raises(HeadMoved):
        await log.append([an_append(Tip(workspace_id=W1, seq=seq, epoch=epoch))])

    assert await nothing_of(log, W1)


async def test_appends_follow_each_other_without_a_gap(log: EventLog) -> None:
    tip = Tip.of(await log.claim(W1))
    for count in (1, 3, 1):
        await log.append([an_append(tip, count)])
        tip = tip.after(count)

    assert await seqs(log, W1) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("seq", [0, 1, 3, 100])
async def test_an_append_at_another_sequence_is_refused(log: EventLog, seq: int) -> None:
    tip = Tip.of(await log.claim(W1))
    await log.append([an_append(tip, 2)])

    with pytest.raises(HeadMoved):
        await log.append([an_append(Tip(workspace_id=W1, seq=seq, epoch=tip.epoch))])

    assert await seqs(log, W1) == [1, 2]


@pytest.mark.parametrize("first", [1, 2, 4, 5])
async def test_events_that_do_not_follow_the_expected_sequence_are_a_bug(log: EventLog, first: int) -> None:
    tip = Tip.of(await log.claim(W1))
    await log.append([an_append(tip, 2)])
    part = Append(
        workspace_id=W1,
        expected_seq=2,
        epoch=tip.epoch,
        head_hash="h",
        events=(an_event(first), an_event(first)),
    )

    with pytest.raises(AssertionError, match="BUG"):
        await log.append([part])

    assert await seqs(log, W1) == [1, 2]


async def test_a_claim_raises_the_epoch_and_fences_the_writer_before(log: EventLog) -> None:
    first = Tip.of(await log.claim(W1))
    await log.append([an_append(first)])
    second = Tip.of(await log.claim(W1))

    assert (second.epoch, second.seq) == (first.epoch + 1, 1)
    with pytest.raises(HeadMoved):
        await log.append([an_append(first.after(1))])
    await log.append([an_append(second)])
    assert await seqs(log, W1) == [1, 2]


async def test_who_holds_the_epoch_stays_in_it(log: EventLog) -> None:
    tip = Tip.of(await log.claim(W1))
    await log.append([an_append(tip)])

    again = Tip.of(await log.claim(W1, held=tip.epoch))

    assert again == tip.after(1)
    await log.append([an_append(again)])
    assert await seqs(log, W1) == [1, 2]


async def test_who_holds_it_no_longer_claims_nothing(log: EventLog, open_log: OpenLog) -> None:
    other = await open_log()
    ours = Tip.of(await log.claim(W1))
    theirs = Tip.of(await other.claim(W1))

    for held in (ours.epoch, theirs.epoch + 1):
        with pytest.raises(HeadMoved):
            await log.claim(W1, held=held)
    with pytest.raises(HeadMoved):
        await log.claim(W2, held=1)

    await other.append([an_append(theirs)])
    assert await nothing_of(log, W2)
    await other.close()


async def test_a_claim_of_a_new_workspace_hangs_on_its_own_name(log: EventLog) -> None:
    head = await log.claim(W1)

    assert (head.seq, head.epoch, head.head_hash) == (0, 1, first_hash(W1))


async def test_two_openings_fence_each_other(log: EventLog, open_log: OpenLog) -> None:
    other = await open_log()
    ours = Tip.of(await log.claim(W1))
    await log.append([an_append(ours)])
    theirs = Tip.of(await other.claim(W1))

    with pytest.raises(HeadMoved):
        await log.append([an_append(ours.after(1))])
    await other.append([an_append(theirs)])
    again = Tip.of(await log.claim(W1))
    with pytest.raises(HeadMoved):
        await other.append([an_append(theirs.after(1))])
    await log.append([an_append(again)])

    assert await seqs(other, W1) == [1, 2, 3]
    await other.close()


async def test_a_batch_over_workspaces_stands_or_falls_together(log: EventLog) -> None:
    one, two = Tip.of(await log.claim(W1)), Tip.of(await log.claim(W2))
    stale = Tip(workspace_id=W2, seq=7, epoch=two.epoch)
    key = a_key("k")

    with pytest.raises(HeadMoved):
        await log.append([an_append(one, keys=[key]), an_append(Tip(workspace_id=W3)), an_append(stale)])
    assert (await seqs(log, W1), await seqs(log, W2)) == ([], [])
    assert await nothing_of(log, W3)
    assert await log.find_key(W1, actor="user:u1", key="k") is None

    await log.append([an_append(one, keys=[key]), an_append(Tip(workspace_id=W3)), an_append(two, 2)])
    assert [await seqs(log, each) for each in (W1, W2, W3)] == [[1], [1, 2], [1]]


async def test_a_failed_append_can_be_followed_by_a_good_one(log: EventLog) -> None:
    tip = Tip.of(await log.claim(W1))
    with pytest.raises(HeadMoved):
        await log.append([an_append(Tip(workspace_id=W3)), an_append(tip.after(1))])

    await log.append([an_append(Tip(workspace_id=W3)), an_append(tip)])

    assert (await seqs(log, W1), await seqs(log, W3)) == ([1], [1])


async def test_heads_come_in_the_order_of_creation(log: EventLog) -> None:
    for workspace_id in (W2, W3, W1):
        await log.append([an_append(Tip(workspace_id=workspace_id))])
    await log.claim(W2)

    assert [head.workspace_id for head in await log.heads()] == [W2, W3, W1]


async def test_stored_bytes_come_back_verbatim(log: EventLog) -> None:
    tip = Tip.of(await log.claim(W1))
    data = '{"text":"größe\\u0000🎉"}'.encode() + bytes(range(256))
    event = an_event(1)
    strange = type(event)(seq=1, subject_id="a\x00b'; --", data=data)
    part = Append(
        workspace_id=W1, expected_seq=0, epoch=tip.epoch, head_hash=content_hash(data), events=(strange,)
    )
    await log.append([part])

    assert await log.read(W1, after=0, limit=1) == [strange]
    assert await log.read_stream(W1, subject_id="a\x00b'; --", after=0, limit=1) == [strange]
    assert await log.read_stream(W1, subject_id="a", after=0, limit=1) == []


async def test_reads_are_slices_in_order(log: EventLog) -> None:
    await log.append([an_append(Tip(workspace_id=W1), 10), an_append(Tip(workspace_id=W2), 3)])

    async def read(after: int, limit: int) -> list[int]:
        return [event.seq for event in await log.read(W1, after=after, limit=limit)]

    assert await read(0, 3) == [1, 2, 3]
    assert await read(3, 3) == [4, 5, 6]
    assert await read(9, 10) == [10]
    assert await read(10, 10) == []
    assert await read(99, 10) == []
    assert await read(0, 0) == []


async def test_no_read_gives_more_than_its_bound(log: EventLog) -> None:
    await log.append([an_append(Tip(workspace_id=W1), READ_MAX + 5)])

    assert len(await log.read(W1, after=0, limit=10 * READ_MAX)) == READ_MAX
    assert len(await log.read_stream(W1, subject_id="s1", after=0, limit=10 * READ_MAX)) == READ_MAX


async def test_a_stream_holds_one_subject_of_one_workspace(log: EventLog) -> None:
    tip = Tip(workspace_id=W1)
    for number, subject in enumerate(("a", "b", "a", "a")):
        await log.append([an_append(tip.after(number), subject=subject)])
    await log.append([an_append(Tip(workspace_id=W2), 2, subject="a")])

    async def read(after: int, limit: int) -> list[int]:
        return [each.seq for each in await log.read_stream(W1, subject_id="a", after=after, limit=limit)]

    assert await read(0, 10) == [1, 3, 4]
    assert await read(1, 10) == [3, 4]
    assert await read(0, 2) == [1, 3]


async def test_a_key_belongs_to_an_actor_and_a_workspace(log: EventLog) -> None:
    row = a_key("k", seqs=(1, 2), workspace=W2)
    await log.append([an_append(Tip(workspace_id=W1), 2, keys=[row]), an_append(Tip(workspace_id=W2))])

    assert await log.find_key(W1, actor="user:u1", key="k") == row
    assert await log.find_key(W1, actor="user:u2", key="k") is None
    assert await log.find_key(W2, actor="user:u1", key="k") is None
    assert await log.find_key(W1, actor="user:u1", key="K") is None
    assert await log.find_key(W1, actor="user:u1", key="k\x00") is None


async def test_a_wish_already_fulfilled_leaves_a_key_and_no_event(log: EventLog) -> None:
    tip = Tip(workspace_id=W1)
    first = an_append(tip)
    await log.append([first])
    empty = Append(
        workspace_id=W1,
        expected_seq=1,
        epoch=1,
        head_hash=first.head_hash,
        events=(),
        keys=(a_key("k", seqs=(2, 1)),),
    )
    await log.append([empty])

    assert await seqs(log, W1) == [1]
    assert await log.find_key(W1, actor="user:u1", key="k") == a_key("k", seqs=(2, 1))
    await log.append([an_append(tip.after(1))])


async def test_a_key_that_is_taken_fails_the_whole_batch(log: EventLog) -> None:
    """Two acceptances under one key would be one command carried out twice."""
    tip = Tip(workspace_id=W1)
    await log.append([an_append(tip, keys=[a_key("k")])])

    for keys in ([a_key("k")], [a_key("new"), a_key("new")]):
        with pytest.raises(StorageFailed):
            await log.append([an_append(Tip(workspace_id=W2)), an_append(tip.after(1), keys=keys)])

    assert await seqs(log, W1) == [1]
    assert await nothing_of(log, W2)
    assert await log.find_key(W1, actor="user:u1", key="new") is None


async def test_many_lookups_at_once_each_get_their_own_answer(log: EventLog) -> None:
    rows = [a_key(f"k{number}", seqs=(number, number)) for number in range(1, 51)]
    await log.append([an_append(Tip(workspace_id=W1), 50, keys=rows)])

    wanted = [f"k{number}" for number in range(60)]
    found = await asyncio.gather(*(log.find_key(W1, actor="user:u1", key=key) for key in wanted))

    assert found == [None, *rows, *[None] * 9]


async def test_what_was_appended_is_there_after_opening_again(open_log: OpenLog) -> None:
    first = await open_log()
    part = an_append(Tip(workspace_id=W1), 3, keys=[a_key("k")])
    await first.append([part])
    await first.close()

    second = await open_log()
    assert await second.read(W1, after=0, limit=10) == list(part.events)
    assert await second.find_key(W1, actor="user:u1", key="k") == a_key("k")
    assert (await second.claim(W1)).epoch == 2
    await second.close()


async def test_closing_twice_is_fine(log: EventLog) -> None:
    await log.close()
    await log.close()


async def test_an_imported_workspace_is_whole_when_it_is_as_long_as_it_was(
    log: EventLog, open_log: OpenLog
) -> None:
    first = an_append(Tip(workspace_id=W1), 2)
    await log.append([msgspec.structs.replace(first, imported_to=5)])
    (begun,) = await log.heads()
    await log.append([msgspec.structs.replace(an_append(Tip.of(begun), 3), imported_to=5)])
    other = await open_log()
    (whole,) = await other.heads()
    await other.close()

    assert (begun.imported_to, begun.is_whole()) == (5, False)
    assert (whole.imported_to, whole.is_whole(), whole.seq) == (5, True, 5)


async def test_where_an_import_ended_is_kept_while_the_log_goes_on(log: EventLog) -> None:
    part = an_append(Tip(workspace_id=W1), 2)
    await log.append([msgspec.structs.replace(part, imported_to=2)])
    claimed = await log.claim(W1)
    await log.append([an_append(Tip.of(claimed), 1)])

    (head,) = await log.heads()
    assert (claimed.imported_to, head.imported_to, head.seq) == (2, 2, 3)
