"""Whether a run did its job, from its recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.effects.agents.port import Verdict
from moduprompt.effects.runner import port
from moduprompt.effects.runner.verdicts import judge
from moduprompt.keeper import recording
from tests.support.transcripts import adapter_of, transcripts


def judged(folder: Path, output: bytes, *, adapter: str = "claude", code: int = 0) -> Verdict | None:
    path = folder / "recording.mprec"
    written = recording.Recording(str(path), started_us=1)
    written.append(recording.RESIZE, 0, recording.pack_size(24, 80))
    for at in range(0, len(output), 1_000):  # frames know nothing of lines
        written.append(recording.OUTPUT, at, output[at : at + 1_000])
        written.append(recording.STDERR, at, b'{"type":"result","subtype":"success"}\n')
    written.close()
    exited = port.Exited(
        how="exited",
        code=code,
        signal=None,
        reason=None,
        output_bytes=len(output),
        output_dropped_bytes=0,
        leftovers=(),
        survivors=(),
    )
    return judge(adapter_of(adapter), path, exited)


def test_a_run_is_judged_by_what_it_said_in_its_output(tmp_path: Path) -> None:
    verdict = judged(tmp_path, transcripts("claude")["good"])

    assert verdict is not None
    assert (verdict.outcome, verdict.rule) == ("succeeded", "turn_done")


@pytest.mark.parametrize("code", [0, 1])
def test_a_refused_key_is_a_failure_of_its_class_whatever_the_exit_code(tmp_path: Path, code: int) -> None:
    verdict = judged(tmp_path, transcripts("claude")["unauthorised"], code=code)

    assert verdict is not None
    assert (verdict.outcome, verdict.failure) == ("failed", FailureClass.AUTH_REQUIRED)


def test_refused_tools_are_unclear_while_nobody_looked_at_the_worktree(tmp_path: Path) -> None:
    verdict = judged(tmp_path, transcripts("claude")["not_allowed"])

    assert verdict is not None
    assert verdict.outcome == "unclear"


def test_what_stands_in_standard_error_is_not_believed(tmp_path: Path) -> None:
    verdict = judged(tmp_path, b"no word of its own\n")

    assert verdict is not None
    assert verdict.rule == "turn_not_ended"


def test_a_program_that_tells_nothing_is_not_judged_here(tmp_path: Path) -> None:
    assert judged(tmp_path, b"done\n", adapter="command") is None
