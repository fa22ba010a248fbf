"""Whether a run did its job, from its recording."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.intents import KeepRun
from moduprompt.effects.agents.port import Verdict, Work
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.runner.listening import Listener
from moduprompt.effects.runner.speaking import Speaker
from moduprompt.effects.runner.verdicts import judge
from moduprompt.keeper import recording
from moduprompt.protocol import ProjectId, SessionId
from tests.support.fake_runner import EXITED, RUN, WORKSPACE, Backend, QuickClock, Reports, by_its_words, gone
from tests.support.transcripts import adapter_of, transcripts


async def judged(
    folder: Path, output: bytes, *, adapter: str = "claude", code: int = 0, work: Work | None = None
) -> Verdict | None:
    backend = Backend(folder, gone())
    backend.run_dir(RUN).mkdir()
    written = recording.Recording(str(backend.run_dir(RUN) / recording.RECORDING_NAME), started_us=1)
    written.append(recording.RESIZE, 0, recording.pack_size(24, 80))
    for at in range(0, len(output), 1_000):  # frames know nothing of lines
        written.append(recording.OUTPUT, at, output[at : at + 1_000])
        written.append(recording.STDERR, at, b'{"type":"result","subtype":"success"}\n')
    written.close()
    artifacts = FolderArtifacts(folder / "artifacts")
    listener = Listener(
        backend,
        Reports(),
        artifacts=artifacts,
        clock=QuickClock(),
        speaker=Speaker(backend),
        request=by_its_words,
    )
    said = await listener.rest(keep(adapter))
    exited = replace(EXITED, code=code)
    return None if said is None else judge(adapter_of(adapter), said, exited, work=work)


def keep(adapter: str) -> KeepRun:
    return KeepRun(
        name="keep",
        workspace_id=WORKSPACE,
        run_id=RUN,
        session_id=SessionId(RUN),
        project_id=ProjectId(RUN),
        adapter=adapter,
        argv=(),
        cwd=None,
        prompt=None,
        rows=24,
        cols=80,
        is_started=True,
    )


async def test_a_run_is_judged_by_what_it_said_in_its_output(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, transcripts("claude")["good"])

    assert verdict is not None
    assert (verdict.outcome, verdict.rule) == ("succeeded", "turn_done")


@pytest.mark.parametrize("code", [0, 1])
async def test_a_refused_key_is_a_failure_of_its_class_whatever_the_exit_code(
    tmp_path: Path, code: int
) -> None:
    verdict = await judged(tmp_path, transcripts("claude")["unauthorised"], code=code)

    assert verdict is not None
    assert (verdict.outcome, verdict.failure) == ("failed", FailureClass.AUTH_REQUIRED)


async def test_refused_tools_are_unclear_while_nobody_looked_at_the_worktree(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, transcripts("claude")["not_allowed"])

    assert verdict is not None
    assert verdict.outcome == "unclear"


@pytest.mark.parametrize(
    ("has_commits", "outcome", "failure"),
    [(False, "failed", FailureClass.PERMISSION_DENIED), (True, "succeeded", None)],
)
async def test_refused_tools_count_by_what_was_left_in_the_worktree(
    tmp_path: Path, has_commits: bool, outcome: str, failure: FailureClass | None
) -> None:
    work = Work(has_changes=False, has_commits=has_commits)
    verdict = await judged(tmp_path, transcripts("claude")["not_allowed"], work=work)

    assert verdict is not None
    assert (verdict.outcome, verdict.failure) == (outcome, failure)


async def test_what_stands_in_standard_error_is_not_believed(tmp_path: Path) -> None:
    verdict = await judged(tmp_path, b"no word of its own\n")

    assert verdict is not None
    assert verdict.rule == "turn_not_ended"


async def test_a_program_that_tells_nothing_is_not_judged_here(tmp_path: Path) -> None:
    assert await judged(tmp_path, b"done\n", adapter="command") is None
