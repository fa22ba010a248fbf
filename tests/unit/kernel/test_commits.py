"""The writer and the disk: batches, back-pressure, and failures that leave nothing half done."""

import asyncio
from collections.abc import Iterable

import msgspec
import pytest

from moduprompt.domain.decider import Context, Event, World
from moduprompt.domain.deciders import DECIDERS
from moduprompt.domain.registry import REACTING
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.domain.workspace.events import WorkspaceRenamed
from moduprompt.kernel import inbox as inbox_module
from moduprompt.kernel import judgement, writer
from moduprompt.kernel.feed import Filter
from moduprompt.kernel.kernel import Begun
from moduprompt.kernel.tickets import Ticket
from moduprompt.protocol import SYSTEM_WORKSPACE, Accepted, Answer, WorkspaceId, encode
from moduprompt.storage.port import HeadMoved, StorageFailed, StorageFull
from tests.support.deadline import HANG_S, turns
from tests.support.kernel import House, accepted, events_of, make_kernel, reason, rejection

Submission = asyncio.Task[Answer]


def renames(house: House, ws: WorkspaceId, names: Iterable[str]) -> list[Submission]:
    return [
        asyncio.create_task(house.submit(RenameWorkspace(workspace_id=ws, name=name), key=f"rename {name}"))
        for name in names
    ]


async def names(house: House, ws: WorkspaceId) -> list[str]:
    return [str(bytes(event.payload), "utf-8") for event in await house.stored(ws)]


async def test_the_next_batch_is_judged_while_the_disk_works() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.hold()
        first = renames(house, ws, ["a"])
        await house.log.started.wait()
        rest = renames(house, ws, "bcdefgh")
        await turns()

        assert house.kernel.waiting() == 0
        assert not any(task.done() for task in (*first, *rest))

        house.log.release()
        answers = [accepted(await task) for task in (*first, *rest)]
        assert [answer.seq_global for answer in answers] == list(range(2, 10))
        batches = [[len(part.events) for part in batch] for batch in house.log.appended[-2:]]
        assert batches == [[1], [7]]


async def test_what_one_caller_begins_is_decided_in_that_order_while_nothing_is_answered() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.hold()
        begun: list[tuple[Ticket, Begun]] = []
        for name in "abcdef":
            ticket = house.ticket(RenameWorkspace(workspace_id=ws, name=name))
            begun.append((ticket, await house.kernel.begin(ticket)))
            await turns()

        house.log.release()
        answers = [accepted(await house.kernel.finish(*each)) for each in begun]
        assert [answer.seq_global for answer in answers] == list(range(2, 8))
        assert [len(part.events) for batch in house.log.appended[-2:] for part in batch] == [1, 5]


async def test_who_begins_and_goes_away_leaves_the_key_free_when_it_is_decided() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.hold()
        command = RenameWorkspace(workspace_id=ws, name="a")
        await house.kernel.begin(house.ticket(command, key="k"))
        again = asyncio.create_task(house.submit(command, key="k"))
        await turns()
        assert not again.done()

        house.log.release()
        assert accepted(await again).seq_global == 2
        assert len(await house.stored(ws)) == 2


async def test_nobody_is_answered_before_it_is_durable() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.hold()
        (task,) = renames(house, ws, ["a"])
        await turns()

        assert not task.done()
        assert len(await house.stored(ws)) == 1
        assert house.kernel.feed.head(ws) == 1
        house.log.release()
        await task
        assert len(await house.stored(ws)) == 2


async def test_a_refusal_that_rests_on_a_batch_waits_for_it() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.hold()
        (first,) = renames(house, ws, ["a"])
        await turns()
        refused = asyncio.create_task(
            house.submit(RenameWorkspace(workspace_id=ws, name="b"), expected_version=1)
        )
        await turns()

        assert not refused.done()
        house.log.release()
        assert reason(await refused) == "expected_version_mismatch"
        await first


async def test_a_full_inbox_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "INBOX_MAX", 10)
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.hold()
        tasks = renames(house, ws, [f"{number}" for number in range(300 + 10 + 5)])
        await turns()

        answered = [task for task in tasks if task.done()]
        assert answered
        assert {reason(task.result()) for task in answered} == {"unavailable"}
        house.log.release()
        answers = await asyncio.gather(*tasks)
        assert sum(answer.accepted for answer in answers) == len(tasks) - len(answered)
        assert len(await house.stored(ws)) == 1 + len(tasks) - len(answered)


@pytest.mark.parametrize("after_writing", [False, True])
@pytest.mark.parametrize(
    "fault",
    [StorageFailed("eio"), StorageFull("enospc"), HeadMoved("fenced"), OSError("odd"), RuntimeError("bug")],
)
async def test_a_commit_that_fails_is_told_to_all_in_flight_and_then_it_goes_on(
    fault: Exception, after_writing: bool
) -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.hold()
        in_flight = renames(house, ws, ["a"])
        await house.log.started.wait()
        in_flight += renames(house, ws, "bc")
        made = asyncio.create_task(
            house.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="new"), key="make")
        )
        await turns()
        house.log.fail_next(fault, after_writing=after_writing)
        house.log.release()

        assert {rejection(await task).code.value for task in (*in_flight, made)} == {"unavailable"}
        again = [accepted(await task) for task in (*renames(house, ws, "abc"), *renames(house, ws, "d"))]
        assert len({answer.seq_global for answer in again}) == 4
        create = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="new")
        new = events_of(await house.submit(create, key="make"))[0].workspace_id
        assert len(await house.log.heads()) == 3
        assert [event.seq_global for event in await house.stored(ws)] == [1, 2, 3, 4, 5]
        assert [event.seq_global for event in await house.stored(new)] == [1]
        ledger = await house.kernel.find(ws)
        assert ledger is not None
        assert ledger.seq == 5


async def test_the_writer_outlives_a_disk_that_can_be_neither_written_nor_read() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.hold()
        (task,) = renames(house, ws, ["x"])
        await house.log.started.wait()
        house.log.read_failure = StorageFailed("gone")
        house.log.fail_next(StorageFailed("gone"))
        house.log.release()
        refused = await asyncio.wait_for(task, HANG_S)
        assert reason(refused).startswith("unavailable")
        for name in "yz":
            (task,) = renames(house, ws, [name])
            assert reason(await asyncio.wait_for(task, HANG_S)).startswith("unavailable")

        house.log.read_failure = None
        accepted(await renames(house, ws, ["a"])[0])
        assert len(await house.stored(ws)) == 2


async def test_a_stream_misses_nothing_of_a_commit_that_was_called_failed() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.fail_next(StorageFailed("sync"), after_writing=True)
        rejection(await renames(house, ws, ["a"])[0])
        accepted(await renames(house, ws, ["b"])[0])

        seqs: list[int] = []
        steps = house.kernel.feed.follow(ws, after=0, only=Filter(), sees=lambda _: True)
        async with asyncio.timeout(HANG_S):
            async for found in steps:
                seqs += [event.seq for event in found.events]
                if found.looked_to == 3:
                    break
        assert seqs == [1, 2, 3]


@pytest.mark.parametrize("broken", ["_decide", "wanted_after", "_unfold"])
async def test_a_command_that_breaks_our_code_breaks_nothing_else(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_kernel() as house:
        ws = await house.workspace()

        def breaks(*_: object, **__: object) -> None:
            raise AssertionError("BUG: planted")

        with monkeypatch.context() as patch:
            patch.setattr(judgement, broken, breaks)
            with pytest.raises(Exception, match="AssertionError"):
                await house.submit(RenameWorkspace(workspace_id=ws, name="a"), key="k")

        await house.accept(RenameWorkspace(workspace_id=ws, name="a"), key="k")
        assert [event.seq_global for event in await house.stored(ws)] == [1, 2]


async def test_a_fault_in_what_follows_a_commit_takes_no_answer_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with make_kernel() as house:
        ws = await house.workspace()

        def breaks(*_: object) -> None:
            raise RuntimeError("planted")

        with monkeypatch.context() as patch:
            patch.setattr(house.kernel.projector, "wake", breaks)
            accepted(await renames(house, ws, ["a"])[0])

        accepted(await renames(house, ws, ["b"])[0])


async def test_reactions_that_do_not_end_are_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def echo(event: Event, world: World, context: Context) -> list[Event]:
        return [event] if isinstance(event, WorkspaceRenamed) else []

    looping = {**REACTING, WorkspaceRenamed: (msgspec.structs.replace(DECIDERS[0], react=echo),)}
    async with make_kernel() as house:
        ws = await house.workspace()
        with monkeypatch.context() as patch:
            patch.setattr(judgement, "REACTING", looping)
            with pytest.raises(Exception, match="AssertionError") as caught:
                await house.submit(RenameWorkspace(workspace_id=ws, name="a"))
        assert "do not end" in str(caught.value.__cause__)
        assert len(await house.stored(ws)) == 1
        await house.accept(RenameWorkspace(workspace_id=ws, name="a"))


async def test_stopping_answers_everything_that_was_asked() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.hold()
        tasks = renames(house, ws, "abcdef")
        await turns()
        stopping = asyncio.create_task(house.kernel.stop())
        await turns()
        late = renames(house, ws, ["late"])
        await turns()
        assert reason(await late[0]) == "unavailable"
        house.log.release()
        await stopping

        assert all(task.done() and task.result().accepted for task in tasks)
        assert len(await house.stored(ws)) == 7


async def test_stopping_twice_and_before_the_start_is_fine() -> None:
    async with make_kernel() as house:
        await house.kernel.stop()
        await house.kernel.stop()


async def test_a_batch_that_cannot_be_put_together_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with make_kernel() as house:
        ws = await house.workspace()

        def breaks(_: object) -> None:
            raise RuntimeError("planted")

        with monkeypatch.context() as patch:
            patch.setattr(writer, "to_appends", breaks)
            for task in renames(house, ws, "abc"):
                assert reason(await asyncio.wait_for(task, HANG_S)).startswith("unavailable")

        for task in renames(house, ws, "abc"):
            accepted(await task)
        assert [event.seq_global for event in await house.stored(ws)] == [1, 2, 3, 4]


async def test_a_writer_that_dies_is_loud_and_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with make_kernel() as house:
        ws = await house.workspace()

        async def breaks(*_: object) -> None:
            raise RuntimeError("planted")

        monkeypatch.setattr(writer.Writer, "_judge_waiting", breaks)
        tasks = renames(house, ws, "abc")
        answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), HANG_S)

        assert not any(isinstance(answer, Accepted) for answer in answers)
        assert reason(await renames(house, ws, "d")[0]) == "unavailable"
        assert any(record.levelname == "CRITICAL" for record in caplog.records)


async def test_two_workspaces_share_one_commit() -> None:
    async with make_kernel() as house:
        one, two = await house.workspace("a"), await house.workspace("b")
        house.log.hold()
        blocker = renames(house, one, ["x"])
        await house.log.started.wait()
        tasks = [*renames(house, one, ["y"]), *renames(house, two, ["z"])]
        await turns()
        house.log.release()
        for task in (*blocker, *tasks):
            accepted(await task)

        assert [part.workspace_id for part in house.log.appended[-1]] == [one, two]


async def test_what_became_durable_unheard_of_is_heard_of_though_nobody_asks_again() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.fail_next(StorageFailed("sync"), after_writing=True)
        rejection(await renames(house, ws, ["a"])[0])
        create = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="new")
        house.log.read_failure = StorageFailed("gone")
        house.log.fail_next(StorageFailed("sync"), after_writing=True)
        await turns()
        house.log.read_failure = None
        house.clock.later(10)
        await turns()

        assert house.kernel.feed.head(ws) == 2
        assert reason(await house.submit(create)).startswith("unavailable")
        await turns()
        assert len(house.kernel.cabinet.ledgers()) == 3


async def test_a_repeat_is_answered_from_the_log_byte_for_byte_after_a_failed_commit() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        house.log.fail_next(StorageFailed("sync"), after_writing=True)
        rejection(await renames(house, ws, ["a"])[0])

        first = accepted(await renames(house, ws, ["a"])[0])
        second = accepted(await renames(house, ws, ["a"])[0])

        assert encode(first) == encode(second)
        assert [event.seq_global for event in events_of(first)] == [2]
        assert len(await house.stored(ws)) == 2
