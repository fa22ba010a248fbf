"""Makes the world outside be as the log says it should be.

Level-triggered, like a controller: each aggregate says all it wants; what is new is
begun, what is wanted no more is not sent for again. A hand that fails, or that says
it is not done yet, is sent again after a pause. After a restart the same intents arise
from the same state, and hands find what is done already.
"""

import asyncio
import logging
from typing import Final

from moduprompt.domain.decider import Intent
from moduprompt.kernel.judgement import Wanted
from moduprompt.kernel.ports import Clock, Hand
from moduprompt.protocol import Subject, WorkspaceId

PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # between tries; the last one repeats

log = logging.getLogger(__name__)


class Reactor:
    """One task for every intent that stands."""

    def __init__(self, *, clock: Clock) -> None:
        self._hands: dict[type[Intent], Hand] = {}
        self._clock = clock
        self._wanted: dict[Subject, dict[str, Intent]] = {}
        self._done: dict[Subject, set[str]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._started = False

    def update(self, wanted: Wanted) -> None:
        """One aggregate wants this now, and nothing else."""
        now = {intent.name: intent for intent in wanted.intents}
        if now:
            self._wanted[wanted.subject] = now
        else:
            self._wanted.pop(wanted.subject, None)
        done = self._done.pop(wanted.subject, set()) & now.keys()
        if done:
            self._done[wanted.subject] = done
        if self._started:
            for intent in wanted.intents:
                self._begin(wanted.subject, intent)

    def start(self, hands: tuple[Hand, ...]) -> None:
        """Begin to act; until then intents are only noted."""
        self._hands = {kind: hand for hand in hands for kind in hand.handles}
        self._started = True
        for subject, intents in list(self._wanted.items()):
            for intent in list(intents.values()):
                self._begin(subject, intent)

    def has_work(self, workspace_id: WorkspaceId) -> bool:
        """Whether anything is wanted in a workspace, done or not; it must be in memory as long as that is so."""
        return any(
            intent.workspace_id == workspace_id for now in self._wanted.values() for intent in now.values()
        )

    def drop(self, workspace_id: WorkspaceId) -> None:
        """A workspace is not ours any more: its owner acts for it, so nothing is begun and nothing goes on."""
        for subject, now in list(self._wanted.items()):
            names = [name for name, intent in now.items() if intent.workspace_id == workspace_id]
            if not names:
                continue
            del self._wanted[subject]
            self._done.pop(subject, None)
            for name in names:
                if (task := self._running.get(name)) is not None:
                    task.cancel()

    def standing(self) -> int:
        """How many intents are wanted and not known to be done."""
        return sum(
            name not in self._done.get(subject, set())
            for subject, now in self._wanted.items()
            for name in now
        )

    async def stop(self) -> None:
        """Let go of everything; what is under way outside goes on without us."""
        self._started = False
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    def _begin(self, subject: Subject, intent: Intent) -> None:
        if intent.name in self._running or intent.name in self._done.get(subject, set()):
            return
        if type(intent) not in self._hands:
            return
        self._running[intent.name] = asyncio.create_task(self._pursue(subject, intent), name=intent.name)

    async def _pursue(self, subject: Subject, intent: Intent) -> None:
        try:
            await self._insist(subject, intent)
        finally:
            # In the same step as the decision to end: what is wanted again right after must find nothing running.
            self._running.pop(intent.name, None)

    async def _insist(self, subject: Subject, intent: Intent) -> None:
        hand = self._hands[type(intent)]
        tries = 0
        while (standing := self._wanted.get(subject, {}).get(intent.name)) is not None:
            try:
                if await hand.carry_out(standing):
                    self._done.setdefault(subject, set()).add(intent.name)
                    return
            except Exception:  # whatever broke, the intent still stands: try again, and say so
                log.exception("intent.failed", extra={"intent": intent.name, "tries": tries + 1})
            if intent.name in self._wanted.get(subject, {}):
                await self._clock.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
            tries += 1
