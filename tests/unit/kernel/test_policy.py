"""What the token of a run may do: within its lineage, by its rights, and some things never."""

import asyncio

import msgspec
import pytest

from moduprompt.domain.approval.commands import GrantApproval
from moduprompt.domain.decider import Command
from moduprompt.domain.project.commands import CreateProject, RenameProject
from moduprompt.domain.run.commands import ReportLost
from moduprompt.domain.session.commands import (
    AgentSpec,
    CloseSession,
    PromptSession,
    RenameSession,
    SpawnSession,
)
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.commands import AdvanceStage, AssignTask, CancelTask, CreateTask
from moduprompt.domain.workspace.commands import ArchiveWorkspace, CreateWorkspace, RenameWorkspace
from moduprompt.kernel.visibility import may_enter, may_see
from moduprompt.policy.rights import Right
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Actor,
    ApprovalId,
    ProjectId,
    RunId,
    SessionId,
    Subject,
    TaskId,
    WorkspaceId,
)
from tests.support.deadline import turns
from tests.support.domain import OTHER, an_id
from tests.support.kernel import House, accepted, events_of, make_kernel, reason

AGENT = AgentSpec(adapter="command", argv=("true",))


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """A session, its child, and a stranger beside them."""

    ws: WorkspaceId
    project_id: ProjectId
    parent: SessionId
    child: SessionId
    stranger: SessionId
    task_id: TaskId

    @property
    def actor(self) -> Actor:
        """The parent."""
        return Actor(kind="session", id=self.parent)


async def spawn(
    house: House,
    ws: WorkspaceId,
    project_id: ProjectId,
    *,
    parent: SessionId | None = None,
    may: tuple[Right, ...] | None = None,
    actor: Actor | None = None,
) -> SessionId:
    order = SpawnSession(
        workspace_id=ws,
        project_id=project_id,
        name="s",
        agent=AGENT,
        parent_session_id=parent,
        place="none",
        may=may,
    )
    return SessionId(events_of(await house.accept(order, actor=actor))[0].subject.id)


async def a_lineage(house: House, *, may: tuple[Right, ...] | None = None) -> Lineage:
    ws = await house.workspace()
    project_id = await house.project(ws)
    parent = await spawn(house, ws, project_id, may=may)
    child = await spawn(house, ws, project_id, parent=parent)
    stranger = await spawn(house, ws, project_id)
    made = await house.accept(CreateTask(workspace_id=ws, project_id=project_id, title="t"))
    task_id = TaskId(events_of(made)[0].subject.id)
    return Lineage(
        ws=ws, project_id=project_id, parent=parent, child=child, stranger=stranger, task_id=task_id
    )


def never(at: Lineage) -> dict[str, Command]:
    return {
        "approve": GrantApproval(workspace_id=at.ws, approval_id=ApprovalId(an_id(1))),
        "create a workspace": CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="x"),
        "archive the workspace": ArchiveWorkspace(workspace_id=at.ws),
        "rename the workspace": RenameWorkspace(workspace_id=at.ws, name="x"),
        "create a project": CreateProject(workspace_id=at.ws, name="x"),
        "rename its project": RenameProject(workspace_id=at.ws, project_id=at.project_id, name="x"),
        "rename itself": RenameSession(workspace_id=at.ws, session_id=at.parent, name="x"),
        "close its child": CloseSession(workspace_id=at.ws, session_id=at.child),
        "cancel a task": CancelTask(workspace_id=at.ws, task_id=at.task_id),
        "assign a task": AssignTask(workspace_id=at.ws, task_id=at.task_id, session_id=at.parent),
    }


NEVER = (
    "approve",
    "create a workspace",
    "archive the workspace",
    "rename the workspace",
    "create a project",
    "rename its project",
    "rename itself",
    "close its child",
    "cancel a task",
    "assign a task",
)


@pytest.mark.parametrize("what", NEVER)
async def test_a_session_never_may(what: str) -> None:
    async with make_kernel() as house:
        at = await a_lineage(house)
        refused = await house.submit(never(at)[what], actor=at.actor)

        assert reason(refused) == "policy_denied/never_for_sessions"
        assert events_of(refused)[0].actor == at.actor


async def test_a_session_may_not_speak_as_the_kernel() -> None:
    async with make_kernel() as house:
        at = await a_lineage(house)
        order = ReportLost(workspace_id=at.ws, run_id=RunId(an_id(1)), evidence="x")

        assert reason(await house.submit(order, actor=at.actor)) == "policy_denied/kernel_only"


async def test_a_session_prompts_its_descendants_and_nobody_else() -> None:
    async with make_kernel() as house:
        at = await a_lineage(house)

        def prompt(session_id: SessionId) -> PromptSession:
            return PromptSession(workspace_id=at.ws, session_id=session_id, prompt="do it")

        accepted(await house.submit(prompt(at.child), actor=at.actor))
        for other in (at.parent, at.stranger, SessionId(an_id(0xEE))):
            assert (
                reason(await house.submit(prompt(other), actor=at.actor)) == "policy_denied/outside_lineage"
            )
        child = Actor(kind="session", id=at.child)
        assert reason(await house.submit(prompt(at.parent), actor=child)) == "policy_denied/outside_lineage"


async def test_a_session_spawns_below_itself_only() -> None:
    async with make_kernel() as house:
        at = await a_lineage(house)
        await spawn(house, at.ws, at.project_id, parent=at.parent, actor=at.actor)
        for parent in (None, at.child, at.stranger):
            order = SpawnSession(
                workspace_id=at.ws, project_id=at.project_id, name="x", agent=AGENT, parent_session_id=parent
            )
            assert reason(await house.submit(order, actor=at.actor)) == "policy_denied/outside_lineage"


async def test_a_right_that_is_not_held_is_missing_for_the_children_too() -> None:
    async with make_kernel() as house:
        at = await a_lineage(house, may=(Right.READ_LINEAGE,))
        order = PromptSession(workspace_id=at.ws, session_id=at.child, prompt="do it")
        assert reason(await house.submit(order, actor=at.actor)) == "policy_denied/right_missing"

        ledger = await house.kernel.find(at.ws)
        assert ledger is not None
        child = ledger.find(SessionState, at.child)
        assert child is not None
        assert child.may == (Right.READ_LINEAGE,)


async def test_other_workspaces_do_not_exist_for_a_session() -> None:
    async with make_kernel() as house:
        at = await a_lineage(house)
        other = await house.workspace("other")
        for ws in (other, WorkspaceId(an_id(0xEE))):
            refused = await house.submit(RenameWorkspace(workspace_id=ws, name="x"), actor=at.actor)
            assert reason(refused) == "not_found"
            assert refused.events == ()


@pytest.mark.parametrize("kind", ["worker", "webhook"])
async def test_kinds_of_actor_that_nobody_knows_yet_see_nothing(kind: str) -> None:
    async with make_kernel() as house:
        ws = await house.workspace()
        stranger = Actor(kind=kind, id=house.owner.id)  # type: ignore[arg-type]

        assert (
            reason(await house.submit(RenameWorkspace(workspace_id=ws, name="x"), actor=stranger))
            == "not_found"
        )


async def test_who_may_enter_where() -> None:
    async with make_kernel() as house:
        at = await a_lineage(house)
        ledger, system = await house.kernel.find(at.ws), await house.kernel.find(SYSTEM_WORKSPACE)
        assert ledger is not None
        assert system is not None

        assert may_enter(house.owner, ledger)
        assert may_enter(house.owner, system)
        assert not may_enter(OTHER, ledger)
        assert not may_enter(OTHER, system)
        assert may_enter(at.actor, ledger)
        assert not may_enter(at.actor, system)
        assert may_enter(Actor(kind="system", id="kernel"), system)


async def test_a_session_sees_its_lineage_and_what_hangs_on_it() -> None:
    async with make_kernel() as house:
        at = await a_lineage(house)
        ledger = await house.kernel.find(at.ws)
        assert ledger is not None

        def sees(kind: str, id_: str) -> bool:
            return may_see(at.actor, ledger, Subject(kind=kind, id=id_))

        assert [sees("session", each) for each in (at.parent, at.child, at.stranger)] == [True, True, False]
        assert sees("workspace", at.ws)
        assert sees("project", at.project_id)
        assert not sees("project", an_id(0xEE))
        assert not sees("task", at.task_id)
        assert not sees("command", an_id(0xEE))
        assert not sees("unheard_of", an_id(0xEE))


async def test_the_writer_asks_again_when_what_the_policy_relied_on_has_moved() -> None:
    """The task was the session's when the gates looked; it is another's when the writer decides."""
    async with make_kernel() as house:
        at = await a_lineage(house)
        await house.accept(AssignTask(workspace_id=at.ws, task_id=at.task_id, session_id=at.parent))
        advance = AdvanceStage(workspace_id=at.ws, task_id=at.task_id)
        before = await house.submit(advance, actor=at.actor)
        assert not reason_or_none(before).startswith("policy_denied")

        house.log.hold()
        blocker = asyncio.create_task(house.submit(RenameWorkspace(workspace_id=at.ws, name="x")))
        await house.log.started.wait()
        moved = asyncio.create_task(
            house.submit(AssignTask(workspace_id=at.ws, task_id=at.task_id, session_id=at.stranger))
        )
        asked = asyncio.create_task(house.submit(advance, actor=at.actor))
        await turns()
        house.log.release()
        await blocker
        accepted(await moved)

        assert reason(await asked) == "policy_denied/outside_lineage"


def reason_or_none(answer: object) -> str:
    return "" if getattr(answer, "accepted", False) else reason(answer)  # type: ignore[arg-type]
