"""However a call ends: one exit status, one thing said, never a traceback."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from moduprompt.cli.call import Call
from moduprompt.cli.ending import carry_out
from moduprompt.cli.faults import failed, misused
from moduprompt.cli.printing import print_json, print_text
from moduprompt.client import AnswerBroken, CommandRefused, RequestRefused, Unreachable
from moduprompt.config import ConfigRefused
from moduprompt.protocol import EXIT_STATUS, Code, CommandId, ErrorObject, RefusedAnswer, Rejection

Run = Callable[[Call], Awaitable[None]]


def raising(fault: BaseException) -> Run:
    async def run(call: Call) -> None:
        raise fault

    return run


def refused(code: Code) -> CommandRefused:
    rejection = Rejection(code=code, message="no", hint="do this")
    return CommandRefused(RefusedAnswer(command_id=CommandId("c"), trace_id="t1", rejection=rejection))


def ended(run: Run, **given: object) -> int:
    return carry_out(argparse.Namespace(carry_out=run, **given))


@pytest.mark.parametrize("code", list(Code))
def test_each_code_has_the_exit_status_of_the_table(code: Code, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(raising(refused(code))) == EXIT_STATUS[code]
    assert ended(raising(RequestRefused(ErrorObject(code=code, message="no")))) == EXIT_STATUS[code]
    assert ended(raising(failed(code, "no"))) == EXIT_STATUS[code]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: no\nhint: do this\ntrace: t1\nerror: no\nerror: no\n"


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Unreachable("gone"), 7),
        (AnswerBroken("what?"), 1),
        (ConfigRefused("too long", path="/x", hint="shorter"), 2),
        (misused("what?"), 2),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("oops"), 1),
    ],
)
def test_everything_else_has_its_status_too(
    fault: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(raising(fault)) == status
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.out == ""


def test_json_says_it_on_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(raising(refused(Code.POLICY_DENIED)), json=True) == 6

    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {
        "code": "policy_denied",
        "message": "no",
        "hint": "do this",
        "trace_id": "t1",
    }


FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this machine has no /dev/full")


@needs_full
@pytest.mark.parametrize("as_json", [False, True])
def test_a_standard_output_that_takes_nothing_is_no_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], as_json: bool
) -> None:
    async def prints(call: Call) -> None:
        print_json(b"{}") if call.is_json else print_text("text\n")

    with FULL.open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert ended(prints, json=as_json) == EXIT_STATUS[Code.UNKNOWN]
        monkeypatch.undo()
    said = capfd.readouterr().err
    assert said.startswith("error: standard output can't be written: No space left on device\n")
    assert "Traceback" not in said


@needs_full
def test_a_refusal_that_can_not_be_printed_as_json_is_said_to_people_and_keeps_its_status(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with FULL.open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert ended(raising(failed(Code.NOT_FOUND, "no")), json=True) == 5
        monkeypatch.undo()
    assert capfd.readouterr().err == "error: no\n"


def test_what_is_no_text_is_a_slip_of_whoever_typed_it(capsys: pytest.CaptureFixture[str]) -> None:
    async def sends(call: Call) -> None:
        os.fsdecode(b"a\xff").encode()

    assert ended(sends) == 2
    told = "error: what was given is no UTF-8: a\\xff\nhint: give it in UTF-8\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize(("words", "status"), [("mpd systemd", 0), ("mpctl --no-start run show x", 7)])
def test_a_standard_stream_that_is_closed_or_full_changes_no_status(
    tmp_path: Path, closed: str, words: str, status: int
) -> None:
    program, _, rest = words.partition(" ")
    line = f'exec "$0" -m moduprompt.cli.{program} {rest} {closed}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable],
        env={"HOME": str(tmp_path), "MP_RUNTIME_DIR": str(tmp_path / "r"), "PATH": os.environ["PATH"]},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr


def test_a_message_can_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    ended(raising(failed(Code.NOT_FOUND, "a\x1b[2Jb\nerror: c", hint="\x07d")))

    assert capsys.readouterr().err == "error: a [2Jb error: c\nhint: d\n"


def test_the_time_limit_is_124_and_a_time_out_of_something_else_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def waits(call: Call) -> None:
        await asyncio.Event().wait()

    assert ended(waits, timeout=0.02) == 124
    assert capsys.readouterr().err.startswith("error: not done within 0.02 s\n")
    assert ended(raising(TimeoutError("other")), timeout=5.0) == 1


def test_a_fault_of_our_own_says_where_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MP_DEBUG", "1")

    assert ended(raising(ZeroDivisionError("oops"))) == 1

    assert "Traceback" in capsys.readouterr().err


def test_done_is_zero() -> None:
    async def does_it(call: Call) -> None:
        pass

    assert ended(does_it) == 0
