"""Hands without a world: they take their time, fail, forget and succeed as a seed says.

Their reports carry the keys that real hands use, so that doing a thing twice is told once.
"""

import random
from typing import Final, TypeAlias

from moduprompt.domain.decider import Command, Intent
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.leaving import EraseHome
from moduprompt.domain.run.commands import ReportExited, ReportLost, ReportStarted, ReportStatus
from moduprompt.domain.run.intents import EndRun, InterruptTurn, KeepRun, ResizeTerminal, TypePrompt
from moduprompt.domain.session.commands import ReportHomeErased, ReportInterrupt, ReportPrompt
from moduprompt.domain.worktree.commands import (
    Operation,
    ReportCommitted,
    ReportCreated,
    ReportDeleted,
    ReportFailed,
    ReportMerged,
)
from moduprompt.domain.worktree.intents import MakeCommit, MakeMerge, MakeWorktree, RemoveWorktree
from moduprompt.kernel.kernel import Kernel
from tests.support.simulation.virtual_time import VirtualClock

GitIntent: TypeAlias = MakeWorktree | MakeCommit | MakeMerge | RemoveWorktree
DELAYS_S: Final = (0.0, 0.0, 0.05, 1.0, 7.0)


class HandBroke(Exception):
    """What a seed ordered."""


class SimHand:
    """For every kind of intent."""

    def __init__(self, kernel: Kernel, *, rng: random.Random, clock: VirtualClock) -> None:
        self._kernel = kernel
        self._rng = rng
        self._clock = clock

    @property
    def handles(self) -> tuple[type[Intent], ...]:
        """All there are."""
        return (
            KeepRun,
            EndRun,
            ResizeTerminal,
            TypePrompt,
            InterruptTurn,
            MakeWorktree,
            MakeCommit,
            MakeMerge,
            RemoveWorktree,
            EraseHome,
        )

    async def carry_out(self, intent: Intent) -> bool:
        """Sometimes."""
        await self._clock.pass_by(self._rng.choice(DELAYS_S))
        luck = self._rng.random()
        if luck < 0.1:
            raise HandBroke(intent.name)
        if luck < 0.2:
            return False
        match intent:
            case KeepRun():
                await self._keep(intent)
            case EndRun():
                end = ReportExited(workspace_id=intent.workspace_id, run_id=intent.run_id, how="stopped")
                await self._tell(end, key=f"{intent.name}/done")
            case TypePrompt():
                await self._type(intent)
            case InterruptTurn():
                await self._interrupt(intent)
            case EraseHome():
                erased = ReportHomeErased(workspace_id=intent.workspace_id, session_id=intent.session_id)
                await self._tell(erased, key=f"{intent.name}/done")
            case MakeWorktree() | MakeCommit() | MakeMerge() | RemoveWorktree():
                await self._git(intent)
            case _:
                pass
        return True

    async def _keep(self, intent: KeepRun) -> None:
        ws, run = intent.workspace_id, intent.run_id
        if intent.is_started and self._rng.random() < 0.3:
            lost = ReportLost(workspace_id=ws, run_id=run, evidence="it is gone")
            await self._tell(lost, key=f"{intent.name}/lost")
            return
        started = ReportStarted(workspace_id=ws, run_id=run, pid=7, start_time=9)
        await self._tell(started, key=f"{intent.name}/started")
        for number in range(self._rng.randrange(3)):
            await self._clock.pass_by(self._rng.choice(DELAYS_S))
            seen = ReportStatus(
                workspace_id=ws,
                run_id=run,
                status=self._rng.choice(("working", "waiting_input", "waiting_input", "idle")),
                rule="marker",
                rule_version=1,
                evidence=f"look {number}",
            )
            await self._tell(seen, key=f"run/{run}/seen/{self._clock.now()}")
        await self._clock.pass_by(self._rng.choice(DELAYS_S))
        failure = self._rng.choice((None, None, FailureClass.EXIT_NONZERO))
        ended = ReportExited(workspace_id=ws, run_id=run, how="exited", code=0, failure=failure)
        await self._tell(ended, key=f"{intent.name}/ended")

    async def _type(self, intent: TypePrompt) -> None:
        steps = ("submitted",) if intent.is_placed else ("placed", "submitted")
        for step in steps:
            report = ReportPrompt(
                workspace_id=intent.workspace_id,
                session_id=intent.session_id,
                prompt_id=intent.prompt_id,
                outcome=step,
            )
            await self._tell(report, key=f"{intent.name}/{step}")
            await self._clock.pass_by(self._rng.choice(DELAYS_S))

    async def _interrupt(self, intent: InterruptTurn) -> None:
        end = self._rng.choice(("sent", "sent", "not_taken", "uncertain"))
        steps = (end,) if intent.is_placed else ("placed", end)
        for step in steps:
            report = ReportInterrupt(
                workspace_id=intent.workspace_id,
                session_id=intent.session_id,
                interrupt_id=intent.interrupt_id,
                outcome=step,
                evidence="as the seed says",
            )
            await self._tell(report, key=f"{intent.name}/{step}")
            await self._clock.pass_by(self._rng.choice(DELAYS_S))

    async def _git(self, intent: GitIntent) -> None:
        fails = self._rng.random() < 0.2
        await self._tell(
            _failed(intent) if fails else _done(intent), key=f"{intent.name}/{'failed' if fails else 'done'}"
        )

    async def _tell(self, report: Command, *, key: str) -> None:
        """What can't be written now is tried again by the reactor: it raises."""
        await self._kernel.execute(report, key=key)


def _done(intent: GitIntent) -> Command:
    ws, tree = intent.workspace_id, intent.worktree_id
    match intent:
        case MakeWorktree():
            return ReportCreated(workspace_id=ws, worktree_id=tree, path=f"/trees/{tree}", head="c0ffee")
        case MakeCommit():
            return ReportCommitted(
                workspace_id=ws,
                worktree_id=tree,
                generation=intent.generation,
                head="beef",
                commits=("beef",),
                files_changed=1,
            )
        case MakeMerge():
            return ReportMerged(
                workspace_id=ws,
                worktree_id=tree,
                generation=intent.generation,
                commit="f00d",
                into=intent.into,
            )
        case RemoveWorktree():
            return ReportDeleted(workspace_id=ws, worktree_id=tree)


def _failed(intent: GitIntent) -> Command:
    generation = intent.generation if isinstance(intent, MakeCommit | MakeMerge) else None
    return ReportFailed(
        workspace_id=intent.workspace_id,
        worktree_id=intent.worktree_id,
        operation=_operation(intent),
        generation=generation,
        failure=FailureClass.WORKTREE_CONFLICT,
        reason="as the seed says",
    )


def _operation(intent: GitIntent) -> Operation:
    match intent:
        case MakeWorktree():
            return "create"
        case MakeCommit():
            return "commit"
        case MakeMerge():
            return "merge"
        case RemoveWorktree():
            return "delete"
