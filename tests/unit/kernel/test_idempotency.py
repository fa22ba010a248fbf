"""A key answers what it answered, whoever repeats it, however often, whatever happened in between."""

import asyncio

import pytest

from moduprompt.domain.project.commands import ArchiveProject, RenameProject
from moduprompt.domain.task.commands import FireDeadline
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.protocol import SYSTEM_WORKSPACE, Actor, TaskId, encode
from tests.support.deadline import turns
from tests.support.domain import an_id
from tests.support.kernel import accepted, events_of, make_kernel, reason, rejection


async def test_a_repeat_gets_the_same_answer_and_no_new_event() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        command = RenameProject(workspace_id=ws, project_id=project_id, name="core")
        first = await house.submit(command, key="k")
        after = len(await house.stored(ws))

        for _ in range(3):
            assert encode(await house.submit(command, key="k", trace_id="another")) == encode(first)
        await house.accept(RenameProject(workspace_id=ws, project_id=project_id, name="other"))
        assert encode(await house.submit(command, key="k")) == encode(first)

        assert len(await house.stored(ws)) == after + 1


async def test_a_repeat_after_a_restart_gets_the_same_answer() -> None:
    async with make_kernel() as house:
        create = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="w")
        made = await house.submit(create, key="make")
        ws = events_of(made)[0].workspace_id
        rename = RenameWorkspace(workspace_id=ws, name="other")
        renamed = await house.submit(rename, key="name")
        log = house.log

    async with make_kernel(log=log.inner) as house:
        assert encode(await house.submit(create, key="make")) == encode(made)
        assert encode(await house.submit(rename, key="name")) == encode(renamed)
        assert len(await house.log.heads()) == 2


async def test_a_wish_already_fulfilled_keeps_its_answer() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        same = RenameWorkspace(workspace_id=ws, name="w")
        first = accepted(await house.submit(same, key="k"))
        await house.accept(RenameWorkspace(workspace_id=ws, name="x"))

        again = accepted(await house.submit(same, key="k"))

        assert first.events == ()
        assert encode(again) == encode(first)


async def test_the_same_key_for_another_command_is_refused() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        await house.submit(RenameProject(workspace_id=ws, project_id=project_id, name="a"), key="k")

        for other in (
            RenameProject(workspace_id=ws, project_id=project_id, name="b"),
            ArchiveProject(workspace_id=ws, project_id=project_id),
        ):
            refused = await house.submit(other, key="k")
            assert reason(refused) == "validation_failed/idempotency_key_reused"
            assert [event.event_type for event in events_of(refused)] == ["command.rejected"]


async def test_a_key_belongs_to_its_actor_and_workspace() -> None:
    async with make_kernel() as house:
        one, two = await house.workspace("a"), await house.workspace("b")

        for ws in (one, two):
            await house.accept(RenameWorkspace(workspace_id=ws, name="same"), key="k")

        assert [len(await house.stored(ws)) for ws in (one, two)] == [2, 2]


async def test_a_refused_command_leaves_its_key_free() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        rename = RenameProject(workspace_id=ws, project_id=project_id, name="x")

        refused = await house.submit(rename, key="k", expected_version=7)
        assert reason(refused) == "expected_version_mismatch"
        await house.accept(ArchiveProject(workspace_id=ws, project_id=project_id), key="k")


async def test_the_same_command_at_once_is_carried_out_once() -> None:
    async with make_kernel() as house:
        create = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="w")

        answers = await asyncio.gather(*(house.submit(create, key="k") for _ in range(20)))

        assert len({encode(answer) for answer in answers}) == 1
        assert len(await house.log.heads()) == 2


async def test_two_commands_at_once_under_one_key_are_one_yes_and_one_no() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()

        answers = await asyncio.gather(
            *(house.submit(RenameWorkspace(workspace_id=ws, name=name), key="k") for name in "ab")
        )

        assert sorted(answer.accepted for answer in answers) == [False, True]


@pytest.mark.parametrize("moment", ["queued", "writing"])
async def test_a_client_that_goes_away_neither_doubles_nor_blocks(moment: str) -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        other = asyncio.create_task(house.submit(RenameWorkspace(workspace_id=ws, name="busy")))
        house.log.hold()
        await house.log.started.wait()
        create = CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="once")
        if moment == "writing":
            house.log.release()
            await other
            house.log.hold()
        gone = asyncio.create_task(house.submit(create, key="k"))
        await turns()
        gone.cancel()
        await turns()

        again = [asyncio.create_task(house.submit(create, key="k")) for _ in range(2)]
        await turns()
        house.log.release()
        answers = [accepted(await each) for each in again]
        await other

        assert len({encode(answer) for answer in answers}) == 1
        assert len(await house.log.heads()) == 3


async def test_the_kernels_own_commands_are_carried_out_once() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        rename = RenameWorkspace(workspace_id=ws, name="by the kernel")

        answers = await asyncio.gather(*(house.kernel.execute(rename, key="timer/1") for _ in range(10)))
        answers.append(await house.kernel.execute(rename, key="timer/1"))

        assert len({encode(answer) for answer in answers}) == 1
        assert [event.actor.kind for event in await house.stored(ws)] == ["user", "system"]


async def test_the_kernels_own_keys_are_not_those_of_others() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        await house.kernel.execute(RenameWorkspace(workspace_id=ws, name="a"), key="k")

        await house.accept(RenameWorkspace(workspace_id=ws, name="b"), key="k")


async def test_the_kernel_refuses_to_use_a_key_of_its_own_for_something_else() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        await house.kernel.execute(RenameWorkspace(workspace_id=ws, name="a"), key="k")

        refused = await house.kernel.execute(RenameWorkspace(workspace_id=ws, name="b"), key="k")

        assert reason(refused) == "validation_failed/idempotency_key_reused"


async def test_internal_commands_are_refused_from_people() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        fire = FireDeadline(workspace_id=ws, task_id=TaskId(an_id(1)), due_at="2026-01-01T00:00:00.000000Z")

        assert reason(await house.submit(fire)) == "policy_denied/kernel_only"
        stranger = Actor(kind="worker", id=an_id(9))
        assert rejection(await house.submit(fire, actor=stranger)).code.value == "not_found"
