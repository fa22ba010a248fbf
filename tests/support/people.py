"""People who talk with the programs of a fleet: what they say, how they answer, and what was sent of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from moduprompt.domain.approval.commands import DenyApproval, GrantApproval
from moduprompt.domain.approval.events import ApprovalAsked
from moduprompt.domain.approval.view import WAITING, ApprovalItem
from moduprompt.domain.registry import read_event
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import PromptSession
from moduprompt.domain.session.events import PromptAccepted
from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import read_journal
from moduprompt.protocol import ApprovalId, PromptId, decode_event
from tests.support.deadline import eventually_async
from tests.support.fleet import RUN_S_MAX, Fleet, Session


async def said(own: Fleet, session: Session, text: str, *, steer: bool = False) -> PromptId:
    """A prompt that its session has accepted; `steer`: for the turn that runs."""
    command = PromptSession(workspace_id=own.workspace_id, session_id=session.id, prompt=text, steer=steer)
    accepted = read_event(decode_event((await own.client.submit(command)).events[0]))
    assert isinstance(accepted, PromptAccepted)
    return accepted.prompt_id


async def asked(own: Fleet, session: Session) -> ApprovalId:
    """The approval that its program waits for."""
    found: list[ApprovalItem] = []

    async def is_there() -> bool:
        found.extend(each for each in await approvals(own, session) if each.status == WAITING)
        return bool(found)

    await eventually_async(is_there, within_s=RUN_S_MAX)
    return ApprovalId(found[0].id)


async def approvals(own: Fleet, session: Session) -> list[ApprovalItem]:
    """Whatever its run has asked, in that order."""
    every = await own.client.list(ApprovalItem, workspace_id=own.workspace_id)
    return [each for each in every if each.run_id == session.run_id]


@asynccontextmanager
async def answering(
    own: Fleet, session: Session, *, order: type[GrantApproval | DenyApproval]
) -> AsyncGenerator[None]:
    """A person who decides each question of its run at once, always the same."""

    async def answer() -> None:
        async with aclosing(own.every(ApprovalAsked, of=session.run_id)) as questions:
            async for each in questions:
                await own.client.submit(order(workspace_id=own.workspace_id, approval_id=each.approval_id))

    async with asyncio.TaskGroup() as tasks:
        person = tasks.create_task(answer())
        try:
            yield
        finally:
            person.cancel()


async def turns_ended(own: Fleet, session: Session, count: int) -> None:
    """So many turns are over."""

    async def are_over() -> bool:
        run = await own.client.get(RunItem, session.run_id, workspace_id=own.workspace_id)
        return run.turns == count and not run.is_in_turn

    await eventually_async(are_over, within_s=RUN_S_MAX)


def intended(own: Fleet, session: Session) -> list[str]:
    """Every input that its keeper was asked for."""
    run_dir = own.place.data / "runs" / session.run_id
    told = (entry.report for entry in read_journal(run_dir))
    return [each.input_id for each in told if isinstance(each, port.InputIntended)]
