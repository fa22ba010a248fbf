"""What every runner backend promises, with real programs in real terminals."""

import asyncio
import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from moduprompt.effects.runner import port
from moduprompt.keeper import processes
from tests.support.deadline import eventually_async
from tests.support.runs import (
    AUTHOR,
    PATH,
    a_run,
    all_output,
    dialled,
    end_of,
    exited,
    finish,
    gone,
    is_waiting,
    local_backend,
    output_until,
    python,
    running,
    shell,
)

BACKENDS: dict[str, Callable[[Path], port.Backend]] = {"local": local_backend}

READS_LINES = 'echo ready; while read line; do echo "got <$line>"; done'
WRITES_RANDOM_BYTES = """
import os, random, tty
tty.setraw(1)
data = memoryview(random.Random(7).randbytes(3_000_000))
while data:
    data = data[os.write(1, data):]
"""
STUBBORN = """
import os, signal, time
for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(name, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
print("ready", os.getpid(), flush=True)
time.sleep(600)
"""
LEAVES_A_CHILD = """
import os, time
listen, speak = os.pipe()
if os.fork() == 0:
    os.setsid()
    open("/proc/self/comm", "w").write("left-behind")
    os.write(speak, b"!")
    time.sleep(600)
os.read(listen, 1)
"""


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> port.Backend:
    return BACKENDS[request.param](tmp_path)


async def reports(link: port.RunLink, *, upto: type[port.Report]) -> list[port.Entry]:
    """Every report up to the first of this kind."""
    found: list[port.Entry] = []
    async for entry in link.entries():
        found.append(entry)
        if isinstance(entry.report, upto):
            return found
    raise AssertionError("the reports ended")


async def test_a_run_reports_its_start_and_its_end_in_numbered_order(backend: port.Backend) -> None:
    async with running(backend, a_run(*shell("echo hello; exit 3"))) as link:
        entries = await reports(link, upto=port.Exited)

    assert [entry.number for entry in entries] == [1, 2, 3]
    launching, started, ended = (entry.report for entry in entries)
    assert isinstance(launching, port.Launching)
    assert isinstance(started, port.Started)
    assert isinstance(ended, port.Exited)
    assert (ended.how, ended.code, ended.signal, ended.output_bytes) == ("exited", 3, None, len("hello\r\n"))


async def test_output_is_every_byte_the_program_wrote(backend: port.Backend) -> None:
    written = random.Random(7).randbytes(3_000_000)  # most of it is no UTF-8

    async with running(backend, a_run(*python(WRITES_RANDOM_BYTES))) as link:
        output = await all_output(link)

    assert hashlib.sha256(output).digest() == hashlib.sha256(written).digest()


async def test_output_starts_where_the_watcher_says(backend: port.Backend) -> None:
    async with running(backend, a_run(*shell("echo 0123456789"))) as link:
        whole = await all_output(link)
        tail = await all_output(link, start=4)
        nothing = await all_output(link, start=len(whole))

    assert (whole, tail, nothing) == (b"0123456789\r\n", b"456789\r\n", b"")


async def test_an_offset_that_is_still_to_come_is_refused(backend: port.Backend) -> None:
    async with running(backend, a_run(*shell(READS_LINES))) as link:
        with pytest.raises(ValueError, match="bad_offset"):
            await all_output(link, start=1_000_000)


async def test_starting_twice_keeps_the_first_program(backend: port.Backend) -> None:
    spec = a_run(*shell(READS_LINES))
    async with running(backend, spec) as link:
        again = await backend.start(spec)
        async with await dialled(backend, spec.run_id) as second:
            pid = second.welcome.pid

    assert again == port.Kept(run_id=spec.run_id)
    assert pid == link.welcome.pid


async def test_many_starts_at_once_start_one_program(backend: port.Backend) -> None:
    spec = a_run(*shell(READS_LINES))

    outcomes = await asyncio.gather(*(backend.start(spec) for _ in range(4)))
    left = await finish(backend, spec.run_id)

    assert outcomes == [port.Kept(run_id=spec.run_id)] * 4
    assert sum(isinstance(entry.report, port.Started) for entry in left.entries) == 1


async def test_a_run_that_is_over_is_never_started_again(backend: port.Backend) -> None:
    spec = a_run(*shell("exit 0"))
    async with running(backend, spec) as link:
        await exited(link)
    await gone(backend, spec.run_id)

    again = await backend.start(spec)

    assert isinstance(again, port.StartRefused)
    assert again.code == "used"


async def test_a_run_nobody_started_is_gone_without_a_last_word(backend: port.Backend) -> None:
    verdict = await backend.dial("0190-never")

    assert isinstance(verdict, port.Gone)
    assert (verdict.entries, verdict.last_word) == ((), None)


async def test_an_input_is_typed_once_however_often_it_is_sent(backend: port.Backend) -> None:
    spec = a_run(*shell(READS_LINES))
    async with running(backend, spec) as link:
        first = await link.send_input(b"one\n", author=AUTHOR, input_id="i-1")
        async with await dialled(backend, spec.run_id) as after_a_crash:
            second = await after_a_crash.send_input(b"one\n", author=AUTHOR, input_id="i-1")
        await link.send_input(b"two\n", author=AUTHOR, input_id="i-2")
        output = await output_until(link, b"got <two>")

    assert first == second
    assert isinstance(first, port.InputResult)
    assert (first.input_id, first.outcome, first.bytes) == ("i-1", "applied", 4)
    assert output.count(b"got <one>") == 1


async def test_an_input_is_reported_as_intended_before_it_is_applied(backend: port.Backend) -> None:
    async with running(backend, a_run(*shell(READS_LINES))) as link:
        await link.send_input(b"one\n", author=AUTHOR, input_id="i-1")
        entries = await reports(link, upto=port.InputApplied)

    intended, applied = (entry.report for entry in entries[2:])
    assert intended == port.InputIntended(input_id="i-1")
    assert isinstance(applied, port.InputApplied)
    assert (applied.input_id, applied.bytes) == ("i-1", 4)


async def test_an_input_with_a_guard_is_typed_only_into_what_its_sender_has_seen(
    backend: port.Backend,
) -> None:
    async with running(backend, a_run(*shell(READS_LINES))) as link:
        await eventually_async(lambda: is_waiting(link))
        seen = (await link.status()).output_bytes
        early = await link.send_input(b"one\n", author=AUTHOR, input_id="i-1", if_output_bytes=seen - 1)
        typed = await link.send_input(b"one\n", author=AUTHOR, input_id="i-1", if_output_bytes=seen)
        again = await link.send_input(b"one\n", author=AUTHOR, input_id="i-1", if_output_bytes=0)
        await link.send_input(b"two\n", author=AUTHOR, input_id="i-2")
        output = await output_until(link, b"got <two>")

    assert isinstance(early, port.RequestRefused)
    assert early.code == "moved_on"
    assert typed == again
    assert output.count(b"got <one>") == 1


async def test_an_input_is_typed_only_while_the_terminal_has_the_mode_that_was_seen(
    backend: port.Backend,
) -> None:
    async with running(backend, a_run(*shell(READS_LINES))) as link:
        await output_until(link, b"ready")
        changed = await link.send_input(b"one\n", author=AUTHOR, input_id="i-1", if_canonical=False)
        same = await link.send_input(b"two\n", author=AUTHOR, input_id="i-2", if_canonical=True)
        output = await output_until(link, b"got <two>")

    assert isinstance(changed, port.RequestRefused)
    assert changed.code == "moved_on"
    assert isinstance(same, port.InputResult)
    assert b"one" not in output


async def test_what_is_printed_since_the_last_key_is_told(backend: port.Backend) -> None:
    async with running(backend, a_run(*shell("stty -echo; echo ready; read line; read more"))) as link:
        await output_until(link, b"ready")
        before = await link.status()
        await link.send_input(b"one\n", author=AUTHOR, input_id="i-1")
        after = await link.status()

    assert (before.since_typed_ms, after.printed_since_typed) == (None, 0)
    assert after.since_typed_ms is not None


async def test_a_line_that_is_typed_and_not_read_is_told(backend: port.Backend) -> None:
    async with running(backend, a_run(*shell("echo ready; sleep 600"))) as link:
        await output_until(link, b"ready")
        before = (await link.status()).unread_bytes
        await link.send_input(b"one\n", author=AUTHOR, input_id="i-1")
        after = (await link.status()).unread_bytes

    assert (before, after) == (0, 4)


async def test_a_persons_half_typed_line_is_told_with_its_author_until_it_is_sent(
    backend: port.Backend,
) -> None:
    async with running(backend, a_run(*shell(READS_LINES))) as link:
        await link.send_input(b"hal", author=AUTHOR, input_id=None)
        drafted = (await link.status()).draft_by
        await link.send_input(b"f\r", author=AUTHOR, input_id=None)
        sent = (await link.status()).draft_by

    assert (drafted, sent) == (AUTHOR.id, None)


async def test_key_presses_without_an_id_are_typed_and_not_reported(backend: port.Backend) -> None:
    async with running(backend, a_run(*shell("read line; echo got $line"))) as link:
        await link.send_input(b"x\n", author=AUTHOR, input_id=None)
        output = await all_output(link)
        entries = await reports(link, upto=port.Exited)

    assert b"got x" in output
    assert not any(isinstance(entry.report, (port.InputIntended, port.InputApplied)) for entry in entries)


async def test_an_input_after_the_end_is_refused(backend: port.Backend) -> None:
    async with running(backend, a_run(*shell("exit 0"))) as link:
        await reports(link, upto=port.Exited)
        refused = await link.send_input(b"x", author=AUTHOR, input_id="i-1")

    assert isinstance(refused, port.RequestRefused)
    assert refused.code == "not_running"


async def test_reports_are_told_again_until_they_are_acknowledged(backend: port.Backend) -> None:
    spec = a_run(*shell("exit 0"))
    async with running(backend, spec) as link:
        await reports(link, upto=port.Exited)
        await link.ack(2)
        async with await dialled(backend, spec.run_id) as after_a_crash:
            again = await reports(after_a_crash, upto=port.Exited)

    assert [entry.number for entry in again] == [3]


async def test_a_keeper_goes_when_all_is_acknowledged_and_leaves_its_journal(backend: port.Backend) -> None:
    spec = a_run(*shell("exit 7"))
    assert isinstance(await backend.start(spec), port.Kept)
    async with await dialled(backend, spec.run_id) as link:
        ended = await end_of(link)

    left = await gone(backend, spec.run_id)

    assert left.last_word == ended
    assert isinstance(ended, port.Exited)
    assert ended.code == 7
    assert left.survivors == ()


async def test_a_program_sees_the_size_it_was_given_and_each_new_one(backend: port.Backend) -> None:
    code = "trap 'stty size' WINCH; stty size; while :; do read line; done"
    async with running(backend, a_run(*shell(code), rows=11, cols=22)) as link:
        await eventually_async(lambda: is_waiting(link))
        assert await link.resize(rows=33, cols=44) == port.Done()
        output = await output_until(link, b"33 44")

    assert output.startswith(b"11 22\r\n")


async def test_a_signal_reaches_the_foreground_group_and_does_not_stop_the_run(backend: port.Backend) -> None:
    code = "trap 'echo interrupted' INT; echo ready; while :; do read line; done"
    async with running(backend, a_run(*shell(code))) as link:
        await eventually_async(lambda: is_waiting(link))
        assert await link.signal("INT") == port.Done()
        await output_until(link, b"interrupted")
        status = await link.status()

    assert status.state == "running"


async def test_stopping_ends_a_polite_program_with_the_first_signal(backend: port.Backend) -> None:
    graces = port.StopGraces(interrupt=60, terminate=60, kill=60)
    async with running(backend, a_run(*shell("exec sleep 600"), stop_graces_s=graces)) as link:
        await link.stop(reason="enough")
        ended = await exited(link)

    assert (ended.how, ended.signal, ended.reason) == ("stopped", 2, "enough")


async def test_stopping_leaves_nothing_of_a_program_that_ignores_it_and_hides(backend: port.Backend) -> None:
    spec = a_run(*python(STUBBORN))
    async with running(backend, spec) as link:
        await output_until(link, b"ready", times=2)
        assert len(processes.marked(f"MP_RUN={spec.run_id}")) == 2
        await link.stop(reason="enough")
        await link.stop(reason="asked twice")
        ended = await exited(link)

    assert (ended.how, ended.signal, ended.reason) == ("stopped", 9, "enough")
    assert ended.survivors == ()
    assert processes.marked(f"MP_RUN={spec.run_id}") == []


async def test_what_a_program_leaves_behind_is_ended_and_named(backend: port.Backend) -> None:
    spec = a_run(*python(LEAVES_A_CHILD))
    async with running(backend, spec) as link:
        ended = await exited(link)

    assert (ended.how, ended.code) == ("exited", 0)
    assert [process.name for process in ended.leftovers] == ["left-behind"]
    assert processes.marked(f"MP_RUN={spec.run_id}") == []


async def test_the_time_limit_stops_a_run_and_says_so(backend: port.Backend) -> None:
    limits = port.Limits(wall_s=0.2)
    async with running(backend, a_run(*shell("exec sleep 600"), limits=limits)) as link:
        entries = await reports(link, upto=port.Exited)

    assert port.LimitHit(limit="wall_s") in [entry.report for entry in entries]
    ended = entries[-1].report
    assert isinstance(ended, port.Exited)
    assert ended.how == "timed_out"


async def test_the_output_limit_stops_a_run_and_keeps_what_fits(backend: port.Backend) -> None:
    limits = port.Limits(output_bytes_max=10_000)
    async with running(backend, a_run("yes", limits=limits)) as link:
        output = await all_output(link)
        ended = await exited(link)

    assert (ended.how, ended.reason) == ("stopped", "limit:output_bytes_max")
    assert ended.output_bytes == len(output) == 10_000
    assert ended.output_dropped_bytes > 0


async def test_a_slow_watcher_keeps_nobody_else_waiting(backend: port.Backend) -> None:
    spec = a_run(*python(WRITES_RANDOM_BYTES))
    async with running(backend, spec) as link, await dialled(backend, spec.run_id) as slow:
        stuck = slow.output()
        await anext(stuck)
        output = await all_output(link)
        rest = [chunk.data async for chunk in stuck]

    assert len(output) == 3_000_000
    assert output.endswith(b"".join(rest))


@pytest.mark.parametrize(
    "argv",
    [shell("read line"), python("input()"), shell("cat"), python("import getpass; getpass.getpass()")],
    ids=["read", "input", "cat", "getpass"],
)
async def test_waiting_for_a_line_is_seen(backend: port.Backend, argv: tuple[str, ...]) -> None:
    async with running(backend, a_run(*argv)) as link:
        await eventually_async(lambda: is_waiting(link))
        status = await link.status()

    assert status.fg_pgid == link.welcome.pid
    assert "read(" in status.evidence


@pytest.mark.parametrize(
    "argv",
    [
        shell("echo ready; exec sleep 600"),
        shell("echo ready; sleep 600; true"),
        python("import os; print('ready', flush=True); r, w = os.pipe(); os.read(r, 1)"),
        shell("echo ready; sleep 600 | cat"),
    ],
    ids=["sleep", "shell waits", "reads a pipe", "cat of a pipe"],
)
async def test_working_quietly_is_not_taken_for_waiting(backend: port.Backend, argv: tuple[str, ...]) -> None:
    async with running(backend, a_run(*argv)) as link:
        await output_until(link, b"ready")
        seen = [(await link.status()).waiting_on_tty for _ in range(20)]

    assert not any(seen)


async def test_a_program_that_is_not_there_is_missing(backend: port.Backend) -> None:
    async with running(backend, a_run("no-such-program")) as link:
        ended = await end_of(link)

    assert isinstance(ended, port.StartFailed)
    assert (ended.failure, ended.errno) == ("program_missing", 2)
    assert "no-such-program" in ended.message


@pytest.mark.parametrize("what", ["no_folder", "not_executable", "no_interpreter", "a_directory"])
async def test_a_program_that_cannot_be_started_says_why(
    backend: port.Backend, tmp_path: Path, what: str
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o644 if what == "not_executable" else 0o755)
    argv = str(tmp_path if what == "a_directory" else program)
    cwd = str(tmp_path / "nowhere") if what == "no_folder" else str(tmp_path)

    async with running(backend, a_run(argv, cwd=cwd)) as link:
        ended = await end_of(link)

    assert isinstance(ended, port.StartFailed)
    assert ended.failure == "spawn_failed"
    assert str(tmp_path) in ended.message


async def test_a_script_without_a_first_line_runs_in_the_shell(backend: port.Backend, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo from the shell $1\n")
    script.chmod(0o755)

    async with running(backend, a_run(str(script), "indeed")) as link:
        output = await all_output(link)

    assert output == b"from the shell indeed\r\n"


async def test_the_environment_is_exactly_the_declared_one(
    backend: port.Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAEMON_SECRET", "must not leak")
    spec = a_run("/usr/bin/env", env={"PATH": PATH, "A": "ä b"})

    async with running(backend, spec) as link:
        output = await all_output(link)

    expected = {f"PATH={PATH}", "A=ä b", f"MP_RUN={spec.run_id}"}
    assert set(output.decode().split("\r\n")) - {""} == expected


async def test_a_program_starts_with_its_terminal_and_nothing_else_open(backend: port.Backend) -> None:
    code = """
import os, signal
terminals = {os.ttyname(fd) for fd in (0, 1, 2)}
others = [fd for fd in range(3, 256) if os.path.exists(f"/proc/self/fd/{fd}")]
ignored = [s for s in signal.valid_signals() if s not in (13, 25) and signal.getsignal(s) is signal.SIG_IGN]
leader = os.getsid(0) == os.getpid() == os.tcgetpgrp(0)
print(len(terminals), len(others) <= 1, ignored, leader, signal.pthread_sigmask(0, []), oct(os.umask(0)))
"""
    async with running(backend, a_run(*python(code))) as link:
        output = await all_output(link)

    assert output == b"1 True [] True set() 0o22\r\n"


async def test_a_spec_that_makes_no_sense_is_refused_and_leaves_nothing(backend: port.Backend) -> None:
    spec = a_run("x" * 200_000)

    refused = await backend.start(spec)

    assert isinstance(refused, port.StartRefused)
    assert refused.code == "bad_spec"
    verdict = await backend.dial(spec.run_id)
    assert isinstance(verdict, port.Gone)
    assert verdict.entries == ()
