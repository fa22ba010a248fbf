"""Processes are named by id and start time, since ids repeat; a signal reaches the one that was meant, or nobody."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from moduprompt.keeper import processes
from moduprompt.keeper.stopping import deliver

MARK = "MP_RUN=0190-marked"


@contextmanager
def living(environ: dict[str, str] | None = None) -> Generator[processes.Process]:
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environ or {},
        start_new_session=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline()  # it is itself by now
        found = processes.inspect(child.pid)
        assert found is not None
        yield found
    finally:
        child.kill()
        child.communicate()


def whose_id_was_reused(process: processes.Process) -> processes.Process:
    """As it was found: with the id that another one has by now."""
    found = processes.inspect(process.pid)
    assert found is not None
    found.start_time -= 1
    return found


@pytest.fixture(params=["by descriptor", "by id"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has descriptors of processes, and one that has none."""

    def refused(pid: int) -> int:
        raise OSError(errno.ENOSYS, "not here", pid)

    if request.param == "by id":
        monkeypatch.setattr(os, "pidfd_open", refused)


@pytest.mark.usefixtures("means")
def test_a_signal_reaches_the_process_that_was_found() -> None:
    with living() as process:
        assert processes.send_signal(process, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.is_alive(process.pid, process.start_time)
        assert not processes.send_signal(process, signal.SIGKILL), "a zombie is dead"


@pytest.mark.usefixtures("means")
def test_a_process_that_has_the_id_by_now_gets_no_signal() -> None:
    with living() as process:
        assert not processes.send_signal(whose_id_was_reused(process), signal.SIGKILL)
        deliver(signal.SIGKILL, set(), [whose_id_was_reused(process)])
        assert processes.is_alive(process.pid, process.start_time)


@pytest.mark.usefixtures("means")
def test_who_carries_another_mark_gets_no_signal() -> None:
    with living({"MP_RUN": "0190-marked-and-more"}) as other, living({"MP_RUN": "0190-marked"}) as ours:
        assert not processes.send_signal(other, signal.SIGKILL, marker=MARK)
        assert processes.send_signal(ours, signal.SIGKILL, marker=MARK)
        assert processes.is_alive(other.pid, other.start_time)


def test_a_process_that_is_gone_gets_none() -> None:
    with living() as process:
        pass
    assert not processes.send_signal(process, signal.SIGTERM)


def test_a_child_whose_id_is_anothers_by_now_is_none() -> None:
    """Between the list of children and the look at one of them it may end, and its id go to another."""
    with living() as child, living() as other:
        assert {each.pid for each in processes.descendants(os.getpid())} >= {child.pid, other.pid}

        with pytest.MonkeyPatch.context() as patched:
            listed = {os.getpid(): [child.pid], child.pid: [other.pid, 1]}

            def children(pid: int) -> list[int]:
                return listed.get(pid, [])

            patched.setattr(processes, "_children", children)
            patched.setattr(processes, "inspect", reparented(other.pid, to=4711))
            found = [each.pid for each in processes.descendants(os.getpid())]

        assert found == [child.pid]


def reparented(pid: int, *, to: int) -> Callable[[int], processes.Process | None]:
    inspect = processes.inspect

    def look(wanted: int) -> processes.Process | None:
        process = inspect(wanted)
        if process is not None and wanted == pid:
            process.ppid = to
        return process

    return look
