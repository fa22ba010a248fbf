"""What is particular to runs on this machine: keepers that die, hang, or are found after a long time."""

import asyncio
import errno
import fcntl
import hashlib
import os
import shutil
import signal
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.link import KeeperLink, Patience
from moduprompt.effects.runner.local import KEY_BYTES, LocalBackend
from moduprompt.effects.runner.recording import Input, RecordingReader, Resize
from moduprompt.keeper import processes
from moduprompt.keeper.keeper import SOCKET_NAME
from moduprompt.keeper.recording import repair
from tests.support.deadline import eventually, eventually_async
from tests.support.runs import (
    AUTHOR,
    a_run,
    all_output,
    dialled,
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

KEEPER_PSS_KB_MAX = 10 * 1024
IGNORES_HANGING_UP = "trap '' HUP; echo ready; while :; do sleep 600; done"


@contextmanager
def few_files(most: int) -> Generator[None]:
    """What is started now may have no more files open than so many."""
    start = asyncio.create_subprocess_exec

    async def limited(*words: str, **how: object) -> asyncio.subprocess.Process:
        limit = f'ulimit -Sn {most}; exec "$@"'
        return await start("/bin/sh", "-c", limit, "sh", *words, **how)  # pyright: ignore[reportArgumentType]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(asyncio, "create_subprocess_exec", limited)
        yield


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "runs")


async def started(backend: LocalBackend, spec: port.LaunchSpec) -> port.RunLink:
    assert isinstance(await backend.start(spec), port.Kept)
    return await dialled(backend, spec.run_id)


async def test_a_keeper_that_dies_in_the_middle_of_the_start_has_not_left_nothing_behind(
    backend: LocalBackend,
) -> None:
    """Its program runs: whoever took this for a start that was refused would start another one."""
    spec = a_run(*shell("trap '' HUP; kill -9 $PPID; while :; do sleep 600; done"))
    outcome = await backend.start(spec)
    left = await gone(backend, spec.run_id)
    assert isinstance(outcome, port.Kept) or outcome.code == "used"
    assert isinstance(left.entries[0].report, port.Launching)
    assert left.last_word is None
    assert await backend.sweep(spec.run_id)


async def test_a_killed_keeper_is_gone_and_its_program_is_found_and_ended(backend: LocalBackend) -> None:
    spec = a_run(*shell(IGNORES_HANGING_UP))
    async with await started(backend, spec) as link:
        await output_until(link, b"ready")
        os.kill(link.welcome.keeper_pid, signal.SIGKILL)
        left = await gone(backend, spec.run_id)

    assert left.last_word is None
    assert [type(entry.report) for entry in left.entries] == [port.Launching, port.Started]
    assert "is not alive" in left.evidence
    assert link.welcome.pid in {process.pid for process in left.survivors}

    ended = await backend.sweep(spec.run_id)

    assert link.welcome.pid in {process.pid for process in ended}
    assert processes.marked(f"MP_RUN={spec.run_id}") == []
    assert await backend.sweep(spec.run_id) == ()


async def test_a_keeper_killed_during_output_leaves_a_readable_recording(backend: LocalBackend) -> None:
    spec = a_run("yes")
    async with await started(backend, spec) as link:
        seen = await output_until(link, b"y\r\n", times=10_000)
        os.kill(link.welcome.keeper_pid, signal.SIGKILL)
        await gone(backend, spec.run_id)
    path = backend.run_dir(spec.run_id) / "recording.mprec"

    with RecordingReader(path) as reader:
        before = reader.output_bytes()
    repair(str(path))
    with RecordingReader(path) as reader:
        after = reader.output_bytes()
    await backend.sweep(spec.run_id)

    assert before == after
    assert before.startswith(seen)


async def test_a_link_learns_that_its_keeper_died(backend: LocalBackend) -> None:
    spec = a_run(*shell("read line"))
    async with await started(backend, spec) as link:
        await eventually_async(lambda: is_waiting(link))
        assert backend.open_links() == 1
        os.kill(link.welcome.keeper_pid, signal.SIGKILL)
        with pytest.raises(port.LinkClosedError):
            await all_output(link)
        with pytest.raises(port.LinkClosedError):
            async for _ in link.entries():
                pass
        assert backend.open_links() == 0
    await gone(backend, spec.run_id)


async def test_a_link_that_was_closed_is_not_counted_as_open(backend: LocalBackend) -> None:
    spec = a_run(*shell("read line"))
    async with running(backend, spec):
        again = await backend.dial(spec.run_id)
        assert isinstance(again, KeeperLink)
        assert backend.open_links() == 2
        await again.close()
        assert backend.open_links() == 1


async def test_a_keeper_that_does_not_answer_is_not_taken_for_dead(
    backend: LocalBackend, tmp_path: Path
) -> None:
    spec = a_run(*shell("read line"))
    hasty = LocalBackend(tmp_path / "runs", patience=Patience(hello_s_max=0.2))
    async with running(backend, spec) as link:
        os.kill(link.welcome.keeper_pid, signal.SIGSTOP)
        verdict = await hasty.dial(spec.run_id)
        swept = await backend.sweep(spec.run_id)
        os.kill(link.welcome.keeper_pid, signal.SIGCONT)
        assert (await link.status()).state == "running"

    assert isinstance(verdict, port.Unreachable)
    assert f"keeper {link.welcome.keeper_pid} is stopped" in verdict.evidence
    assert swept == ()


@pytest.mark.parametrize("left", ["nothing", "a file"])
async def test_a_keeper_whose_socket_was_removed_is_reached_again(backend: LocalBackend, left: str) -> None:
    """A program may delete what it finds; its run must stay one that can be seen and stopped."""
    spec = a_run(*shell("read line"))
    async with running(backend, spec):
        socket = backend.run_dir(spec.run_id) / SOCKET_NAME
        socket.unlink()
        if left == "a file":
            socket.touch()
        found = await backend.dial(spec.run_id)
        assert isinstance(found, port.Unreachable)

        async def is_reached() -> bool:
            link = await backend.dial(spec.run_id)
            if isinstance(link, KeeperLink):
                await link.close()
            return isinstance(link, KeeperLink)

        await eventually_async(is_reached)


async def test_a_keeper_that_is_still_starting_is_not_taken_for_dead(backend: LocalBackend) -> None:
    folder = backend.run_dir("0190-starting")
    folder.mkdir(parents=True)
    with (folder / "keeper.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        during = await backend.dial("0190-starting")
    after = await backend.dial("0190-starting")

    assert isinstance(during, port.Unreachable)
    assert isinstance(after, port.Gone)


async def test_who_holds_a_dead_keepers_lock_does_not_keep_its_run_from_being_over(
    backend: LocalBackend,
) -> None:
    spec = a_run(*shell("sleep 1000"))
    assert isinstance(await backend.start(spec), port.Kept)
    async with await dialled(backend, spec.run_id) as link:
        with (backend.run_dir(spec.run_id) / "keeper.lock").open("rb") as lock:
            os.kill(link.welcome.keeper_pid, signal.SIGKILL)
            eventually(lambda: _is_taken(lock.fileno()))
            left = await gone(backend, spec.run_id)

    assert any(isinstance(entry.report, port.Started) for entry in left.entries)
    await backend.sweep(spec.run_id)


def _is_taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def test_another_daemon_with_another_key_is_refused(backend: LocalBackend, tmp_path: Path) -> None:
    spec = a_run(*shell("read line"))
    async with running(backend, spec):
        (tmp_path / "runs" / ".nonce-key").write_bytes(b"another key".ljust(32))
        stranger = await LocalBackend(tmp_path / "runs").dial(spec.run_id)

    assert isinstance(stranger, port.Unreachable)
    assert "unauthorized" in stranger.evidence


async def test_a_keeper_that_lacks_something_for_a_moment_leaves_nothing_in_its_own_way(
    backend: LocalBackend,
) -> None:
    """Whatever it was about to open when it could open nothing more."""
    refused = 0
    for files in range(5, 18):
        spec = a_run(*shell("read line"))
        with few_files(files):
            found = await backend.start(spec)
        if isinstance(found, port.StartRefused) and found.code == "not_now":
            refused += 1
            assert await backend.start(spec) == port.Kept(run_id=spec.run_id)
        await finish(backend, spec.run_id)

    assert refused


@pytest.mark.parametrize("left", [b"", b"half a key"])
def test_a_key_that_a_crash_cut_short_gives_no_nonces(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "runs").mkdir()
    key = tmp_path / "runs" / ".nonce-key"
    key.write_bytes(left)
    (tmp_path / "runs" / ".nonce-key.new").write_bytes(b"of the crash before")

    nonce = local_backend(tmp_path).nonce("0190")

    assert nonce != hashlib.blake2b(b"0190", key=left, digest_size=32).hexdigest()
    assert (len(key.read_bytes()), key.stat().st_mode & 0o777) == (KEY_BYTES, 0o600)
    assert local_backend(tmp_path).nonce("0190") == nonce


async def test_a_keeper_is_found_again_by_a_new_daemon(backend: LocalBackend, tmp_path: Path) -> None:
    spec = a_run(*shell("read line; echo got $line"))
    async with await started(backend, spec) as link:
        await link.send_input(b"half a dr", author=AUTHOR, input_id="i-1")
    reborn = LocalBackend(tmp_path / "runs")
    async with running(reborn, spec) as link:
        await link.send_input(b"half a dr", author=AUTHOR, input_id="i-1")
        await link.send_input(b"aft\n", author=AUTHOR, input_id="i-2")
        output = await all_output(link)
        assert (await exited(link)).code == 0

    assert output.endswith(b"got half a draft\r\n")


async def test_a_path_longer_than_a_socket_address_is_fine(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path / ("long" * 30) / ("longer" * 20))

    async with running(backend, a_run(*shell("echo far away"))) as link:
        assert await all_output(link) == b"far away\r\n"


async def test_a_place_that_cannot_be_written_is_refused_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    refused = await LocalBackend(tmp_path / "file").start(a_run("true"))

    assert isinstance(refused, port.StartRefused)
    assert refused.code == "unusable"
    assert str(tmp_path / "file") in refused.message


@pytest.mark.parametrize(
    ("number", "code"), [(errno.EMFILE, "not_now"), (errno.EAGAIN, "not_now"), (errno.ENOEXEC, "unusable")]
)
async def test_what_a_machine_may_have_again_ends_no_run(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    async def refuses(*_: object, **__: object) -> asyncio.subprocess.Process:
        raise OSError(number, os.strerror(number))

    spec = a_run("true")
    with monkeypatch.context() as lacking:
        lacking.setattr("asyncio.create_subprocess_exec", refuses)
        refused = await backend.start(spec)
    assert isinstance(refused, port.StartRefused)
    assert (refused.code, os.strerror(number) in refused.message) == (code, True)
    async with running(backend, spec) as link:
        assert (await exited(link)).code == 0


async def test_nobody_else_may_look_into_a_run_and_no_token_is_on_disk(backend: LocalBackend) -> None:
    spec = a_run(*shell("read line"), env={"PATH": os.environ["PATH"], "MP_TOKEN": "very-secret-token"})
    async with running(backend, spec):
        folder = backend.run_dir(spec.run_id)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in [folder, *folder.iterdir()]}
        held = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())

    assert set(modes.values()) == {0}
    assert b"very-secret-token" not in held


async def test_a_recording_holds_what_was_typed_by_whom_and_each_size(backend: LocalBackend) -> None:
    spec = a_run(*shell("read line; echo got $line"), rows=10, cols=20)
    async with running(backend, spec) as link:
        await link.resize(rows=30, cols=40)
        await link.send_input(b"x\n", author=port.Author(kind="session", id="s-1"), input_id="i-1")
        output = await all_output(link)
    with RecordingReader(backend.run_dir(spec.run_id) / "recording.mprec") as reader:
        frames = list(reader.frames())
        recorded = reader.output_bytes()

    sizes = [(frame.rows, frame.cols) for frame in frames if isinstance(frame, Resize)]
    typed = [(frame.author, frame.data) for frame in frames if isinstance(frame, Input)]
    assert sizes == [(10, 20), (30, 40)]
    assert typed == [(port.Author(kind="session", id="s-1"), b"x\n")]
    assert recorded == output
    assert [frame.time_us for frame in frames] == sorted(frame.time_us for frame in frames)


async def test_a_terminal_answers_its_program_when_nobody_watches(backend: LocalBackend) -> None:
    code = r"""
import os, tty
tty.setraw(0)
os.write(1, b"\x1b[6n")
answer = b""
while not answer.endswith(b"R"):
    answer += os.read(0, 100)
os.write(1, b"cursor " + answer[2:-1])
"""
    async with running(backend, a_run(*python(code))) as link:
        await exited_unacknowledged(link)
        output = await all_output(link)

    assert output.endswith(b"cursor 1;1")


async def exited_unacknowledged(link: port.RunLink) -> None:
    """Wait for the end and leave the keeper its reports."""
    async for entry in link.entries():
        if isinstance(entry.report, port.Exited):
            return


async def test_a_real_terminal_answers_for_itself(backend: LocalBackend) -> None:
    code = r"read line; printf '\033[6n'; read answer; echo \"$answer\" | od -c"
    async with running(backend, a_run(*shell(code))) as link:
        await eventually_async(lambda: is_waiting(link))
        watching = link.output(answers_terminal=True)
        await link.send_input(b"go\n", author=AUTHOR, input_id="i-1")
        seen = b""
        while b"\x1b[6n" not in seen:
            seen += (await anext(watching)).data
        await eventually_async(lambda: is_waiting(link))

    assert b"1;1R" not in seen


async def test_input_that_nobody_reads_is_bounded(backend: LocalBackend) -> None:
    spec = a_run(*python("import tty, time; tty.setraw(0); print('ready', flush=True); time.sleep(600)"))
    async with running(backend, spec) as link:
        await output_until(link, b"ready")
        sends = [link.send_input(b"x" * 120_000, author=AUTHOR, input_id=f"i-{n}") for n in range(12)]
        tasks = [asyncio.create_task(send) for send in sends]
        done, _ = await asyncio.wait(tasks, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        first = next(iter(done)).result()
        assert isinstance(first, port.RequestRefused)
        assert first.code == "input_full"
        await link.stop(reason="enough")
        results = await asyncio.gather(*tasks)

    failed = [result for result in results if isinstance(result, port.InputResult)]
    assert {result.outcome for result in failed} == {"failed"}
    assert len(failed) >= 8


async def test_a_program_that_closes_its_terminal_does_not_keep_its_keeper_busy(
    backend: LocalBackend,
) -> None:
    code = "import os, time; [os.close(fd) for fd in (0, 1, 2)]; time.sleep(600)"
    spec = a_run(*python(code))
    async with running(backend, spec) as link:
        eventually(lambda: not terminals_of(link.welcome.pid))
        before = processor_ticks(link.welcome.keeper_pid)
        for _ in range(20):
            await link.status()
        used = processor_ticks(link.welcome.keeper_pid) - before

    assert used < 50


def terminals_of(pid: int | None) -> list[str]:
    return [entry.name for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.name in "012"]


def processor_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def test_a_keeper_stays_small_with_a_slow_watcher_and_much_output(backend: LocalBackend) -> None:
    code = "import os\nfor _ in range(400): os.write(1, b'x' * 65536)\nprint('done', flush=True)\ninput()"
    spec = a_run(*python(code))
    async with running(backend, spec) as link, await dialled(backend, spec.run_id) as slow:
        stuck = slow.output()
        await anext(stuck)
        await output_until(link, b"done")
        pss_kb = proportional_memory_kb(link.welcome.keeper_pid)

    assert pss_kb < KEEPER_PSS_KB_MAX


def proportional_memory_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


async def test_a_keeper_told_to_terminate_stops_its_run_first(backend: LocalBackend) -> None:
    spec = a_run(*shell("exec sleep 600"))
    async with await started(backend, spec) as link:
        os.kill(link.welcome.keeper_pid, signal.SIGTERM)
        ended = await exited(link)
    await gone(backend, spec.run_id)

    assert (ended.how, ended.reason) == ("stopped", "keeper_terminated")


async def test_a_keeper_whose_folder_was_deleted_goes_with_its_program(backend: LocalBackend) -> None:
    """Nobody can ever ask for its reports: it would linger for nobody."""
    spec = a_run(*shell("exec sleep 600"))
    async with await started(backend, spec) as link:
        keeper = link.welcome.keeper_pid, link.welcome.keeper_start_time
        program = link.welcome.pid
    assert program is not None
    shutil.rmtree(backend.run_dir(spec.run_id))
    os.kill(program, signal.SIGKILL)
    try:
        eventually(lambda: not processes.is_alive(*keeper))
    finally:
        if processes.is_alive(*keeper):
            os.kill(keeper[0], signal.SIGKILL)


async def test_a_keeper_loads_nothing_of_ours_but_itself_and_nothing_from_outside(
    backend: LocalBackend,
) -> None:
    async with running(backend, a_run(*shell("read line"))) as link:
        command, mapped = (process_file(link.welcome.keeper_pid, name) for name in ("cmdline", "maps"))

    assert command.split("\0")[1:3] == ["-I", "-S"]
    assert "site-packages" not in mapped


def process_file(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


async def test_finishing_leaves_the_files_and_no_process(backend: LocalBackend) -> None:
    spec = a_run(*shell("exec sleep 600"))
    async with await started(backend, spec) as link:
        keeper = link.welcome.keeper_pid, link.welcome.keeper_start_time
    await finish(backend, spec.run_id)

    eventually(lambda: not processes.is_alive(*keeper))
    names = {path.name for path in backend.run_dir(spec.run_id).iterdir()}
    assert names == {"acknowledged", "journal.ndjson", "keeper.lock", "keeper.log", "recording.mprec"}
    assert (backend.run_dir(spec.run_id) / "keeper.log").read_bytes() == b""
