"""A workspace in memory is the fold of its log: live and replayed it is the same, to the order of its indexes."""

import msgspec
import pytest

from moduprompt.domain.registry import UnreadableEvent
from moduprompt.domain.session.commands import AgentSpec, SpawnSession
from moduprompt.domain.task.commands import AssignTask, CreateTask
from moduprompt.domain.task.events import TaskAssigned, TaskCreated
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.kernel.cabinet import Cabinet, new_ledger
from moduprompt.kernel.ledger import Draft, Ledger
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Code,
    Refused,
    SessionId,
    TaskId,
    WorkspaceId,
    decode_event,
    encode,
)
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.memory.log import MemoryLog
from moduprompt.storage.port import Append, StoredEvent
from tests.support.domain import an_id
from tests.support.kernel import House, events_of, make_kernel, unheard

Change = dict[str, object]


async def replayed(house: House, ws: WorkspaceId) -> Ledger:
    cabinet = Cabinet(house.log.inner, loaded=unheard)
    ledger = await cabinet.find(ws)
    assert ledger is not None
    return ledger


async def test_a_replay_arrives_at_the_same_state_and_the_same_indexes() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        agent = AgentSpec(adapter="command", argv=("true",))
        sessions: list[SessionId] = []
        for name in "ab":
            order = SpawnSession(workspace_id=ws, project_id=project_id, name=name, agent=agent, place="none")
            sessions.append(SessionId(events_of(await house.accept(order))[0].subject.id))
        tasks: list[TaskId] = []
        for _ in range(4):
            made = await house.accept(CreateTask(workspace_id=ws, project_id=project_id, title="t"))
            tasks.append(TaskId(events_of(made)[0].subject.id))
        for task, session in ((0, 0), (1, 0), (0, 1), (2, 0), (0, 0), (3, 1), (1, 1)):
            await house.accept(AssignTask(workspace_id=ws, task_id=tasks[task], session_id=sessions[session]))

        live = await house.kernel.find(ws)
        again = await replayed(house, ws)
        assert live is not None
        assert again.state_hash() == live.state_hash()
        assert (again.seq, again.head_hash, again.last_time) == (live.seq, live.head_hash, live.last_time)
        for session in sessions:
            assert list(again.related(TaskState, session)) == list(live.related(TaskState, session))
            assert [each.session_id for each in live.related(TaskState, session)] == [session] * 2


async def test_two_states_of_one_subject_in_one_decision_are_indexed_as_a_replay_would() -> None:
    """A value held for one event only moves the subject in the index; live must not differ."""
    one, two = (SessionId(an_id(number)) for number in (0xD1, 0xD2))
    x, y = (TaskId(an_id(number)) for number in (0xE1, 0xE2))
    async with make_kernel() as house:
        ws = await house.workspace()
        project_id = await house.project(ws)
        made = await house.accept(CreateTask(workspace_id=ws, project_id=project_id, title="t"))
        template = events_of(made)[0]
    created = msgspec.json.decode(template.payload, type=TaskCreated)

    def made_of(task_id: TaskId) -> TaskCreated:
        return msgspec.structs.replace(created, task_id=task_id)

    def assigned(task_id: TaskId, session_id: SessionId) -> TaskAssigned:
        return TaskAssigned(task_id=task_id, session_id=session_id)

    decisions = (
        [made_of(x), assigned(x, one), assigned(x, two)],
        [made_of(y), assigned(y, one)],
        [assigned(x, one)],
    )
    live, stepwise = new_ledger(WorkspaceId(an_id(1))), new_ledger(WorkspaceId(an_id(1)))
    for decision in decisions:
        draft = Draft(live)
        for event in decision:
            draft.record(event, id_=event.subject().id)
            alone = Draft(stepwise)
            alone.record(event, id_=event.subject().id)
            alone.settle()
        draft.settle()

    assert [each.task_id for each in live.related(TaskState, one)] == [
        each.task_id for each in stepwise.related(TaskState, one)
    ]


async def a_log(house: House) -> tuple[WorkspaceId, list[StoredEvent]]:
    ws = await house.workspace()
    for name in "abc":
        await house.accept(RenameWorkspace(workspace_id=ws, name=name))
    return ws, await house.log.inner.read(ws, after=0, limit=100)


def whole(ws: WorkspaceId, events: list[StoredEvent], head_hash: str | None = None) -> Append:
    return Append(
        workspace_id=ws,
        expected_seq=0,
        epoch=1,
        head_hash=head_hash or content_hash(events[-1].data),
        events=tuple(events),
    )


async def log_of(ws: WorkspaceId, events: list[StoredEvent], *, head_hash: str | None = None) -> MemoryLog:
    log = MemoryLog()
    await log.append([whole(ws, events, head_hash)])
    return log


def changed(event: StoredEvent, **changes: object) -> StoredEvent:
    envelope = msgspec.structs.replace(decode_event(event.data), **changes)
    return msgspec.structs.replace(event, data=encode(envelope))


async def damage_in(log: MemoryLog, ws: WorkspaceId) -> str:
    """Why a workspace can't be read."""
    cabinet = Cabinet(log, loaded=unheard)
    with pytest.raises(Refused) as refused:
        await cabinet.find(ws)
    (damage,) = cabinet.damaged()
    details = {"reason": "workspace_damaged", "workspace_id": ws, "seq": damage.seq}
    assert refused.value.rejection.code is Code.UNAVAILABLE
    assert details.items() <= (refused.value.rejection.details or {}).items()
    return damage.error


async def find_in(log: MemoryLog, ws: WorkspaceId) -> Ledger | None:
    return await Cabinet(log, loaded=unheard).find(ws)


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        (1, {"trace_id": "forged"}),
        (3, {"trace_id": "forged"}),
        (2, {"prev_hash": "blake3:" + "0" * 64}),
        (2, {"seq_global": 7}),
        (3, {"seq_stream": 9}),
        (3, {"timestamp": "yesterday"}),
    ],
)
async def test_a_log_that_was_changed_is_refused(place: int, changes: Change) -> None:
    async with make_kernel() as house:
        ws, events = await a_log(house)
    head_hash = content_hash(events[-1].data)
    events[place] = changed(events[place], **changes)

    assert "event" in await damage_in(await log_of(ws, events, head_hash=head_hash), ws)


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00\xff", b'{"x":' + b"[" * 100_000])
async def test_a_damaged_event_is_refused(data: bytes) -> None:
    async with make_kernel() as house:
        ws, events = await a_log(house)
    events[2] = msgspec.structs.replace(events[2], data=data)

    assert "event 3 is damaged" in await damage_in(await log_of(ws, events), ws)


class ShortLog(MemoryLog):
    """Has lost its last events, but not its head."""

    async def read(self, workspace_id: WorkspaceId, *, after: int, limit: int) -> list[StoredEvent]:
        found = await super().read(workspace_id, after=after, limit=limit)
        return [event for event in found if event.seq <= 2]


async def test_a_log_that_stops_before_its_head_is_refused_and_not_waited_for() -> None:
    async with make_kernel() as house:
        ws, events = await a_log(house)
    log = ShortLog()
    await log.append([whole(ws, events)])

    assert "nothing follows 2 of 4" in await damage_in(log, ws)


@pytest.mark.parametrize("changes", [{"event_type": "workspace.teleported"}, {"schema_version": 2}])
async def test_an_event_of_the_future_keeps_its_workspace_shut_and_says_which(changes: Change) -> None:
    async with make_kernel() as house:
        ws, events = await a_log(house)
    events[3] = changed(events[3], **changes)
    log = await log_of(ws, events)

    assert "which this version does not know" in await damage_in(log, ws)


async def test_a_system_workspace_that_can_not_be_read_stops_the_boot() -> None:
    log = MemoryLog()
    async with make_kernel(log=log):
        events = await log.read(SYSTEM_WORKSPACE, after=0, limit=100)
    events[1] = changed(events[1], event_type="user.teleported")

    with pytest.raises(UnreadableEvent, match="which this version does not know"):
        async with make_kernel(log=await log_of(SYSTEM_WORKSPACE, events)):
            raise AssertionError("it must not start")


async def test_a_rejection_of_the_future_is_passed_over() -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        await house.submit(RenameWorkspace(workspace_id=ws, name="x"), expected_version=9)
        events = await house.log.inner.read(ws, after=0, limit=100)
    events[1] = changed(events[1], schema_version=2)

    ledger = await find_in(await log_of(ws, events), ws)

    assert ledger is not None
    assert ledger.seq == 2
