"""What every runner backend promises of programs that stand on pipes instead of a terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.recording import Input, RecordingFrame, RecordingReader, Stderr
from tests.support.deadline import eventually_async
from tests.support.runs import (
    AUTHOR,
    a_run,
    all_output,
    dialled,
    exited,
    local_backend,
    output_until,
    python,
    running,
    shell,
)

BACKENDS: dict[str, Callable[[Path], port.Backend]] = {"local": local_backend}
ECHOES = 'while read line; do echo "got $line"; done; echo over'
CLOSES_ITS_OUTPUT = """
import os
os.write(1, b"before\\n")
os.close(1)
os.close(2)
os.read(0, 1)
"""
LEAVES_A_CHILD_WITH_THE_PIPE = """
import os, time
listen, speak = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.write(speak, b"!")
    time.sleep(600)
os.read(listen, 1)
os.write(1, b"done\\n")
"""
CLOSES_ITS_INPUT = """
import os, sys, time
os.close(0)
os.write(1, b"closed\\n")
time.sleep(600)
"""


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> port.Backend:
    return BACKENDS[request.param](tmp_path)


def piped(*argv: str, **changes: object) -> port.LaunchSpec:
    return a_run(*argv, io="pipes", **changes)


def recorded(backend: port.Backend, run_id: str) -> list[RecordingFrame]:
    with RecordingReader(backend.run_dir(run_id) / "recording.mprec") as reader:
        return list(reader.frames())


def errors(backend: port.Backend, run_id: str) -> bytes:
    return b"".join(each.data for each in recorded(backend, run_id) if isinstance(each, Stderr))


async def test_output_comes_byte_for_byte_and_errors_stand_apart(backend: port.Backend) -> None:
    spec = piped(*shell("printf 'out\\n\\377'; printf 'oops\\n' >&2; exit 4"))
    async with running(backend, spec) as link:
        output = await all_output(link)
        ended = await exited(link)

    assert (output, ended.code, ended.output_bytes) == (b"out\n\xff", 4, 5)
    assert errors(backend, spec.run_id) == b"oops\n"


async def test_a_program_on_pipes_has_no_terminal_and_leads_a_session(backend: port.Backend) -> None:
    code = "import os; print(os.isatty(0), os.isatty(1), os.isatty(2), os.getsid(0) == os.getpid())"
    async with running(backend, piped(*python(code))) as link:
        assert await all_output(link) == b"False False False True\n"


async def test_a_program_without_input_reads_the_end_at_once(backend: port.Backend) -> None:
    async with running(backend, piped(*shell("cat; echo end"))) as link:
        assert await all_output(link) == b"end\n"


async def test_a_file_can_be_the_input(backend: port.Backend, tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_bytes(b"x" * 300_000)
    spec = piped(*shell("wc -c"), stdin="file", stdin_file=str(prompt))
    async with running(backend, spec) as link:
        assert (await all_output(link)).strip() == b"300000"


async def test_a_file_that_is_not_there_starts_nothing(backend: port.Backend, tmp_path: Path) -> None:
    refused = await backend.start(piped("true", stdin="file", stdin_file=str(tmp_path / "none")))

    assert isinstance(refused, port.StartRefused)
    assert refused.code == "unusable"


async def test_the_opening_comes_before_every_input_and_closing_after_them(backend: port.Backend) -> None:
    spec = piped(*shell(ECHOES), stdin="open", opening=b"first\n")
    async with running(backend, spec) as link:
        await link.send_input(b"second\n", author=AUTHOR, input_id="i-1")
        assert await link.close_input() == port.Done()
        assert await link.close_input() == port.Done()
        output = await all_output(link)
        ended = await exited(link)

    assert output == b"got first\ngot second\nover\n"
    assert ended.code == 0


async def test_an_input_reaches_the_pipe_once_however_often_it_is_sent(backend: port.Backend) -> None:
    spec = piped(*shell(ECHOES), stdin="open")
    async with running(backend, spec) as link:
        first = await link.send_input(b"one\n", author=AUTHOR, input_id="i-1")
        async with await dialled(backend, spec.run_id) as after_a_crash:
            again = await after_a_crash.send_input(b"one\n", author=AUTHOR, input_id="i-1")
            await after_a_crash.close_input()
        output = await all_output(link)
        entries = [entry.report async for entry in _until_exited(link)]

    assert first == again == port.InputResult(input_id="i-1", outcome="applied", bytes=4, output_bytes=0)
    assert output == b"got one\nover\n"
    names = [type(report).__name__ for report in entries]
    assert names.index("InputIntended") < names.index("InputApplied")
    assert [each.data for each in recorded(backend, spec.run_id) if isinstance(each, Input)] == [b"one\n"]


async def test_keys_of_a_person_are_refused_where_there_is_no_terminal(backend: port.Backend) -> None:
    async with running(backend, piped(*shell(ECHOES), stdin="open")) as link:
        refused = await link.send_input(b"x", author=AUTHOR, input_id=None)

    assert isinstance(refused, port.RequestRefused)
    assert refused.code == "no_terminal"


async def test_after_the_end_of_input_nothing_more_is_taken(backend: port.Backend) -> None:
    async with running(backend, piped(*shell(f"{ECHOES}; sleep 600"), stdin="open")) as link:
        await link.close_input()
        refused = await link.send_input(b"late\n", author=AUTHOR, input_id="i-1")

    assert isinstance(refused, port.RequestRefused)
    assert refused.code == "input_closed"


async def test_closing_the_input_of_a_run_that_has_none_is_refused(backend: port.Backend) -> None:
    async with running(backend, piped(*shell("sleep 600"))) as link:
        refused = await link.close_input()

    assert isinstance(refused, port.RequestRefused)
    assert refused.code == "no_input"


async def test_a_program_that_never_reads_is_refused_more_and_can_be_stopped(backend: port.Backend) -> None:
    async with running(backend, piped(*shell("sleep 600"), stdin="open")) as link:
        sends = [
            asyncio.create_task(link.send_input(b"x" * 120_000, author=AUTHOR, input_id=f"i-{n}"))
            for n in range(12)
        ]
        done, _ = await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
        first = [each.result() for each in done]
        await link.stop(reason="enough")
        ended = await exited(link)
        results = await asyncio.gather(*sends)

    assert {each.code for each in first if isinstance(each, port.RequestRefused)} == {"input_full"}
    assert ended.how == "stopped"
    assert all(isinstance(each, port.RequestRefused) or each.outcome == "failed" for each in results)


async def test_a_program_that_closes_its_input_fails_what_waits_and_goes_on(backend: port.Backend) -> None:
    async with running(backend, piped(*python(CLOSES_ITS_INPUT), stdin="open")) as link:
        await output_until(link, b"closed\n")
        failed = await link.send_input(b"x\n", author=AUTHOR, input_id="i-1")
        refused = await link.send_input(b"y\n", author=AUTHOR, input_id="i-2")
        state = (await link.status()).state

    assert isinstance(failed, port.InputResult)
    assert (failed.outcome, failed.bytes) == ("failed", 0)
    assert isinstance(refused, port.RequestRefused)
    assert refused.code == "input_closed"
    assert state == "running"


async def test_a_program_that_closes_its_output_early_runs_on_at_no_cost(backend: port.Backend) -> None:
    async with running(backend, piped(*python(CLOSES_ITS_OUTPUT), stdin="open")) as link:
        await output_until(link, b"before\n")
        state = (await link.status()).state
        await link.close_input()
        ended = await exited(link)

    assert (state, ended.how, ended.code, ended.output_bytes) == ("running", "exited", 0, 7)


async def test_a_child_that_holds_the_pipe_open_does_not_hold_up_the_end(backend: port.Backend) -> None:
    async with running(backend, piped(*python(LEAVES_A_CHILD_WITH_THE_PIPE))) as link:
        output = await all_output(link)
        ended = await exited(link)

    assert output == b"done\n"
    assert (ended.how, ended.code, len(ended.leftovers)) == ("exited", 0, 1)


async def test_a_line_without_an_end_is_kept_up_to_the_limit(backend: port.Backend) -> None:
    limits = port.Limits(output_bytes_max=3_000_000)
    async with running(backend, piped(*shell("yes | tr -d '\\n'"), limits=limits)) as link:
        output = await all_output(link)
        ended = await exited(link)

    assert output == b"y" * 3_000_000
    assert ended.reason == "limit:output_bytes_max"


async def test_errors_count_against_the_limit_of_output(backend: port.Backend) -> None:
    limits = port.Limits(output_bytes_max=100_000)
    spec = piped(*shell("yes >&2"), limits=limits)
    async with running(backend, spec) as link:
        ended = await exited(link)

    assert ended.reason == "limit:output_bytes_max"
    assert ended.output_bytes == 0
    assert len(errors(backend, spec.run_id)) == 100_000


async def test_a_size_means_nothing_and_a_signal_reaches_the_program(backend: port.Backend) -> None:
    code = "trap 'echo caught; exit 0' INT; echo ready; while :; do sleep 0.05; done"
    async with running(backend, piped(*shell(code))) as link:
        await output_until(link, b"ready\n")
        resized = await link.resize(rows=10, cols=10)
        status = await link.status()
        await link.signal("INT")
        output = await all_output(link)

    assert resized == port.Done()
    assert (status.waiting_on_tty, status.canonical) == (False, False)
    assert output.endswith(b"caught\n")


async def test_a_new_daemon_finds_a_run_on_pipes_again(backend: port.Backend) -> None:
    spec = piped(*shell(ECHOES), stdin="open")
    async with running(backend, spec) as link:
        await link.close()

        async def answers() -> bool:
            async with await dialled(backend, spec.run_id) as again:
                await again.send_input(b"hello\n", author=AUTHOR, input_id="i-1")
                await again.close_input()
                return await all_output(again) == b"got hello\nover\n"

        await eventually_async(answers)


async def _until_exited(link: port.RunLink):
    async for entry in link.entries():
        yield entry
        if isinstance(entry.report, port.Exited):
            await link.ack(entry.number)
            return
