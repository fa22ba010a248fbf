# pyright: reportPrivateUsage=false
# A planted fault replaces what is nobody else's business.
"""Deliberate faults of the hands that keep runs, to see that the simulation of keepers notices them."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Any, Final

from moduprompt.domain.run.commands import ReportLost
from moduprompt.domain.run.intents import InterruptTurn, KeepRun
from moduprompt.effects.reporter import report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.desk import Desk
from moduprompt.effects.runner.hand import RunHand
from moduprompt.effects.runner.interrupting import Interrupter
from moduprompt.effects.runner.keys import Keys
from moduprompt.effects.runner.reports import tell_prompt
from moduprompt.effects.runner.status.facts import Look
from moduprompt.effects.runner.typist import Typist
from tests.support.simulation.faults import Planted
from tests.support.simulation.swapping import swapped


class AcknowledgesFirst:
    """A link that says of each report that it is durable, and then hands it on."""

    def __init__(self, link: port.RunLink) -> None:
        self._link = link
        self.status = link.status

    async def entries(self, *, after: int = 0) -> AsyncIterator[port.Entry]:
        async for entry in self._link.entries(after=after):
            await self._link.ack(entry.number)
            yield entry

    async def ack(self, upto: int) -> port.Done:  # noqa: ARG002 - the shape of a link
        return port.Done()


def acknowledged_before_it_is_told() -> AbstractContextManager[None]:
    whole = RunHand._listen

    async def broken(self: RunHand, intent: KeepRun, link: Any) -> bool:
        return await whole(self, intent, AcknowledgesFirst(link))  # pyright: ignore[reportArgumentType] - what is used of a link

    return swapped(RunHand, "_listen", broken)


def lost_although_it_ended() -> AbstractContextManager[None]:
    async def broken(self: RunHand, intent: KeepRun, gone: port.Gone) -> bool:
        await self._backend.sweep(intent.run_id)
        lost = ReportLost(workspace_id=intent.workspace_id, run_id=intent.run_id, evidence=gone.evidence)
        await report(self._reporter, lost, key=f"{intent.name}/lost")
        return True

    return swapped(RunHand, "_bury", broken)


def unreachable_taken_for_gone() -> AbstractContextManager[None]:
    whole = RunHand._kept

    async def broken(self: RunHand, intent: KeepRun, *, door: str) -> bool:
        found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Unreachable):
            dead = port.Gone(run_id=intent.run_id, evidence=found.evidence, entries=(), survivors=())
            return await self._bury(intent, dead)
        return await whole(self, intent, door=door)

    return swapped(RunHand, "_kept", broken)


def not_started_although_it_had_begun() -> AbstractContextManager[None]:
    whole = RunHand._start

    async def broken(self: RunHand, intent: KeepRun, *, door: str) -> port.StartRefused | None:
        refused = await whole(self, intent, door=door)
        if refused is not None and refused.code == "timed_out":
            return port.StartRefused(code="unusable", message=refused.message, run_id=intent.run_id)
        return refused

    return swapped(RunHand, "_start", broken)


def typed_under_a_new_id_after_a_restart() -> AbstractContextManager[None]:
    whole = Typist._type

    async def broken(self: Typist, desk: Desk, keys: Keys, look: Look) -> bool | None:
        intent = desk.intent
        if not intent.is_placed:
            return await whole(self, desk, keys, look)
        author = port.Author(kind="user", id=intent.prompt_id)
        await desk.link.send_input(keys.last, author=author, input_id=f"{intent.prompt_id} again")
        await tell_prompt(self._reporter, intent, outcome="submitted")
        return True

    return swapped(Typist, "_type", broken)


def interrupted_under_a_new_id_after_a_restart() -> AbstractContextManager[None]:
    whole = Interrupter._type

    async def broken(self: Interrupter, intent: InterruptTurn, keys: bytes, *, link: port.RunLink) -> bool:
        if not intent.is_placed:
            return await whole(self, intent, keys, link=link)
        author = port.Author(kind="user", id=intent.interrupt_id)
        await link.send_input(keys, author=author, input_id=f"interrupt/{intent.interrupt_id} again")
        await self._say(intent, "sent")
        return True

    return swapped(Interrupter, "_type", broken)


PLANTED_IN_HANDS: Final[tuple[Planted, ...]] = (
    Planted(
        name="acknowledged_before_it_is_told",
        what="a keeper's report is acknowledged before the log has it",
        plant=acknowledged_before_it_is_told,
    ),
    Planted(
        name="lost_although_it_ended",
        what="a run is lost although its journal has the end",
        plant=lost_although_it_ended,
    ),
    Planted(
        name="unreachable_taken_for_gone",
        what="a keeper that does not answer is taken for dead",
        plant=unreachable_taken_for_gone,
    ),
    Planted(
        name="not_started_although_it_had_begun",
        what="a start that took too long is told as one that began nothing",
        plant=not_started_although_it_had_begun,
    ),
    Planted(
        name="typed_under_a_new_id_after_a_restart",
        what="a prompt that may have been typed is typed under another id",
        plant=typed_under_a_new_id_after_a_restart,
    ),
    Planted(
        name="interrupted_under_a_new_id_after_a_restart",
        what="an interrupt that may have been sent is sent under another id",
        plant=interrupted_under_a_new_id_after_a_restart,
    ),
)
