"""Ends turns, with their programs left alive: each interrupt is sent at most once.

    placed (durable) ── a line, a key or a signal, as the adapter says ──→ sent ── the log sees the turn's end

A line and a key have the interrupt's name as their id, and a keeper takes an id once: sending again is how one learns
what became of it, also from another daemon. A signal has no id: once it is placed, whoever does not know that it was
sent says `uncertain`. What is found at rest before anything is placed gets nothing: its turn was over.
"""

from contextlib import closing
from typing import Final

from moduprompt.domain.decider import Intent
from moduprompt.domain.run.intents import TAKES_TEXT, InterruptTurn
from moduprompt.domain.session.commands import InterruptOutcome, ReportInterrupt
from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.agents.port import Reach
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.reports import cut_short
from moduprompt.effects.runner.speaking import NotSent, Sent, Speaker, begun_in, outcome_of
from moduprompt.effects.runner.status.onlooker import Onlooker, rules_of
from moduprompt.effects.runner.talking import TalkWith
from moduprompt.protocol import REASON_MAX

NO_WAY: Final = "no way is known to end its turn alone"
NOBODY_KNOWS: Final = "it was about to be sent, and nobody can say whether it was"


class Interrupter:
    """The `Hand` for interrupts."""

    handles = (InterruptTurn,)

    def __init__(
        self,
        backend: port.Backend,
        reporter: Reporter,
        *,
        talk_with: TalkWith,
        speaker: Speaker,
        composers: Composers,
    ) -> None:
        """`composers`: nobody types while a key of ours goes in."""
        self._backend = backend
        self._reporter = reporter
        self._talk_with = talk_with
        self._speaker = speaker
        self._composers = composers

    async def carry_out(self, intent: Intent) -> bool:
        """Place, send, report. False: not now."""
        assert isinstance(intent, InterruptTurn), f"BUG: {type(intent).__name__} is no interrupt"
        adapter = adapter_named(intent.adapter)
        reach = Reach() if adapter is None else adapter.reach(intent.argv)
        match reach.interrupted_by:
            case "line":
                return await self._by_line(intent)
            case "keys":
                return await self._by_keys(intent, reach.keys)
            case "signal":
                return await self._by_signal(intent)
            case None:
                await self._say(intent, "not_taken", evidence=NO_WAY)
                return True

    async def _by_line(self, intent: InterruptTurn) -> bool:
        input_id = input_id_of(intent)
        told = self._speaker.told(intent.run_id, input_id) if intent.is_placed else None
        if told is None:
            talk = self._talk_with(intent.run_id)
            if talk is None or not talk.has_caught_up:
                return False
            line = talk.channel.interrupt(request_id=intent.interrupt_id)
            if line is None:
                return False  # not ready, or about to end: either says more soon
            if not intent.is_placed and not await self._say(intent, "placed"):
                return True  # its turn ended, just before its first byte
            author = port.Author(kind="user", id=intent.interrupt_id)
            told = await self._speaker.say(intent.run_id, line, input_id=input_id, author=author)
        match told:
            case Sent():
                await self._say(intent, "sent")
            case NotSent() if self._speaker.began(intent.run_id, input_id):
                await self._say(intent, "uncertain", evidence=told.why)
            case NotSent():
                await self._say(intent, "not_taken", evidence=told.why)
            case None:
                return False
        return True

    async def _by_keys(self, intent: InterruptTurn, keys: bytes) -> bool:
        found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Unreachable):
            return False
        if isinstance(found, port.Gone):
            return await self._learn(intent, found)
        async with found as link, self._composers.turn(intent.run_id):
            try:
                return await self._type(intent, keys, link=link)
            except port.LinkClosedError:
                return False

    async def _type(self, intent: InterruptTurn, keys: bytes, *, link: port.RunLink) -> bool:
        if not intent.is_placed:
            rest = await self._at_rest(intent, link)
            if rest is not None:
                await self._say(intent, "not_taken", evidence=f"its turn was over: {rest}")
                return True
            if not await self._say(intent, "placed"):
                return True
        author = port.Author(kind="user", id=intent.interrupt_id)
        typed = await link.send_input(keys, author=author, input_id=input_id_of(intent))
        if isinstance(typed, port.RequestRefused):
            if typed.code == "not_running":
                await self._say(intent, "not_taken", evidence=typed.message)
            return typed.code == "not_running"
        if typed.outcome == "applied":
            await self._say(intent, "sent")
        else:
            outcome: InterruptOutcome = "uncertain" if typed.bytes else "not_taken"
            await self._say(intent, outcome, evidence=cut_short(typed.bytes))
        return True

    async def _learn(self, intent: InterruptTurn, gone: port.Gone) -> bool:
        """From the journal of a dead keeper."""
        input_id = input_id_of(intent)
        told = outcome_of(gone.entries, input_id)
        if isinstance(told, Sent):
            await self._say(intent, "sent")
        else:
            evidence = gone.evidence if told is None else told.why
            await self._say(
                intent, "uncertain" if begun_in(gone.entries, input_id) else "not_taken", evidence=evidence
            )
        return True

    async def _at_rest(self, intent: InterruptTurn, link: port.RunLink) -> str | None:
        """On what evidence it is in no turn; None where it is in one, or nobody can say."""
        program = rules_of(adapter=intent.adapter, argv=intent.argv)
        onlooker = Onlooker(link, run_dir=self._backend.run_dir(intent.run_id), program=program)
        with closing(onlooker):
            seen = await onlooker.look()
        return seen.evidence if seen is not None and seen.status in TAKES_TEXT else None

    async def _by_signal(self, intent: InterruptTurn) -> bool:
        if intent.is_placed:  # by a daemon before, or by a try that broke
            await self._say(intent, "uncertain", evidence=NOBODY_KNOWS)
            return True
        found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Unreachable):
            return False
        if isinstance(found, port.Gone):
            await self._say(intent, "not_taken", evidence=found.evidence)
            return True
        async with found as link:
            if not await self._say(intent, "placed"):
                return True
            try:
                answer = await link.signal("INT")
            except port.LinkClosedError:
                await self._say(intent, "uncertain", evidence=NOBODY_KNOWS)
                return True
        if isinstance(answer, port.Done):
            await self._say(intent, "sent")
        else:
            await self._say(intent, "not_taken", evidence=answer.message)
        return True

    async def _say(self, intent: InterruptTurn, outcome: InterruptOutcome, *, evidence: str = "") -> bool:
        """Report it; whether anything was recorded: of one that is settled nothing is."""
        said = ReportInterrupt(
            workspace_id=intent.workspace_id,
            session_id=intent.session_id,
            interrupt_id=intent.interrupt_id,
            outcome=outcome,
            evidence=evidence[:REASON_MAX],
        )
        answer = await report(self._reporter, said, key=f"interrupt/{intent.interrupt_id}/{outcome}")
        return bool(answer.events)


def input_id_of(intent: InterruptTurn) -> str:
    """Under which a keeper takes it once."""
    return f"interrupt/{intent.interrupt_id}"
