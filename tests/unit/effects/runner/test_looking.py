"""How often a run is looked at: by a clock that moves when told, on a keeper that counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from moduprompt.domain.run.commands import ReportStatus
from moduprompt.domain.run.intents import KeepRun
from moduprompt.effects.runner.looking import ANYWAY_S, Looks
from moduprompt.keeper.recording import RECORDING_NAME
from moduprompt.protocol import ProjectId, SessionId
from tests.support.clocks import FakeClock
from tests.support.deadline import turns
from tests.support.fake_runner import RUN, WAITING, WORKING, WORKSPACE, Keeper, Link, Reports

KEEP = KeepRun(
    name=f"run/{RUN}/keep",
    workspace_id=WORKSPACE,
    run_id=RUN,
    session_id=SessionId(RUN),
    project_id=ProjectId(RUN),
    adapter="command",
    argv=("agent",),
    cwd="/srv/tree",
    prompt=None,
    rows=40,
    cols=120,
    is_started=True,
)
STEP_S = 0.5
SETTLED_S = 10  # until looks are as rare as they get


class Scene:
    """Looks at one run."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.keeper, self.reports = FakeClock(), Keeper(), Reports()
        self.telling: set[str] = set()  # runs that tell themselves what they do
        self.looks = Looks(
            self.reports,
            clock=self.clock,
            run_dir=lambda run_id: folder / run_id,
            tells_itself=self.telling.__contains__,
        )
        self.recording = folder / RUN / RECORDING_NAME
        self.recording.parent.mkdir()
        self.recording.write_bytes(b"as the keeper wrote it")

    @asynccontextmanager
    async def going_on(self) -> AsyncGenerator[None]:
        looking = asyncio.create_task(self.looks.follow(KEEP, Link(self.keeper)))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def looks_in(self, seconds: float) -> int:
        """How many looks there are while so much time passes."""
        before = self.keeper.looks
        for _ in range(round(seconds / STEP_S)):
            self.clock.later(STEP_S)
            await turns(20)
        return self.keeper.looks - before


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_a_run_that_waits_and_records_nothing_is_looked_at_seldom(scene: Scene) -> None:
    scene.keeper.statuses = [WAITING]
    async with scene.going_on():
        await scene.looks_in(SETTLED_S)
        assert 1 <= await scene.looks_in(3 * ANYWAY_S) <= 3


async def test_a_run_that_works_without_a_word_is_looked_at_each_second(scene: Scene) -> None:
    """It may begin to wait without printing anything, and somebody waits for that."""
    scene.keeper.statuses = [WORKING]
    async with scene.going_on():
        await scene.looks_in(SETTLED_S)
        assert await scene.looks_in(SETTLED_S) >= SETTLED_S - 1


async def test_a_run_that_waits_is_looked_at_when_its_recording_grows(scene: Scene) -> None:
    scene.keeper.statuses = [WAITING]
    async with scene.going_on():
        await scene.looks_in(SETTLED_S)
        scene.recording.write_bytes(b"as the keeper wrote it, and more")
        assert await scene.looks_in(6) >= 1


@pytest.mark.parametrize("tell", [Looks.wake, Looks.look_again])
async def test_what_was_typed_wakes_the_look_at_once(
    scene: Scene, tell: Callable[[Looks, str], None]
) -> None:
    scene.keeper.statuses = [WAITING]
    async with scene.going_on():
        await scene.looks_in(SETTLED_S)
        before = scene.keeper.looks
        tell(scene.looks, RUN)
        await turns()
        assert scene.keeper.looks == before + 1


async def test_a_key_while_nobody_rests_is_no_fault_and_reports_nothing_twice(scene: Scene) -> None:
    scene.keeper.statuses = [WAITING]
    scene.looks.wake(RUN)
    async with scene.going_on():
        await scene.looks_in(SETTLED_S)
        for _ in range(3):
            scene.looks.wake(RUN)
            await turns()
    assert len([each for each in scene.reports.commands if isinstance(each, ReportStatus)]) == 1
