"""`kill -9` of the daemon under load: what was answered is there, once, and answers the same again."""

import asyncio
import json
import os
import random
import signal
from collections import Counter

import pytest

from moduprompt.client import Client, Limits, Unreachable, to_envelope
from moduprompt.domain.decider import Command
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.workspace.commands import CreateWorkspace, RenameWorkspace
from moduprompt.protocol import SYSTEM_WORKSPACE, Accepted, WorkspaceId, decode_event, encode
from tests.support.daemon import Place, is_alive
from tests.support.deadline import eventually

ROUNDS = 100  # most of it is the start of the daemon: a second or so each
CLIENTS = 6
ANSWERS_MAX = 120  # of one round, before the kill: between the first command and a few batches
LIMITS = Limits(connect_s=5, answer_s=20, patience_s=0)  # a lost daemon is told at once


class Load:
    """Several clients, and what they were promised."""

    def __init__(self, workspace_id: WorkspaceId) -> None:
        self.promises: dict[bytes, Accepted] = {}
        self.unanswered: list[bytes] = []
        self._workspace_id = workspace_id
        self._left = 0

    async def until_killed(self, place: Place, *, after: int) -> None:
        """Everybody works; after so many answers the daemon is killed in the middle of the others."""
        self._left = after
        again, self.unanswered = self.unanswered, []
        async with asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self._client(place, again[number::CLIENTS]))

    async def _client(self, place: Place, again: list[bytes]) -> None:
        async with client_of(place) as client:
            while True:
                body = again.pop() if again else self._next_body()
                self.unanswered.append(body)
                try:
                    answer = await client.submit_raw(body)
                except Unreachable:
                    return
                assert isinstance(answer, Accepted), answer
                self.unanswered.remove(body)
                self.promises[body] = answer
                self._left -= 1
                if self._left == 0:
                    os.kill(place.pid, signal.SIGKILL)

    def _next_body(self) -> bytes:
        name = f"name {len(self.promises)}"
        command: Command = RenameWorkspace(workspace_id=self._workspace_id, name=name)
        if len(self.promises) % 2:
            command = CreateProject(workspace_id=self._workspace_id, name=name)
        return encode(to_envelope(command))


def client_of(place: Place) -> Client:
    told = json.loads(place.daemon_file.read_text())
    return Client(socket=told["socket"], token=told["token"], limits=LIMITS)


async def new_workspace(place: Place) -> WorkspaceId:
    async with client_of(place) as client:
        made = await client.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name="loaded"))
        return decode_event(made.events[0]).workspace_id


async def stored(client: Client, workspace_id: WorkspaceId) -> list[bytes]:
    found: list[bytes] = []
    while page := (await client.read_events(workspace_id, from_=len(found), limit=500, raw=True)).items:
        found += [bytes(item) for item in page]
    return found


async def check(place: Place, load: Load, *, workspace_id: WorkspaceId, repeated: list[bytes]) -> None:
    async with client_of(place) as client:
        for body in repeated:
            assert encode(await client.submit_raw(body)) == encode(load.promises[body])
        times = Counter(await stored(client, workspace_id))
    promised = [bytes(event) for answer in load.promises.values() for event in answer.events]
    assert [times[event] for event in promised] == [1] * len(promised)
    # Each of these commands decides one event at most: one that was carried out twice would have two.
    commands = Counter(
        cause.command_id for cause in (decode_event(event).causality for event in times) if cause
    )
    assert set(commands.values()) == {1}


def start(place: Place) -> None:
    said = place.call("mpd", "start")
    assert said.status == 0, said


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whenever_the_daemon_is_killed_what_it_answered_stands(place: Place) -> None:
    rng = random.Random(9)
    start(place)
    workspace_id = asyncio.run(new_workspace(place))
    load, cut_off = Load(workspace_id), 0
    for _ in range(ROUNDS):
        pid, before = place.pid, len(load.promises)
        asyncio.run(load.until_killed(place, after=rng.randint(1, ANSWERS_MAX)))
        eventually(lambda pid=pid: not is_alive(pid))
        cut_off += len(load.unanswered)
        start(place)
        fresh = list(load.promises)[before:]
        asyncio.run(check(place, load, workspace_id=workspace_id, repeated=fresh))

    asyncio.run(check(place, load, workspace_id=workspace_id, repeated=list(load.promises)))
    assert cut_off > ROUNDS, "the kills came in the middle of the work"
    assert place.ok("log", "verify", "--json").json["verified"]
