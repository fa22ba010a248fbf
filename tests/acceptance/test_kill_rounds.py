"""A hundred rounds of `kill -9`: daemon, keeper, program, two of them at once, at any moment of a run's life.

Drawn from a seed, which a failure names: `KILL_SEED=n pytest tests/acceptance/test_kill_rounds.py` draws the
same victims and moments again. What the machine does in between is its own.
"""

import asyncio
import json
import os
from contextlib import suppress

import pytest

from moduprompt.client import Client, Endpoint, Limits, Loss
from moduprompt.protocol import ProjectId, WorkspaceId
from tests.support.daemon import Place
from tests.support.git_repository import Repository
from tests.support.kill_wave import PATIENCE_S, History, Home, Waves
from tests.support.simulation.seeds import fresh_seed

ROUNDS = 100
ROUNDS_MAX = 200  # where the machine is slow, more rounds come too late; then there are more of them
AT_ONCE = 10  # runs that share a daemon
HIT_MIN = 75  # rounds that find somebody to kill; in the others all were dead already
DAEMONS_MIN = 20  # that were killed


def client_of(place: Place) -> Client:
    """A client that finds the daemon again, whichever it is by then."""

    def endpoint() -> Endpoint:
        written = json.loads(place.daemon_file.read_text())
        return Endpoint(token=written["token"], socket=written["socket"])

    async def again(loss: Loss) -> Endpoint | None:
        with suppress(OSError):
            return endpoint()
        return None

    found = endpoint()
    return Client(
        token=found.token, socket=found.socket, reconnect=again, limits=Limits(patience_s=PATIENCE_S)
    )


async def lived_through(place: Place, home: Home, *, seed: int) -> Waves:
    """All rounds."""
    async with client_of(place) as client, client_of(place) as watcher:
        history = History()
        following = asyncio.create_task(history.follow(watcher, home.workspace_id))
        waves = Waves(place, client, history=history, home=home)
        try:
            for first in range(0, ROUNDS_MAX, AT_ONCE):
                await waves.live(seed, range(first, first + AT_ONCE))
                if len(waves.lives) >= ROUNDS and has_met_enough(waves):
                    break
        finally:
            following.cancel()
    return waves


def has_met_enough(waves: Waves) -> bool:
    """Whether somebody was there to be killed, of each kind, and often enough."""
    hit = sum(bool(life.killed) for life in waves.lives)
    is_swept = any("ended what was left" in evidence for evidence in waves.evidence)
    return hit >= HIT_MIN and waves.nurse.kills >= DAEMONS_MIN and is_swept


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_whoever_is_killed_every_run_ends_truly_and_nothing_is_done_twice(
    place: Place, repository: Repository
) -> None:
    seed = int(os.environ.get("KILL_SEED") or fresh_seed())
    home = Home(
        workspace_id=WorkspaceId(place.made("workspace", "create", "core")),
        project_id=ProjectId(place.made("project", "create", "paint", "--repo", str(repository.path))),
        repository=repository,
    )
    try:
        waves = asyncio.run(lived_through(place, home, seed=seed))
    except BaseException as fault:
        fault.add_note(f"KILL_SEED={seed} draws the same victims and moments")
        raise

    assert len(waves.lives) >= ROUNDS
    assert has_met_enough(waves), (waves.nurse.kills, waves.evidence)
    assert "the log holds" in place.ok("log", "verify").out
