"""What stands in the log: numbers, time, causes, the chain, and rejections."""

import pytest

from moduprompt.domain.project.commands import RenameProject
from moduprompt.domain.task.commands import CreateTask, SetDeadline, StartTask
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.kernel.quota import REJECTIONS_BURST, REJECTIONS_PER_S
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    CommandRejected,
    TaskId,
    decode,
    encode,
    to_micros,
)
from moduprompt.storage.hashing import content_hash, first_hash
from tests.support.domain import OTHER, an_id
from tests.support.kernel import House, accepted, events_of, make_kernel, reason, rejection


async def a_busy_workspace(house: House) -> str:
    ws = await house.workspace()
    project_id = await house.project(ws)
    await house.submit(RenameProject(workspace_id=ws, project_id=project_id, name="x"), expected_version=9)
    made = await house.accept(CreateTask(workspace_id=ws, project_id=project_id, title="t"))
    await house.accept(StartTask(workspace_id=ws, task_id=TaskId(events_of(made)[0].subject.id)))
    return ws


async def test_a_workspace_is_numbered_from_one_without_a_gap() -> None:
    async with make_kernel() as house:
        ws = await a_busy_workspace(house)
        events = await house.stored(ws)  # type: ignore[arg-type]

        assert len(events) > 4
        assert [event.seq_global for event in events] == list(range(1, len(events) + 1))


async def test_each_subject_is_numbered_from_one_without_a_gap() -> None:
    async with make_kernel() as house:
        ws = await a_busy_workspace(house)
        seen: dict[str, int] = {}
        for event in await house.stored(ws):  # type: ignore[arg-type]
            assert event.seq_stream == seen.get(event.subject.id, 0) + 1
            seen[event.subject.id] = event.seq_stream

        assert max(seen.values()) > 1


async def test_every_event_hangs_on_the_bytes_before_it() -> None:
    async with make_kernel() as house:
        ws = await a_busy_workspace(house)
        before = first_hash(ws)  # type: ignore[arg-type]
        stored = await house.log.inner.read(ws, after=0, limit=100)  # type: ignore[arg-type]
        for raw, event in zip(stored, await house.stored(ws), strict=True):  # type: ignore[arg-type]
            assert event.prev_hash == before
            before = content_hash(raw.data)

        (head,) = [head for head in await house.log.heads() if head.workspace_id == ws]
        assert head.head_hash == before


async def test_the_answer_holds_the_stored_bytes() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        made = await house.accept(RenameWorkspace(workspace_id=ws, name="y"))
        stored = await house.log.inner.read(ws, after=1, limit=10)

        assert [bytes(each) for each in made.events] == [each.data for each in stored]
        assert made.seq_global == stored[-1].seq


async def test_a_clock_that_is_set_back_does_not_move_events_back() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        for seconds, name in ((10, "a"), (-86_400, "b"), (1, "c"), (86_400, "d")):
            house.clock.later(seconds)
            await house.accept(RenameWorkspace(workspace_id=ws, name=name))
        times = [to_micros(event.timestamp) for event in await house.stored(ws)]

        assert times == sorted(times)
        assert times[1] == times[2] == times[3] < times[4]


async def test_time_does_not_go_back_over_a_restart_either() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        log = house.log.inner
        house.clock.later(100)
        await house.accept(RenameWorkspace(workspace_id=ws, name="a"))

    async with make_kernel(log=log) as house:
        await house.accept(RenameWorkspace(workspace_id=ws, name="b"))
        times = [event.timestamp for event in await house.stored(ws)]

        assert times == sorted(times)


async def test_what_follows_names_its_cause() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        answer = await house.accept(CreateTask(workspace_id=ws, project_id=project_id, title="t"))
        task_id = TaskId(events_of(answer)[0].subject.id)
        answer = await house.accept(StartTask(workspace_id=ws, task_id=task_id))
        events = events_of(answer)

        assert len(events) > 0
        for number, event in enumerate(events):
            cause = event.causality
            assert cause is not None
            assert cause.command_id == answer.command_id
            assert cause.root_event_id == (None if number == 0 else events[0].event_id)
            assert cause.parent_event_id is None or cause.parent_event_id in [
                e.event_id for e in events[:number]
            ]
            assert event.trace_id == "trace"


async def test_a_rejection_says_what_and_why_and_never_what_was_said() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        before = (await house.stored(ws))[-1].seq_stream
        rename = RenameProject(workspace_id=ws, project_id=project_id, name="s3cret name")
        answer = await house.submit(rename, expected_version=9, key="k")
        (event,) = events_of(answer)
        payload = decode(event.payload, CommandRejected)

        assert (event.event_type, event.subject.kind) == ("command.rejected", "command")
        assert event.subject.id == answer.command_id
        assert isinstance(payload, CommandRejected)
        assert (payload.command_type, payload.code) == ("project.rename", "expected_version_mismatch")
        assert b"s3cret" not in encode(event)
        accepted(await house.submit(rename, expected_version=before))


async def test_rejections_of_one_actor_are_limited_whoever_refuses() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        rename = RenameProject(workspace_id=ws, project_id=an_id(0xEE), name="x")  # type: ignore[arg-type]
        start = len(await house.stored(ws))
        answers = [await house.submit(rename) for _ in range(3 * REJECTIONS_BURST)]

        assert {reason(answer) for answer in answers} == {"not_found"}
        left = len(await house.stored(ws)) - start
        assert left == REJECTIONS_BURST
        house.clock.later(1)
        for _ in range(10):
            await house.submit(rename)
        assert len(await house.stored(ws)) - start - left == REJECTIONS_PER_S
        await house.accept(RenameWorkspace(workspace_id=ws, name="still works"))


async def test_a_clock_set_back_does_not_silence_rejections() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        rename = RenameProject(workspace_id=ws, project_id=an_id(0xEE), name="x")  # type: ignore[arg-type]
        await house.submit(rename)
        house.clock.later(-86_400)
        await house.submit(rename)
        house.clock.later(5)

        assert len((await house.submit(rename)).events) == 1


@pytest.mark.parametrize(
    ("expected", "said"),
    [(None, None), (0, None), (1, "expected_version_mismatch"), (2**53, "expected_version_mismatch")],
)
async def test_a_create_accepts_only_absent_or_zero(expected: int | None, said: str | None) -> None:
    async with make_kernel() as house:
        create = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="w")
        answer = await house.submit(create, expected_version=expected)

        assert (None if answer.accepted else reason(answer)) == said


async def test_an_expected_version_is_the_subjects_not_the_workspaces() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        one, two = await house.project(ws, "a"), await house.project(ws, "b")
        await house.accept(RenameProject(workspace_id=ws, project_id=two, name="bb"))

        rename = RenameProject(workspace_id=ws, project_id=one, name="aa")
        head = len(await house.stored(ws))
        refused = rejection(await house.submit(rename, expected_version=head))
        assert refused.details == {"expected_version": head, "actual_version": 2}
        accepted(await house.submit(rename, expected_version=2))


async def test_the_version_of_one_kind_says_nothing_about_another() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        start = StartTask(workspace_id=ws, task_id=TaskId(project_id))

        assert reason(await house.submit(start, expected_version=0)) == "not_found"
        refused = rejection(await house.submit(start, expected_version=1))
        assert (refused.details or {})["actual_version"] == 0


async def test_what_one_may_not_see_looks_like_what_is_not_there() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        there = rejection(await house.submit(RenameWorkspace(workspace_id=ws, name="x"), actor=OTHER))
        nowhere = rejection(
            await house.submit(RenameWorkspace(workspace_id=an_id(0xEE), name="x"), actor=OTHER)  # type: ignore[arg-type]
        )

        assert encode(there).replace(ws.encode(), b"") == encode(nowhere).replace(an_id(0xEE).encode(), b"")
        assert len(await house.stored(ws)) == 1


@pytest.mark.parametrize(
    "due_at", ["2026-99-99T99:99:99.000000Z", "2026-01-01T00:00:00.000000Z\n", "0000-01-01T00:00:00.000000Z"]
)
async def test_a_time_that_does_not_exist_is_refused_and_breaks_nothing(due_at: str) -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        made = await house.accept(CreateTask(workspace_id=ws, project_id=project_id, title="t"))
        task_id = TaskId(events_of(made)[0].subject.id)

        refused = await house.submit(SetDeadline(workspace_id=ws, task_id=task_id, due_at=due_at))

        assert reason(refused).partition("/")[0] in ("invalid_schema", "validation_failed")
        await house.accept(RenameWorkspace(workspace_id=ws, name="still works"))
