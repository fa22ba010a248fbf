"""A run whose keeper is gone without a last word: what it said, what was swept, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.domain.capsule.commands import ReportMade
from moduprompt.domain.run.commands import ReportLost, ReportSaid
from moduprompt.effects.runner import port
from tests.support.fake_runner import STARTED
from tests.support.transcripts import transcripts
from tests.unit.effects.runner.test_run_hand import KEEP, Scene, fate_of, gone, record


async def test_what_a_lost_run_said_is_not_lost(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone(STARTED))
    record(scene, transcripts("claude")["good"])

    assert await scene.hand.carry_out(replace(KEEP, adapter="claude", is_started=True))

    assert [type(each) for each in scene.reports.commands] == [ReportSaid, ReportLost]


async def test_a_run_that_was_lost_is_told_with_what_was_swept(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone(STARTED))
    scene.backend.left = (port.ProcessName(pid=12, name="tool"),)

    found = await fate_of(scene)

    assert (found.fate, found.evidence, found.swept) == ("lost", "keeper 10 is not alive", ("tool (12)",))


@pytest.mark.parametrize(("adapter", "is_told"), [("claude", True), ("command", False)])
async def test_a_lost_run_of_a_program_that_tells_what_it_does_leaves_an_account(
    tmp_path: Path, adapter: str, is_told: bool
) -> None:
    scene = Scene(tmp_path, gone(STARTED), gives_accounts=True)
    record(scene, transcripts("claude")["good"])

    assert await scene.hand.carry_out(replace(KEEP, adapter=adapter, is_started=True))

    accounts = [each for each in scene.reports.commands if isinstance(each, ReportMade)]
    assert len(accounts) == is_told
    assert isinstance(scene.reports.commands[-1], ReportMade if is_told else ReportLost)
