"""`kill -9` of the daemon while it recovers, several times in a row, over runs in each state there is.

A wave: a daemon that starts and acknowledges nothing leaves work behind; while it is away keepers and programs die;
then daemon after daemon is killed at a turn of its recovery or in the middle of one, each later than the one before;
then one lives. What was promised comes from the log, what was done from the keepers' journals and from what each
program wrote down itself.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from typing import Final

import msgspec
import pytest

from moduprompt.client import Client, first_event
from moduprompt.domain.approval.commands import GrantApproval
from moduprompt.domain.approval.events import ApprovalAsked
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.project.events import ProjectCreated
from moduprompt.domain.registry import read_event
from moduprompt.domain.run.events import RunExited, RunLost, RunOutputRecorded, RunRequested, RunStarted
from moduprompt.domain.session.commands import AgentSpec, PromptSession, SpawnSession
from moduprompt.domain.session.commands import Place as Where
from moduprompt.domain.session.events import PromptSubmitted, SessionParked, SessionSpawned
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.domain.worktree.events import WorktreeCreated
from moduprompt.effects.runner import port
from moduprompt.keeper import cgroups
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    EventEnvelope,
    Fate,
    ProjectId,
    Recovery,
    RunId,
    SessionId,
    WorkspaceId,
    decode_event,
)
from tests.support.daemon import Place as DaemonPlace
from tests.support.daemon_process import Place
from tests.support.daemons_killed_early import Nursery, nursery
from tests.support.deadline import eventually, eventually_async
from tests.support.git_repository import Repository
from tests.support.killing import PROGRAM, Traces, killed
from tests.support.simulation.seeds import fresh_seed

WAVES: Final = 3
KILLS: Final = 14  # of each wave, spread over the whole of a recovery
LONG_S: Final = 120.0  # with one step on a machine that has much else to do
ENDS: Final = (RunExited.wire, RunLost.wire)
ONCE: Final = (RunRequested.wire, RunStarted.wire, RunOutputRecorded.wire, *ENDS)
TOLD: Final[dict[str, Fate]] = {"live": "reattached", "ended": "ended", "gone": "ended", "lost": "lost"}
# It speaks the Agent Client Protocol: it asks whether it may, or its model wants no more of it.
SPEAKS: Final = """
import json, os, sys
said = os.open(os.path.join(sys.argv[1], os.environ["MP_RUN"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(said, b"begin\\n")
def say(**words): print(json.dumps({"jsonrpc": "2.0", **words}), flush=True)
options = [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}, {"optionId": "no", "name": "No", "kind": "reject_once"}]
for line in sys.stdin:
    heard = json.loads(line)
    match heard.get("method"):
        case "initialize":
            say(id=heard["id"], result={"protocolVersion": 1, "agentCapabilities": {}, "authMethods": []})
        case "session/new":
            say(id=heard["id"], result={"sessionId": "s"})
        case "session/prompt" if sys.argv[2] == "limited":
            say(id=heard["id"], error={"code": -32603, "message": "429 Too Many Requests"})
        case "session/prompt":
            turn = heard["id"]
            os.write(said, b"asked\\n")
            call = {"toolCallId": "c", "title": "Write", "kind": "edit"}
            say(id="p", method="session/request_permission", params={"sessionId": "s", "toolCall": call, "options": options})
        case None if heard.get("id") == "p":
            os.write(said, b"answered " + heard["result"]["outcome"]["optionId"].encode() + b"\\n")
            say(id=turn, result={"stopReason": "end_turn"})
"""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One session, and what its first run leaves behind."""

    name: str
    session_id: SessionId
    run_id: RunId
    traces: Traces


class Ground:
    """A workspace on one place, over all its daemons."""

    def __init__(self, place: Place, repository: Repository) -> None:
        self.place = place
        self._repository = repository
        self._said = place.data.parent / "said"
        self._said.mkdir()
        self._home = WorkspaceId("")
        self._project = ProjectId("")
        self.known: dict[str, Known] = {}

    async def settle(self, client: Client) -> None:
        """A workspace and a project."""
        made = await client.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="core"))
        self._home = WorkspaceId(decode_event(made.events[0]).workspace_id)
        project = CreateProject(workspace_id=self._home, name="paint", repository=str(self._repository.path))
        self._project = first_event(await client.submit(project), ProjectCreated).project_id

    async def spawn(self, client: Client, name: str, *, kind: str = "plain", where: Where = "none") -> Known:
        """A session; its program writes down what becomes of it."""
        speaks = kind in ("asking", "limited")
        words = (sys.executable, "-I", "-S", "-c", SPEAKS if speaks else PROGRAM, str(self._said), kind)
        made = await client.submit(
            SpawnSession(
                workspace_id=self._home,
                project_id=self._project,
                name=name,
                agent=AgentSpec(adapter="acp" if speaks else "command", argv=words),
                prompt="go" if speaks else None,
                place=where,
            )
        )
        session_id = first_event(made, SessionSpawned).session_id
        run_id = await self._run_of(client, session_id)
        folder = self.place.data / "runs" / run_id
        traces = Traces(run_id=run_id, run_dir=folder, said_file=self._said / run_id)
        self.known[name] = Known(name=name, session_id=session_id, run_id=run_id, traces=traces)
        return self.known[name]

    async def prompt(self, client: Client, name: str, words: str) -> None:
        known = self.known[name]
        await client.submit(PromptSession(workspace_id=self._home, session_id=known.session_id, prompt=words))

    async def grant(self, client: Client) -> None:
        """Every question that is open."""
        for event in await self.events(client):
            asked = read_event(event)
            if isinstance(asked, ApprovalAsked):
                await client.submit(GrantApproval(workspace_id=self._home, approval_id=asked.approval_id))

    async def events(self, client: Client) -> list[EventEnvelope]:
        """All there are."""
        found: list[EventEnvelope] = []
        while (
            page := await client.read_events(self._home, from_=found[-1].seq_global if found else 0)
        ).items:
            found.extend(decode_event(item) for item in page.items)
        return found

    async def count(self, client: Client, wire: str, *, at_least: int) -> None:
        """Until the log has so many of these."""

        async def has() -> bool:
            return sum(each.event_type == wire for each in await self.events(client)) >= at_least

        await eventually_async(has, within_s=LONG_S)

    async def _run_of(self, client: Client, session_id: SessionId) -> RunId:
        found: list[RunId] = []

        async def is_asked_for() -> bool:
            for event in await self.events(client):
                asked = read_event(event)
                if isinstance(asked, RunRequested) and asked.session_id == session_id:
                    found.append(asked.run_id)
            return bool(found)

        await eventually_async(is_asked_for, within_s=LONG_S)
        return found[0]


async def prepared(ground: Ground, client: Client) -> None:
    """Runs in each state there is; of each that dies later there is one for every wave and for the end."""
    await ground.settle(client)
    await ground.spawn(client, "live")
    await ground.spawn(client, "asking", kind="asking")
    await ground.spawn(client, "limited", kind="limited")
    for wave in range(WAVES + 1):
        for name in ("ended", "gone", "lost"):
            await ground.spawn(client, f"{name} {wave}", kind="stubborn" if name == "lost" else "plain")
    await ground.count(client, RunStarted.wire, at_least=len(ground.known))
    await ground.count(client, ApprovalAsked.wire, at_least=1)
    await ground.count(client, SessionParked.wire, at_least=1)


def die(ground: Ground, wave: int) -> None:
    """While no daemon is there: a program, a program and its keeper behind it, a keeper alone."""
    ended, gone, lost = (ground.known[f"{name} {wave}"].traces for name in ("ended", "gone", "lost"))
    for traces in (ended, gone):
        assert killed(traces.program())
        eventually(lambda traces=traces: traces.has_come("ended"), within_s=LONG_S)
    for traces in (gone, lost):
        assert killed(traces.keepers())
        eventually(lambda traces=traces: not traces.keepers(), within_s=LONG_S)
    assert lost.living()


async def one_wave(ground: Ground, daemons: Nursery, *, wave: int, rng: random.Random) -> int:
    """Work is left behind, and daemon after daemon dies over it; gives how many did in their recovery."""
    begun = time.monotonic()
    turns = daemons.start(patches=("starts_nothing", "types_nothing", "acknowledges_nothing"))
    took_s = time.monotonic() - begun
    assert turns is not None
    async with ground.place.client() as client:
        where: Where = "none" if wave else "new_worktree"
        await ground.spawn(client, f"unbegun {wave}", where=where)
        await ground.prompt(client, "live", f"word {wave}\nmore {wave}")  # typed in two parts
    daemons.kill()
    die(ground, wave)
    hit = 0
    for number in range(KILLS):
        part = (number + rng.random()) / KILLS
        is_by_turn = number % 2 == 0
        died = (
            daemons.start(last=1 + int(part * turns)) if is_by_turn else daemons.start(after_s=part * took_s)
        )
        if died is None:
            hit += 1
        else:
            daemons.kill()
    return hit


def judge_report(ground: Ground, report: Recovery) -> None:
    """Each run that was live in the log is in it, as what it is."""
    names = {known.run_id: name for name, known in ground.known.items()}
    fates = {names[run.run_id]: run.fate for run in report.runs if run.run_id in names}
    certain = {"live", "asking", *(f"{name} {WAVES}" for name in ("ended", "gone", "lost"))}
    assert certain <= set(fates), fates
    for name, fate in fates.items():
        kind = name.split()[0]
        expected = {"reattached", "begun"} if kind == "unbegun" else {TOLD.get(kind, "reattached")}
        assert fate in expected, (name, fate)
    assert (report.strays, report.missing_worktrees, report.not_compared) == ((), (), ())


async def judge(ground: Ground, client: Client) -> None:
    """Everything was told once, and what was told is what happened."""
    events = await ground.events(client)
    of: dict[str, list[EventEnvelope]] = {}
    for event in events:
        of.setdefault(event.subject.id, []).append(event)
    for name, known in ground.known.items():
        told = Counter(each.event_type for each in of[known.run_id])
        assert all(told[wire] <= 1 for wire in ONCE), (name, told)
        assert told[RunStarted.wire] == told[RunRequested.wire] == 1, (name, told)
        (end,) = [each for each in of[known.run_id] if each.event_type in ENDS]
        assert (end.event_type == RunLost.wire) == name.startswith("lost"), (name, end)
        if end.event_type == RunExited.wire:
            exited = msgspec.json.decode(end.payload, type=RunExited)
            said = next(each for each in known.traces.reports() if isinstance(each, port.Exited))
            assert (exited.how, exited.code, exited.signal) == (said.how, said.code, said.signal), name
            assert exited.output_bytes == said.output_bytes
            assert told[RunOutputRecorded.wire] == 1, (name, told)
        assert known.traces.said() == expected_words(name), name
        assert not known.traces.living()
        assert not known.traces.keepers()
        assert known.run_id not in cgroups.groups()
    sessions = Counter(each.event_type for each in of[ground.known["live"].session_id])
    assert sessions[PromptSubmitted.wire] == WAVES + 1
    parked = [event for each in events if isinstance(event := read_event(each), SessionParked)]
    assert len({each.run_id for each in parked}) == len(parked), parked
    asked = Counter(each.event_type for each in events)
    assert (asked[ApprovalAsked.wire], asked[WorktreeCreated.wire]) == (1, 1)


def expected_words(name: str) -> list[str]:
    """What its program has written down of its life."""
    match name.split()[0]:
        case "live":
            words = (f"{word} {wave}" for wave in range(WAVES) for word in ("word", "more"))
            return ["begin", *words, "bye"]
        case "asking":
            return ["begin", "asked", "answered yes"]
        case "unbegun":
            return ["begin", "bye"]
        case _:
            return ["begin"]


async def lived_through(ground: Ground, daemons: Nursery, *, seed: int) -> None:
    """All waves, and a daemon that stays."""
    daemons.start(patches=("acknowledges_nothing",))
    async with ground.place.client() as client:
        await prepared(ground, client)
    daemons.kill()
    hit = 0
    for wave in range(WAVES):
        hit += await one_wave(ground, daemons, wave=wave, rng=random.Random(f"{seed}/{wave}"))
    assert hit >= WAVES, "nothing is shown by it"
    die(ground, WAVES)
    daemons.start()
    async with ground.place.client() as client:
        judge_report(ground, await client.recovery())
        await ground.grant(client)
        for name in ("live", *(f"unbegun {wave}" for wave in range(WAVES))):
            await ground.prompt(client, name, "bye")

        async def all_ended() -> bool:
            ends = {each.subject.id for each in await ground.events(client) if each.event_type in ENDS}
            return all(known.run_id in ends for known in ground.known.values())

        await eventually_async(all_ended, within_s=LONG_S)
        await eventually_async(lambda: nothing_lives(ground), within_s=LONG_S)
        await judge(ground, client)


async def nothing_lives(ground: Ground) -> bool:
    return not any(each.traces.living() or each.traces.keepers() for each in ground.known.values())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_daemons_that_die_in_their_recovery_leave_each_run_in_a_true_state_and_tell_nothing_twice(
    place: DaemonPlace, repository: Repository
) -> None:
    seed = int(os.environ.get("KILL_SEED") or fresh_seed())
    ground = Ground(Place(data=place.data, runtime=place.runtime), repository)
    try:
        with nursery(ground.place) as daemons:
            asyncio.run(lived_through(ground, daemons, seed=seed))
            assert "the log holds" in place.ok("log", "verify").out
    except BaseException as fault:
        fault.add_note(f"KILL_SEED={seed} draws the same turns")
        raise
