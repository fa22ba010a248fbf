"""Keeps runs: finds or starts each one's keeper, and listens until its end is known.

The keeper's journal is the source: an entry's number is the key of the report it leads
to, and it is acknowledged only when that report is durable. So a daemon that dies at
any point hears the same entries again and reports nothing twice.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from moduprompt.domain.decider import Intent
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportConversation, ReportExited, ReportLost
from moduprompt.domain.run.intents import EndRun, KeepRun, ResizeTerminal
from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.agents.port import (
    AgentAdapter,
    AgentCommand,
    AgentFile,
    AgentRefused,
    AgentRequest,
    Verdict,
)
from moduprompt.effects.agents.surroundings import run_environment
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.accounts import Accountant
from moduprompt.effects.runner.admission import Admission
from moduprompt.effects.runner.conversations import Chosen, Ground, choose
from moduprompt.effects.runner.footing import Footings, Trees
from moduprompt.effects.runner.homes import Homes
from moduprompt.effects.runner.keeping import is_readable_never, keep_recording
from moduprompt.effects.runner.limiting import limits_for
from moduprompt.effects.runner.listening import Listener
from moduprompt.effects.runner.looking import Looks
from moduprompt.effects.runner.reports import Kept, to_report
from moduprompt.effects.runner.rounds import Contents
from moduprompt.effects.runner.speaking import Speaker
from moduprompt.effects.runner.telling import Account, told_afresh, told_going_on
from moduprompt.effects.runner.verdicts import judge
from moduprompt.keeper.keeper import SOCKET_NAME
from moduprompt.keeper.recording import RecordingError
from moduprompt.kernel.ports import Clock
from moduprompt.protocol import REASON_MAX, Fate, RecoveredRun, RunId, TextRef, WorkspaceId

RECORDING_NAME: Final = "recording.mprec"
PROMPT_NAME: Final = "prompt.txt"
FREED_AT_ONCE: Final = 32  # keepers that are let go: each that does not answer takes its seconds
STOPPED_WAITING: Final = "stopped while it waited for room to start"

log = logging.getLogger(__name__)


class Tokens(Protocol):
    """Where a run's token comes from."""

    def run_token(self, workspace_id: WorkspaceId, run_id: RunId) -> str:
        """The same at every asking."""
        ...


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


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What every run of this daemon gets: declared here, and nothing else of the daemon's."""

    home: str
    path: str
    commands_dir: Path
    variables: Mapping[str, str] = {}  # of the daemon's own: an adapter is given those that it names
    limits: Mapping[str, port.Limits] = {}  # of adapters whose own somebody has overridden


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt in a file of its run."""

    path: str
    text: str


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
        self._tokens = tokens
        self._doors = doors
        self._surroundings = surroundings
        self._witness = witness
        self._admission = admission
        self._footings = Footings(trees, run_dir=backend.run_dir)
        self._accountant = accountant
        self.speaker = Speaker(backend)
        self.listener = Listener(
            backend,
            reporter,
            artifacts=artifacts,
            clock=clock,
            speaker=self.speaker,
            request=self._request_again,
            contents=contents,
        )
        self._requests: dict[str, AgentRequest] = {}  # by which this daemon has started what lives
        self._looks = Looks(
            reporter, clock=clock, run_dir=backend.run_dir, tells_itself=self.listener.has_heard
        )
        self._forgets = (*forgets, self.listener.forget)
        self._met: set[RunId] = set()  # whose first look has been told of

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
            self._requests.pop(intent.run_id, None)
            self._met.discard(intent.run_id)
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
        self._tell(
            intent,
            "ended" if welcome.state in ("exited", "start_failed") else "reattached",
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
            if is_admitted:
                return await self._start(intent, door=door)
        return port.StartRefused(code="unusable", message=STOPPED_WAITING, run_id=intent.run_id)

    async def _start(self, intent: KeepRun, *, door: str) -> port.StartRefused | None:
        launch = await self._to_launch(intent, door=door)
        if isinstance(launch, port.StartRefused):
            return launch
        started = await self._backend.start(launch)
        if isinstance(started, port.Kept) or started.code == "used":
            return None
        return started

    async def _to_launch(self, intent: KeepRun, *, door: str) -> port.LaunchSpec | port.StartRefused:
        adapter = adapter_named(intent.adapter)
        if adapter is None:
            return _unfit(intent, f"no adapter is named {intent.adapter}")
        homes = Homes(self._backend.run_dir(intent.run_id).parent)
        cwd = intent.cwd or str(homes.make_scratch(intent.session_id))
        home = homes.home(intent.session_id)
        chosen = await self._choose(intent, adapter, homes=homes, here=Ground(home=home, cwd=cwd))
        request = await self._request(intent, adapter, cwd=cwd, home=home, chosen=chosen)
        self._requests[intent.run_id] = request
        command = adapter.command(request)
        if isinstance(command, AgentRefused):
            return _unfit(intent, command.message)
        if adapter.reader() is not None:
            await asyncio.to_thread(_place_files, home, command.files)
            await self._footings.note(intent)
        return port.LaunchSpec(
            run_id=intent.run_id,
            argv=command.argv,
            cwd=cwd,
            env=self._environment(intent, command, door=door),
            rows=intent.rows,
            cols=intent.cols,
            limits=limits_for(intent, self._surroundings.limits.get(intent.adapter, adapter.limits)),
            io=command.io,
            stdin=command.stdin,
            stdin_file=command.stdin_file,
            opening=command.opening,
        )

    async def _choose(
        self, intent: KeepRun, adapter: AgentAdapter, *, homes: Homes, here: Ground
    ) -> Chosen | None:
        """Whether a conversation goes on: told before the program starts, and then never chosen again."""
        earlier = intent.earlier
        if earlier is None:
            return None
        if earlier.chosen is not None:
            return Chosen(begun=earlier.chosen, why="", conversation_id=earlier.conversation_id)
        cwd = earlier.cwd or str(homes.scratch(earlier.session_id))
        there = Ground(home=homes.home(earlier.session_id), cwd=cwd)
        chosen = await asyncio.to_thread(choose, adapter, earlier, here=here, there=there)
        told = ReportConversation(
            workspace_id=intent.workspace_id,
            run_id=intent.run_id,
            begun=chosen.begun,
            why=chosen.why,
            conversation_id=chosen.conversation_id,
            capsules=0 if chosen.begun == "carried_on" else len(earlier.capsules),
        )
        await report(self._reporter, told, key=f"run/{intent.run_id}/conversation")
        return chosen

    async def _request(
        self, intent: KeepRun, adapter: AgentAdapter, *, cwd: str, home: Path, chosen: Chosen | None
    ) -> AgentRequest:
        carried_on = chosen.conversation_id if chosen and chosen.begun == "carried_on" else None
        prompt = await self._place_prompt(intent, goes_on=carried_on is not None)
        return AgentRequest(
            words=intent.argv,
            prompt=prompt.text if prompt else None,
            prompt_file=prompt.path if prompt else None,
            run_id=intent.run_id,
            conversation_id=carried_on,
            cwd=cwd,
            home=str(home),
            variables=self._given(adapter),
        )

    def _given(self, adapter: AgentAdapter) -> dict[str, str]:
        known = self._surroundings.variables
        return {name: known[name] for name in adapter.variables if name in known}

    def _request_again(self, intent: KeepRun) -> AgentRequest:
        """By which a run was started, also by a daemon before: its prompt lies in the run's file.

        All of it counts: a channel that is fed the recording with another request is owed other lines.
        """
        request = self._requests.get(intent.run_id)
        if request is not None:
            return request
        homes = Homes(self._backend.run_dir(intent.run_id).parent)
        path = self._backend.run_dir(intent.run_id) / PROMPT_NAME
        adapter = adapter_named(intent.adapter)
        return AgentRequest(
            words=intent.argv,
            prompt=path.read_bytes().decode("utf-8", "replace") if path.is_file() else None,
            prompt_file=str(path) if path.is_file() else None,
            run_id=intent.run_id,
            conversation_id=intent.carries_on,
            cwd=intent.cwd or str(homes.scratch(intent.session_id)),
            home=str(homes.home(intent.session_id)),
            variables={} if adapter is None else self._given(adapter),
        )

    def _environment(self, intent: KeepRun, command: AgentCommand, *, door: str) -> dict[str, str]:
        around = self._surroundings
        variables = {
            "MP_SOCKET": door,
            "MP_TOKEN": self._tokens.run_token(intent.workspace_id, intent.run_id),
            "MP_WORKSPACE": intent.workspace_id,
            "MP_PROJECT": intent.project_id,
            "MP_SESSION": intent.session_id,
            "MP_RUN": intent.run_id,
            **command.env,
        }
        return run_environment(
            home=around.home, commands_dir=around.commands_dir, variables=variables, path=around.path
        )

    async def _place_prompt(self, intent: KeepRun, *, goes_on: bool) -> Placed | None:
        text = await self._told(intent, goes_on=goes_on)
        if text is None:
            return None
        folder = self._backend.run_dir(intent.run_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / PROMPT_NAME
        await asyncio.to_thread(path.write_text, text, "utf-8")
        return Placed(path=str(path), text=text)

    async def _told(self, intent: KeepRun, *, goes_on: bool) -> str | None:
        prompt = await self._text(intent, intent.prompt)
        run_prompt = await self._text(intent, intent.run_prompt)
        if goes_on:  # a fork has a task of its own, which its source's conversation has not heard of
            earlier = intent.earlier
            is_own = earlier is not None and earlier.session_id == intent.session_id
            has_heard = earlier is not None and earlier.has_heard
            return told_going_on(None if is_own else prompt, None if has_heard else run_prompt)
        capsules = intent.earlier.capsules if intent.earlier else ()
        accounts = [
            Account(kind=each.kind, text=text)
            for each in capsules
            if (text := await self._text(intent, each.text))
        ]
        return told_afresh(prompt, run_prompt, accounts=accounts)

    async def _text(self, intent: KeepRun, ref: TextRef | None) -> str | None:
        """An artifact's text; one that was erased is empty."""
        if ref is None:
            return None
        content = await self._artifacts.get(intent.workspace_id, ref.ref)
        return (content or b"").decode("utf-8", "replace")

    async def _not_started(self, intent: KeepRun, refused: port.StartRefused) -> bool:
        if refused.code == "timed_out":
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
                _pass_on_what_passes(fault)
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
            _pass_on_what_passes(fault)
            log.warning("run.not_judged", extra={"run_id": intent.run_id, "fault": str(fault)})
            return Verdict(outcome="unclear", rule="recording_unreadable", evidence=str(fault))
        if adapter is None or said is None:
            return None
        return judge(adapter, said, exited, work=await self._footings.left(intent))

    async def _end(self, intent: EndRun) -> bool:
        """Tell it to stop. One without a keeper may be about to get one: it is told until its end is known."""
        self._admission.give_up(intent.run_id)
        return await self._ask(intent.run_id, lambda link: link.stop(reason="stopped")) == "asked"

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


def _pass_on_what_passes(fault: RecordingError | OSError) -> None:
    if isinstance(fault, OSError) and not is_readable_never(fault):
        raise fault


def _unfit(intent: KeepRun, why: str) -> port.StartRefused:
    return port.StartRefused(code="bad_spec", message=why, run_id=intent.run_id)


def _place_files(home: Path, files: Iterable[AgentFile]) -> None:
    """An adapter's configuration, in the session's own folder: for our eyes only, since it may hold a key."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in files:
        path = home / file.path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(file.content)


async def free_keepers(backend: port.Backend, ended: Iterable[RunId]) -> tuple[RunId, ...]:
    """Let go of keepers whose runs' ends are known: a daemon that died between knowing and
    acknowledging left them waiting. Gives whose were freed. One that does not answer holds up few others."""
    at_once = asyncio.Semaphore(FREED_AT_ONCE)

    async def freed(run_id: RunId) -> bool:
        async with at_once:
            return await _is_freed(backend, run_id)

    asked = tuple(run_id for run_id in ended if (backend.run_dir(run_id) / SOCKET_NAME).is_socket())
    are_freed = await asyncio.gather(*map(freed, asked))
    return tuple(run_id for run_id, is_freed in zip(asked, are_freed, strict=True) if is_freed)


async def _is_freed(backend: port.Backend, run_id: RunId) -> bool:
    found = await backend.dial(run_id)
    if isinstance(found, port.Gone | port.Unreachable):
        return False
    async with found as link:
        with contextlib.suppress(port.LinkClosedError):
            if link.welcome.state in ("exited", "start_failed"):
                await link.ack(link.welcome.journal_last)
                return True
    return False
