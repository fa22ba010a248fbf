"""Keeps runs: finds or starts each one's keeper, and listens until its end is known.

The keeper's journal is the source: an entry's number is the key of the report it leads
to, and it is acknowledged only when that report is durable. So a daemon that dies at
any point hears the same entries again and reports nothing twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Literal, Protocol

from moduprompt.domain.decider import Intent
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportExited, ReportLost
from moduprompt.domain.run.intents import EndRun, KeepRun, ResizeTerminal
from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.agents.port import (
    Verdict,
)
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.accounts import Accountant
from moduprompt.effects.runner.admission import Admission
from moduprompt.effects.runner.footing import Footings, Trees
from moduprompt.effects.runner.keeping import keep_recording, raise_what_passes
from moduprompt.effects.runner.launching import Launches, Surroundings, Tokens
from moduprompt.effects.runner.listening import Listener
from moduprompt.effects.runner.looking import Looks
from moduprompt.effects.runner.reports import Kept, to_report
from moduprompt.effects.runner.rounds import Contents
from moduprompt.effects.runner.speaking import Speaker
from moduprompt.effects.runner.verdicts import judge
from moduprompt.keeper.recording import RECORDING_NAME, RecordingError
from moduprompt.kernel.ports import Clock
from moduprompt.protocol import REASON_MAX, Fate, RecoveredRun, RunId

OF_BEFORE: Final = "its keeper is of an earlier version: what is typed is not withdrawn when the program moves on in that moment"
STOPPED_WAITING: Final = "stopped while it waited for room to start"

log = logging.getLogger(__name__)


class Doors(Protocol):
    """Where a run's program reaches the daemon."""

    async def open(self, run_id: RunId) -> str:
        """The run's socket, open from now on; opening it twice is fine."""
        ...

    async def close(self, run_id: RunId) -> None:
        """The run is over; closing twice is fine."""
        ...


class Witness(Protocol):
    """Who is told what became of the runs that this daemon did not start."""

    def saw(self, found: RecoveredRun) -> None:
        """What the first look at a run found."""
        ...


class RunHand:
    """The `Hand` for runs' lives: started, listened to, stopped, resized."""

    handles = (KeepRun, EndRun, ResizeTerminal)

    def __init__(
        self,
        backend: port.Backend,
        reporter: Reporter,
        *,
        artifacts: FolderArtifacts,
        tokens: Tokens,
        doors: Doors,
        surroundings: Surroundings,
        clock: Clock,
        witness: Witness,
        admission: Admission,
        trees: Trees,
        forgets: tuple[Callable[[str], None], ...] = (),
        accountant: Accountant | None = None,
        contents: Contents | None = None,
    ) -> None:
        """`forgets`: who holds something of a run until it is over, and lets go of it when called."""
        self._backend = backend
        self._reporter = reporter
        self._artifacts = artifacts
        self._doors = doors
        self._witness = witness
        self._admission = admission
        self._footings = Footings(trees, run_dir=backend.run_dir)
        self._launches = Launches(
            reporter,
            run_dir=backend.run_dir,
            artifacts=artifacts,
            tokens=tokens,
            surroundings=surroundings,
            footings=self._footings,
        )
        self._accountant = accountant
        self.speaker = Speaker(backend)
        self.listener = Listener(
            backend,
            reporter,
            artifacts=artifacts,
            clock=clock,
            speaker=self.speaker,
            request=self._launches.request_again,
            contents=contents,
        )
        self._looks = Looks(
            reporter, clock=clock, run_dir=backend.run_dir, tells_itself=self.listener.has_heard
        )
        self._forgets = (*forgets, self.listener.forget)
        self._met: set[RunId] = set()  # whose first look has been told of
        # Of starts that came to nothing: nothing is there of one that was put off, of one that is late it may come yet.
        self._starts: dict[RunId, Literal["put_off", "late", "given_up"]] = {}

    def look_again(self, run_id: str) -> None:
        """See `Looks.look_again`."""
        self._looks.look_again(run_id)

    def key_typed(self, run_id: str) -> None:
        """A person typed: what it does may be another thing now."""
        self._looks.wake(run_id)

    async def carry_out(self, intent: Intent) -> bool:
        """One of the three."""
        match intent:
            case KeepRun():
                return await self._keep(intent)
            case EndRun():
                return await self._end(intent)
            case ResizeTerminal():
                return await self._resize(intent)
            case _:
                raise AssertionError(f"BUG: {type(intent).__name__} is not for runs")

    async def _keep(self, intent: KeepRun) -> bool:
        # Before the keeper is dialled: after a restart the program may be knocking already.
        door = await self._doors.open(intent.run_id)
        is_over = await self._kept(intent, door=door)
        if is_over:
            await self._doors.close(intent.run_id)
            for forget in self._forgets:
                forget(intent.run_id)
            self._launches.forget(intent.run_id)
            self._met.discard(intent.run_id)
            self._starts.pop(intent.run_id, None)
            self._admission.has_ended(intent.run_id)
        return is_over

    async def _kept(self, intent: KeepRun, *, door: str) -> bool:
        found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Gone) and not found.entries and not intent.is_started:
            refused = await self._start_in_turn(intent, door=door)
            if refused is not None:
                return await self._not_started(intent, refused)
            found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Unreachable):
            log.warning("keeper.unreachable", extra={"run_id": intent.run_id, "evidence": found.evidence})
            self._tell(intent, "unanswering", evidence=found.evidence)
            return False
        if isinstance(found, port.Gone):
            return await self._bury(intent, found)
        self._admission.lives(intent.run_id)
        async with found as link:
            self._tell_of(intent, link.welcome)
            return await self._listen(intent, link)

    def _tell_of(self, intent: KeepRun, welcome: port.Welcome) -> None:
        is_over = welcome.state in ("exited", "start_failed")
        self._tell(
            intent,
            "ended" if is_over else "reattached",
            evidence=None if is_over or welcome.types_by_sight() else OF_BEFORE,
            keeper_pid=welcome.keeper_pid,
            entries=welcome.journal_last - welcome.journal_acknowledged,
        )

    def _tell(
        self,
        intent: KeepRun,
        fate: Fate,
        *,
        keeper_pid: int | None = None,
        entries: int = 0,
        evidence: str | None = None,
        swept: tuple[str, ...] = (),
    ) -> None:
        """The first look at a run that leaves nothing open; what follows is the log's to tell."""
        if intent.run_id in self._met:
            return
        if fate not in ("unanswering", "waiting"):
            self._met.add(intent.run_id)
        self._witness.saw(
            RecoveredRun(
                run_id=intent.run_id,
                workspace_id=intent.workspace_id,
                fate=fate,
                keeper_pid=keeper_pid,
                entries=entries,
                evidence=evidence,
                swept=swept,
            )
        )

    async def _start_in_turn(self, intent: KeepRun, *, door: str) -> port.StartRefused | None:
        self._tell(intent, "waiting")
        adapter = adapter_named(intent.adapter)
        memory_bytes = adapter.memory_bytes if adapter else 0
        async with self._admission.turn(intent.run_id, memory_bytes=memory_bytes) as is_admitted:
            self._tell(intent, "begun")
            if is_admitted and self._starts.get(intent.run_id) != "given_up":
                return await self._start(intent, door=door)
        return port.StartRefused(code="unusable", message=STOPPED_WAITING, run_id=intent.run_id)

    async def _start(self, intent: KeepRun, *, door: str) -> port.StartRefused | None:
        launch = await self._launches.to_launch(intent, door=door)
        if isinstance(launch, port.StartRefused):
            return launch
        started = await self._backend.start(launch)
        if isinstance(started, port.Kept) or started.code == "used":
            return None
        return started

    async def _not_started(self, intent: KeepRun, refused: port.StartRefused) -> bool:
        if refused.code == "timed_out":
            self._starts[intent.run_id] = "late"
            return False
        if refused.code == "not_now":
            self._starts.setdefault(intent.run_id, "put_off")
            self._admission.put_off(intent.run_id, refused.message)
            log.warning("run.put_off", extra={"run_id": intent.run_id, "why": refused.message})
            return False
        is_stopped = refused.message == STOPPED_WAITING  # nothing failed: a retry would undo the stop
        ended = ReportExited(
            workspace_id=intent.workspace_id,
            run_id=intent.run_id,
            how="not_started",
            failure=FailureClass.CANCELLED if is_stopped else FailureClass.SPAWN_FAILED,
            reason=refused.message[:REASON_MAX],
        )
        await report(self._reporter, ended, key=f"{intent.name}/not-started")
        return True

    async def _bury(self, intent: KeepRun, gone: port.Gone) -> bool:
        """No keeper is left: what its journal says is what is known."""
        for entry in gone.entries:
            await self._take(intent, entry)
        swept = tuple(f"{each.name} ({each.pid})" for each in await self._backend.sweep(intent.run_id))
        fate: Fate = "ended" if gone.last_word is not None else "lost"
        self._tell(intent, fate, entries=len(gone.entries), evidence=gone.evidence, swept=swept)
        if gone.last_word is None:
            tells = True
            try:
                tells = await self.listener.rest(intent) is not None
            except (RecordingError, OSError) as fault:  # as far as it goes
                raise_what_passes(fault)
            names = ", ".join(swept)
            evidence = f"{gone.evidence}; ended what was left: {names}" if swept else gone.evidence
            lost = ReportLost(
                workspace_id=intent.workspace_id, run_id=intent.run_id, evidence=evidence[:REASON_MAX]
            )
            await report(self._reporter, lost, key=f"{intent.name}/lost")
            if tells and self._accountant is not None:
                await self._accountant.tell_lost(intent, lost.evidence)
        return True

    async def _listen(self, intent: KeepRun, link: port.RunLink) -> bool:
        """Reports and looks, until the end is reported. False where the link broke first."""
        beside = (
            asyncio.create_task(self.listener.follow(intent), name=f"listen {intent.run_id}"),
            asyncio.create_task(self._looks.follow(intent, link), name=f"look {intent.run_id}"),
        )
        try:
            async for entry in link.entries():
                is_over = await self._take(intent, entry)
                await link.ack(entry.number)
                if is_over:
                    return True
        except port.LinkClosedError:
            return False
        finally:
            for task in beside:
                task.cancel()
            for end in await asyncio.gather(*beside, return_exceptions=True):
                if isinstance(end, Exception):  # without them no prompt would be typed: say why
                    log.error("run.unwatched", exc_info=end, extra={"run_id": intent.run_id})
            self._looks.forget(intent.run_id)
        return False

    async def _take(self, intent: KeepRun, entry: port.Entry) -> bool:
        """Report what an entry means; whether it was the last word."""
        said = entry.report
        kept = await self._keep_what_is_left(intent, said) if isinstance(said, port.Exited) else Kept()
        reported = to_report(intent, entry, kept=kept)
        if reported is not None:
            await report(self._reporter, reported.command, key=reported.key)
        # Of a program that tells nothing there is no account to give but its exit, which stands in the event.
        if isinstance(said, port.Exited) and kept.verdict is not None and self._accountant is not None:
            await self._accountant.tell(intent, said, kept.verdict)
        # Before the start was known, a status was decided as nothing: it is not taken for told.
        if isinstance(said, port.InputApplied | port.Started):
            self._looks.look_again(intent.run_id)
        return isinstance(said, port.StartFailed | port.Exited)

    async def _keep_what_is_left(self, intent: KeepRun, exited: port.Exited) -> Kept:
        path = self._backend.run_dir(intent.run_id) / RECORDING_NAME
        recording = await keep_recording(self._artifacts, intent.workspace_id, path)
        return Kept(recording=recording, verdict=await self._judge(intent, exited))

    async def _judge(self, intent: KeepRun, exited: port.Exited) -> Verdict | None:
        adapter = adapter_named(intent.adapter)
        try:
            said = await self.listener.rest(intent)
        except (RecordingError, OSError) as fault:
            raise_what_passes(fault)
            log.warning("run.not_judged", extra={"run_id": intent.run_id, "fault": str(fault)})
            return Verdict(outcome="unclear", rule="recording_unreadable", evidence=str(fault))
        if adapter is None or said is None:
            return None
        return judge(adapter, said, exited, work=await self._footings.left(intent))

    async def _end(self, intent: EndRun) -> bool:
        """Tell it to stop. One without a keeper may be about to get one: it is told until its end is known."""
        self._admission.give_up(intent.run_id)
        asked = await self._ask(intent.run_id, lambda link: link.stop(reason="stopped"))
        if asked == "gone" and self._starts.get(intent.run_id) == "put_off":
            self._starts[intent.run_id] = "given_up"
        return asked == "asked"

    async def _resize(self, intent: ResizeTerminal) -> bool:
        """Give its terminal the size. One that is gone needs none."""
        asked = await self._ask(intent.run_id, lambda link: link.resize(rows=intent.rows, cols=intent.cols))
        return asked != "unknown"

    async def _ask(
        self, run_id: str, request: Callable[[port.RunLink], Awaitable[port.Done | port.RequestRefused]]
    ) -> Literal["asked", "gone", "unknown"]:
        """One request, and whether the run took it, is gone, or nobody knows."""
        found = await self._backend.dial(run_id)
        if isinstance(found, port.Gone):
            return "gone"
        if isinstance(found, port.Unreachable):
            return "unknown"
        async with found as link:
            try:
                answer = await request(link)
            except port.LinkClosedError:
                return "unknown"
        is_settled = isinstance(answer, port.Done) or answer.code == "not_running"
        return "asked" if is_settled else "unknown"
