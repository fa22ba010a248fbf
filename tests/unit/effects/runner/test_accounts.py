"""What is known of a run that has ended, in a text that fits; it is never in the way of the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.domain.capsule.commands import CHARS_MAX, ReportMade
from moduprompt.effects.agents.port import Verdict
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.git.port import GitRefusal, StatusFacts
from moduprompt.effects.runner.accounts import ORIGIN, Accountant, account_of
from moduprompt.protocol import ArtifactRef
from tests.support.fake_runner import EXITED, WORKSPACE, Reports
from tests.unit.effects.runner.test_run_hand import KEEP

CLEAN = StatusFacts(
    path="/srv/tree", head="c0ffee", branch="mp/x", staged=0, unstaged=0, untracked=0, conflicted=0
)
DONE = Verdict(outcome="succeeded", rule="turn_done", evidence="its turn was done")


class Trees:
    """Worktrees that all look the same."""

    async def status(self, path: str) -> StatusFacts | GitRefusal:
        return replace(CLEAN, path=path, untracked=2)


def test_it_says_how_the_run_ended_and_what_lies_there() -> None:
    told = account_of("claude", "exited with 0", DONE, place=replace(CLEAN, unstaged=1, untracked=2))

    assert told == (
        f"{ORIGIN}\n\nThe last run, of claude, exited with 0.\n\nIt succeeded: its turn was done.\n\n"
        "Its worktree is on mp/x at c0ffee; not committed: 1 changed, 2 new."
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [("signalled", "was ended by signal 9"), ("timed_out", "ran out of time"), ("stopped", "was stopped")],
)
async def test_each_end_has_its_words(tmp_path: Path, how: str, words: str) -> None:
    reports, artifacts = Reports(), FolderArtifacts(tmp_path)

    await Accountant(reports, artifacts=artifacts, places=Trees()).tell(
        KEEP, replace(EXITED, how=how, signal=9), None
    )

    assert words in await told_to(reports, artifacts)


async def told_to(reports: Reports, artifacts: FolderArtifacts) -> str:
    made = reports.by_key[f"run/{KEEP.run_id}/account"]
    assert isinstance(made, ReportMade)
    return (await artifacts.get(WORKSPACE, ArtifactRef(made.account)) or b"").decode()


async def test_a_lost_run_is_told_with_the_evidence_and_what_it_left(tmp_path: Path) -> None:
    reports, artifacts = Reports(), FolderArtifacts(tmp_path)

    await Accountant(reports, artifacts=artifacts, places=Trees()).tell_lost(KEEP, "keeper 10 is not alive")

    told = await told_to(reports, artifacts)
    assert "was lost (keeper 10 is not alive): nobody knows how far it came" in told
    assert "not committed: 2 new" in told


@pytest.mark.parametrize("chars_max", [CHARS_MAX["status"], 100])
async def test_it_fits_whatever_is_known(tmp_path: Path, chars_max: int) -> None:
    reports, artifacts = Reports(), FolderArtifacts(tmp_path)
    wordy = replace(DONE, evidence="e" * 10_000)

    teller = Accountant(reports, artifacts=artifacts, places=Trees(), chars_max=chars_max)
    await teller.tell(KEEP, EXITED, wordy)

    assert len(await told_to(reports, artifacts)) == chars_max


async def test_it_is_told_under_the_runs_own_key(tmp_path: Path) -> None:
    reports, artifacts = Reports(), FolderArtifacts(tmp_path)

    await Accountant(reports, artifacts=artifacts, places=Trees()).tell(KEEP, EXITED, DONE)

    assert "not committed: 2 new" in await told_to(reports, artifacts)


async def test_a_kernel_that_can_not_take_it_now_is_not_waited_for(tmp_path: Path) -> None:
    reports = Reports()
    reports.refusing = 1

    await Accountant(reports, artifacts=FolderArtifacts(tmp_path), places=Trees()).tell(KEEP, EXITED, None)

    assert reports.commands == []
