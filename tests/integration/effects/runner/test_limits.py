"""What a run may take, and that nothing of it escapes: with a control group, and without one."""

import os
import signal
from pathlib import Path

import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.keeper import cgroups, processes
from moduprompt.keeper.spec import Limits
from moduprompt.keeper.wire import Message
from tests.support.deadline import eventually
from tests.support.runs import a_run, all_output, dialled, exited, finish, gone, output_until, python, shell

MIB = 1024 * 1024
GREEDY = "print('begun', flush=True); held = [bytearray(1 << 20) for _ in range(600)]; print('has it all')"
# The end of a terminal's leader hangs up on its children: who did not ignore that might be gone before anybody looks.
PROLIFIC = """
import os, signal, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
started = 0
try:
    for _ in range(40):
        if os.fork() == 0:
            time.sleep(60)
        started += 1
except OSError:
    print("refused after", started, flush=True)
"""
# In a session of its own, with an empty environment, twice removed from the program that started it.
HIDDEN = "env -i setsid sh -c 'trap \"\" HUP TERM INT; while :; do sleep 61; done' & echo started; read line"
# With root's rights a program may make a group in its own and go there, as container tools do; and hide there.
INSIDE = r"""
import os, time
own = next(line.strip().split("::", 1)[1] for line in open("/proc/self/cgroup") if line.startswith("0::"))
mounts = [line.split() for line in open("/proc/self/mountinfo")]
base = next(words[4] for words in mounts if words[words.index("-") + 1] == "cgroup2")
inner = f"{base}{own}/inner/most"
try:
    os.makedirs(inner)
    if os.fork() == 0:
        open(f"{inner}/cgroup.procs", "w").write("0")
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        os.execve("/bin/sh", ["sh", "-c", "trap '' HUP TERM INT; echo started; while :; do sleep 61; done"], {})
    os.wait()
except OSError as fault:
    print("impossible", fault, flush=True)
time.sleep(600)
"""


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "runs")


async def ended(backend: LocalBackend, spec: port.LaunchSpec) -> tuple[port.Started, port.Exited, bytes]:
    """How a run went, from its start to its end."""
    assert isinstance(await backend.start(spec), port.Kept)
    async with await dialled(backend, spec.run_id) as watching:
        printed = await all_output(watching)
    async with await dialled(backend, spec.run_id) as link:
        end = await exited(link)
    left = await gone(backend, spec.run_id)
    starts = [entry.report for entry in left.entries if isinstance(entry.report, port.Started)]
    return starts[0], end, printed


def must_hold(limit: str, started: port.Started) -> None:
    if limit not in started.limits_held:
        pytest.skip(f"{limit} needs a control group that may be written, and this machine gives none")


def groups_of(run_id: str) -> list[Path]:
    # Not by rglob: it fails when somebody else's group goes while it looks.
    folders = (Path(folder) for folder, _, _ in os.walk("/sys/fs/cgroup"))
    return [folder for folder in folders if folder.name.endswith(run_id)]


async def test_a_program_that_takes_too_much_memory_is_ended_and_the_reason_is_told(
    backend: LocalBackend,
) -> None:
    spec = a_run(*python(GREEDY), limits=port.Limits(memory_bytes_max=64 * MIB))
    started, end, printed = await ended(backend, spec)
    must_hold("memory_bytes_max", started)

    assert b"begun" in printed
    assert b"has it all" not in printed
    assert (end.how, end.signal, end.reason) == ("signalled", signal.SIGKILL, "limit:memory_bytes_max")
    assert groups_of(spec.run_id) == []


async def test_a_program_that_starts_too_many_is_refused_more_and_all_of_them_are_ended(
    backend: LocalBackend,
) -> None:
    spec = a_run(*python(PROLIFIC), limits=port.Limits(processes_max=10))
    started, end, printed = await ended(backend, spec)
    must_hold("processes_max", started)

    assert b"refused after 9" in printed
    assert len(end.leftovers) == 9
    assert end.survivors == ()
    assert groups_of(spec.run_id) == []


async def test_a_share_of_a_core_is_taken_by_the_kernel(backend: LocalBackend) -> None:
    spec = a_run(*shell("true"), limits=port.Limits(cpu_cores_max=0.5))
    started, end, _ = await ended(backend, spec)
    must_hold("cpu_cores_max", started)
    assert end.code == 0


async def test_a_run_without_output_and_input_is_ended_at_its_idle_limit(backend: LocalBackend) -> None:
    _, end, _ = await ended(backend, a_run(*shell("sleep 60"), limits=port.Limits(idle_s=0.3)))
    assert (end.how, end.reason) == ("timed_out", "limit:idle_s")


async def test_limits_that_need_no_control_group_are_always_said_to_hold(backend: LocalBackend) -> None:
    limits = port.Limits(wall_s=60, idle_s=60, output_bytes_max=MIB, cpu_s=60, open_files_max=100)
    started, _, _ = await ended(backend, a_run(*shell("true"), limits=limits))
    assert started.limits == limits
    assert set(started.limits_held) >= {"wall_s", "idle_s", "output_bytes_max", "cpu_s", "open_files_max"}


async def test_a_tool_that_hides_is_ended_with_its_run(backend: LocalBackend) -> None:
    spec = a_run(*shell(HIDDEN))
    assert isinstance(await backend.start(spec), port.Kept)
    async with await dialled(backend, spec.run_id) as link:
        await output_until(link, b"started")
        assert link.welcome.pid is not None
        hidden = [each.pid for each in processes.descendants(link.welcome.pid)]
    await finish(backend, spec.run_id)

    assert hidden
    assert [pid for pid in hidden if _lives(pid)] == []


@pytest.mark.parametrize("daemon", ["in the group of before", "in another group"])
async def test_a_tool_that_hides_is_found_after_its_keeper_was_killed(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, daemon: str
) -> None:
    spec = a_run(*shell(HIDDEN))
    assert isinstance(await backend.start(spec), port.Kept)
    async with await dialled(backend, spec.run_id) as link:
        await output_until(link, b"started")
        assert link.welcome.pid is not None
        hidden = [each.pid for each in processes.descendants(link.welcome.pid)]
        os.kill(link.welcome.keeper_pid, signal.SIGKILL)
        if daemon == "in another group":  # as after a start from another terminal, or by a service manager
            monkeypatch.setattr(cgroups, "_parents", dict[str, str])
        left = await gone(backend, spec.run_id)
    started = next(entry.report for entry in left.entries if isinstance(entry.report, port.Started))
    if started.caught_by != "cgroup":
        for pid in hidden:
            os.kill(pid, signal.SIGKILL)
        pytest.skip("without a control group a dead keeper's hidden tools have no name to be found by")
    await backend.sweep(spec.run_id)

    assert hidden
    eventually(lambda: not any(_lives(pid) for pid in hidden))
    assert await backend.sweep(spec.run_id) == ()
    assert groups_of(spec.run_id) == []


@pytest.mark.parametrize("dies", ["the keeper", "nobody"])
async def test_who_hides_in_a_group_of_its_own_making_is_ended_and_the_groups_go(
    backend: LocalBackend, dies: str
) -> None:
    spec = a_run(*python(INSIDE))
    assert isinstance(await backend.start(spec), port.Kept)
    async with await dialled(backend, spec.run_id) as link:
        if b"impossible" in await output_until(link, b"\n"):
            await finish(backend, spec.run_id)
            pytest.skip("a program can't make control groups here")
        hidden = cgroups.left_in(spec.run_id)
        if dies == "the keeper":
            os.kill(link.welcome.keeper_pid, signal.SIGKILL)
    if dies == "the keeper":
        await gone(backend, spec.run_id)
        await backend.sweep(spec.run_id)
    else:
        await finish(backend, spec.run_id)

    assert len(hidden) >= 2  # the program, and the shell that hides
    eventually(lambda: not any(_lives(pid) for pid in hidden))
    assert await backend.sweep(spec.run_id) == ()
    assert groups_of(spec.run_id) == []


def test_a_machine_without_control_groups_holds_nothing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_: str) -> str:
        return ""

    monkeypatch.setattr(cgroups, "_read", nothing)
    group = cgroups.Cgroup("0190-none", Limits(Message(b'{"memory_bytes_max": 1048576}')))

    group.enter()
    assert (group.catches, group.held, group.pids(), group.remove()) == (False, [], [], True)
    assert cgroups.left_in("0190-none") == []


def test_a_folder_of_another_name_is_no_group_of_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "moduprompt-0190-other"
    folder.mkdir()
    (folder / "cgroup.procs").write_text(f"{os.getpid()}\n")

    assert cgroups.left_in("0190-this", [str(folder)]) == []
    assert cgroups.left_in("0190-other", [str(folder)]) == [os.getpid()]


def _lives(pid: int) -> bool:
    process = processes.inspect(pid)
    return process is not None and process.is_alive
