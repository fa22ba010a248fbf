"""Run folders that are not as a keeper left them: nobody is taken for dead, nobody is held up, nobody else is ended."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.keeper import processes
from tests.support.deadline import HANG_S
from tests.support.runs import a_run, dialled, exited, finish, gone, running, shell

RUN = "0190-odd"


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "runs")


@pytest.fixture
def bystander() -> Iterator[processes.Process]:
    """Somebody else's process."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={},
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = processes.inspect(child.pid)
        assert found is not None
        yield found
        child.kill()


async def dial(backend: LocalBackend, run_id: str) -> port.Unreachable | port.Gone:
    found = await asyncio.wait_for(backend.dial(run_id), HANG_S)
    assert isinstance(found, port.Unreachable | port.Gone)
    return found


async def killed(backend: LocalBackend, spec: port.LaunchSpec) -> None:
    """Its keeper dies with its program, without a last word."""
    assert await backend.start(spec) == port.Kept(run_id=spec.run_id)
    async with await dialled(backend, spec.run_id) as link:
        for pid in (link.welcome.keeper_pid, link.welcome.pid):
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
    await gone(backend, spec.run_id)


async def test_who_has_no_descriptor_left_takes_nobody_for_dead(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = a_run(*shell("read line"))
    opens = os.open

    def too_many(path: str | Path, *rest: int, **more: int) -> int:
        if str(path).endswith(spec.run_id):
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return opens(path, *rest, **more)

    async with running(backend, spec):
        monkeypatch.setattr(os, "open", too_many)
        found = await dial(backend, spec.run_id)
        monkeypatch.undo()

    assert isinstance(found, port.Unreachable)
    assert "Too many open files" in found.evidence


async def test_a_folder_that_can_not_be_read_is_no_death_and_nobody_is_ended(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = a_run(*shell("read line"))
    await killed(backend, spec)
    opens = os.open

    def forbidden(path: str | Path, *rest: int, **more: int) -> int:
        if str(path).endswith("journal.ndjson"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opens(path, *rest, **more)

    monkeypatch.setattr(os, "open", forbidden)
    found = await dial(backend, spec.run_id)
    swept = await backend.sweep(spec.run_id)
    monkeypatch.undo()

    assert isinstance(found, port.Unreachable)
    assert "Permission denied" in found.evidence
    assert swept == ()
    assert isinstance(await dial(backend, spec.run_id), port.Gone)  # once it can be read


async def test_a_link_in_place_of_a_folder_is_not_followed(backend: LocalBackend) -> None:
    spec = a_run(*shell("exit 3"))
    assert await backend.start(spec) == port.Kept(run_id=spec.run_id)
    async with await dialled(backend, spec.run_id) as link:
        await exited(link)
    await gone(backend, spec.run_id)
    backend.run_dir(RUN).symlink_to(backend.run_dir(spec.run_id))

    found = await dial(backend, RUN)

    assert isinstance(found, port.Unreachable), "the end of another run is none of its own"
    assert "a link" in found.evidence


async def test_the_journal_of_another_run_says_nothing(backend: LocalBackend) -> None:
    spec = a_run(*shell("exit 3"))
    assert await backend.start(spec) == port.Kept(run_id=spec.run_id)
    async with await dialled(backend, spec.run_id) as link:
        await exited(link)
    await gone(backend, spec.run_id)
    shutil.copytree(backend.run_dir(spec.run_id), backend.run_dir(RUN))

    found = await dial(backend, RUN)

    assert isinstance(found, port.Unreachable)
    assert f"that of run {spec.run_id}" in found.evidence


@pytest.mark.parametrize("name", ["journal.ndjson", "keeper.lock"])
async def test_a_pipe_in_place_of_a_file_holds_up_nobody(backend: LocalBackend, name: str) -> None:
    backend.run_dir(RUN).mkdir(parents=True)
    os.mkfifo(backend.run_dir(RUN) / name)

    found = await dial(backend, RUN)

    assert isinstance(found, port.Unreachable if name == "journal.ndjson" else port.Gone)


async def test_a_file_in_place_of_a_folder_is_no_death(backend: LocalBackend) -> None:
    backend.run_dir(RUN).parent.mkdir(parents=True)
    backend.run_dir(RUN).touch()

    assert isinstance(await dial(backend, RUN), port.Unreachable)


async def test_sweeping_never_reaches_a_process_that_has_the_id_by_now(
    backend: LocalBackend, bystander: processes.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = a_run(*shell("read line"))
    await killed(backend, spec)
    looks: list[str] = []

    def found(marker: str) -> list[processes.Process]:
        """At the first look a process of the run had this id, and has ended since."""
        looks.append(marker)
        stale = processes.inspect(bystander.pid)
        assert stale is not None
        stale.start_time -= 1
        return [stale] if len(looks) == 1 else []

    monkeypatch.setattr(processes, "marked", found)
    swept = await backend.sweep(spec.run_id)

    assert looks[0] == f"MP_RUN={spec.run_id}"
    assert processes.is_alive(bystander.pid, bystander.start_time)
    assert swept == (), "what was not ended is not said to be"


async def test_what_a_dead_keeper_left_is_ended_by_more_than_one_sweep_at_once(backend: LocalBackend) -> None:
    spec = a_run(*shell("trap '' INT TERM HUP; setsid sleep 1000 & sleep 1000"))
    assert await backend.start(spec) == port.Kept(run_id=spec.run_id)
    async with await dialled(backend, spec.run_id) as link:
        os.kill(link.welcome.keeper_pid, signal.SIGKILL)
    await gone(backend, spec.run_id)

    swept = await asyncio.gather(*(backend.sweep(spec.run_id) for _ in range(3)))

    assert any(swept)
    assert processes.marked(f"MP_RUN={spec.run_id}") == []
    await finish(backend, spec.run_id)
