"""The end of a run, where others still hold its terminal, or the disk refuses; and what is typed while it does."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moduprompt.keeper import processes, traffic
from moduprompt.keeper import run as run_module
from moduprompt.keeper.inputs import WAITING_BYTES_MAX, Input, Refused
from moduprompt.keeper.journal import JOURNAL_NAME, scan_journal
from moduprompt.keeper.recording import (
    GAP,
    INPUT,
    MARK,
    OUTPUT,
    RECORDING_NAME,
    RESIZE,
    Recording,
    pack_gap,
    pack_input,
    pack_size,
    scan_frames,
)
from moduprompt.keeper.run import REPORTED_PROCESSES_MAX, RUNNING, STOPPING, Run
from moduprompt.keeper.traffic import LAST_READS_MAX
from moduprompt.keeper.wire import FRAME_BYTES_MAX
from tests.unit.keeper.test_spec import spec_of


def test_who_writes_on_after_the_end_does_not_hold_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody of the same user may have the terminal open and never stop; then there is always more to read."""
    run, reads = Run(spec_of(run_id="of-nobody"), str(tmp_path), is_subreaper=False), 0

    def read() -> bool:
        nonlocal reads
        reads += 1
        assert reads <= 10 * LAST_READS_MAX, "it reads for ever"
        return True

    monkeypatch.setattr(run.traffic, "read_output", read)
    run.agent = processes.inspect(1)
    run._wait_status = 0  # pyright: ignore[reportPrivateUsage] - its program has ended
    run.tick()

    assert run.has_ended
    assert reads == LAST_READS_MAX
    run.records.recording.close()


class Disk:
    """Refuses until it is told to heal. Short lines of the journal pass where only the recording is refused."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, kinds: tuple[int, ...] = (OUTPUT,)) -> None:
        self.refuses = True
        self._append = Recording.append
        self._datasync = os.fdatasync
        disk = self

        def append(recording: Recording, kind: int, at_us: int, payload: bytes) -> None:
            if disk.refuses and kind in kinds:
                raise OSError(errno.ENOSPC, "full")
            disk._append(recording, kind, at_us, payload)

        monkeypatch.setattr(Recording, "append", append)

    def refuses_the_journal_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def datasync(fd: int) -> None:
            if self.refuses:
                raise OSError(errno.ENOSPC, "full")
            self._datasync(fd)

        monkeypatch.setattr(os, "fdatasync", datasync)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """A run whose program has been started, as far as its keeper can see."""
    made = Run(spec_of(run_id="of-nobody"), str(tmp_path), is_subreaper=False)
    made.agent = processes.inspect(os.getpid())
    yield made
    made.records.recording.close()


def printed(run: Run, text: bytes) -> None:
    """The program prints."""
    fd = os.open(run.traffic.terminal.path, os.O_WRONLY | os.O_NOCTTY)
    os.write(fd, text)
    os.close(fd)


def kinds(run: Run, tmp_path: Path) -> list[object]:
    return [entry["kind"] for entry in scan_journal((tmp_path / JOURNAL_NAME).read_bytes())]


def nothing(*_: object) -> None:
    """In place of what would reach real processes."""


def an_input(input_id: str) -> Input:
    return Input(b"yes", author="kernel", author_id="prompt", input_id=input_id)


def test_a_run_does_not_end_before_the_disk_has_taken_its_last_output(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    monkeypatch.setattr(traffic, "DISK_RETRY_S", 0.0)
    printed(run, b"the last word")
    run.traffic.read_output()
    run._wait_status = 0  # pyright: ignore[reportPrivateUsage] - its program has ended
    run.tick()
    assert not run.has_ended

    disk.refuses = False
    run.tick()
    run.tick()

    assert run.has_ended
    (*_, exited) = scan_journal((tmp_path / JOURNAL_NAME).read_bytes())
    assert isinstance(exited["data"], dict)
    assert (exited["data"]["output_bytes"], exited["data"]["output_dropped_bytes"]) == (13, 0)


def test_an_intent_that_the_disk_refused_was_never_told_and_can_be_asked_for_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    disk.refuses_the_journal_too(monkeypatch)
    with pytest.raises(Refused) as refused:
        run.traffic.accept_input(an_input("one"), lambda _: None)
    assert refused.value.code == "disk_refused"

    disk.refuses = False
    run.tick()
    assert kinds(run, tmp_path) == []
    outcomes: list[str] = []
    run.traffic.accept_input(an_input("one"), lambda item: outcomes.append(item.outcome))

    assert outcomes == ["applied"]
    assert kinds(run, tmp_path) == ["input_intended", "input_applied"]


def test_nothing_is_typed_by_sight_while_nobody_can_see_what_is_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Disk(monkeypatch)
    printed(run, b"more")
    run.traffic.read_output()
    seen = run.records.recording.output_bytes
    printed(run, b"Delete everything? [y/n]")

    with pytest.raises(Refused) as refused:
        run.traffic.accept_input(an_input("one"), lambda _: None, if_output_bytes=seen)

    assert refused.value.code == "moved_on"


def test_who_changes_hands_while_it_is_looked_for_is_seen_by_the_next_look(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = processes.inspect(os.getpid())
    assert left is not None
    looks = iter([[], [left]])
    run._is_subreaper = True  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(run, "_living", lambda: next(looks))
    monkeypatch.setattr(run, "reap", lambda: None)
    monkeypatch.setattr(processes, "has_children", lambda: True)

    assert run._remains() == [left]  # pyright: ignore[reportPrivateUsage]


def test_a_child_counts_until_it_is_collected() -> None:
    look = "import os; from moduprompt.keeper.processes import has_children; a = has_children(); "
    look += "pid = os.fork(); pid or os._exit(0); b = has_children(); os.waitpid(pid, 0); print(a, b, has_children())"
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)

    assert said.stdout == "False True False\n"


def last_report(tmp_path: Path) -> dict[str, object]:
    (*_, last) = scan_journal((tmp_path / JOURNAL_NAME).read_bytes())
    data = last["data"]
    assert isinstance(data, dict)
    return data  # pyright: ignore[reportUnknownVariableType] - JSON


def test_what_goes_on_under_one_id_after_another_does_not_outgrow_the_report_of_the_end(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon hangs up on a frame that is too large, whoever sends it: then the run would never be over."""
    ids = iter(range(10_000, 30_000))
    name = "\N{REPLACEMENT CHARACTER}" * 15  # six bytes each as the journal writes them

    def another() -> list[processes.Process]:
        pid = next(ids)
        return [processes.Process(pid, f"{pid} ({name}) S 1 1{' 0' * 30}".encode())]

    monkeypatch.setattr(run, "_living", another)
    monkeypatch.setattr(run, "_deliver", nothing)
    run._wait_status = 0  # pyright: ignore[reportPrivateUsage] - its program has ended
    for _ in range(5_000):
        run.tick()
    monkeypatch.setattr(run, "_living", list[processes.Process])
    run.tick()

    assert run.has_ended
    leftovers = last_report(tmp_path)["leftovers"]
    assert isinstance(leftovers, list)
    assert len(leftovers) == REPORTED_PROCESSES_MAX  # pyright: ignore[reportUnknownArgumentType] - JSON
    assert len((tmp_path / JOURNAL_NAME).read_bytes()) < FRAME_BYTES_MAX


def test_a_program_that_even_a_kill_does_not_end_is_named_and_not_waited_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a disk that is gone, or is frozen, or belongs to another user by now."""
    assert run.agent is not None
    program = run.agent
    monkeypatch.setattr(run, "_living", lambda: [program])
    monkeypatch.setattr(run, "_deliver", nothing)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    run.stop("stopped")
    for _ in range(200):
        now += 0.1
        run.tick()

    assert run.has_ended
    told = last_report(tmp_path)
    assert (told["how"], told["code"], told["signal"]) == ("stopped", None, None)
    assert told["survivors"] == [{"pid": program.pid, "name": program.name}]


def test_a_machine_that_gives_no_process_fails_the_start_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    run = Run(spec_of(run_id="of-nobody"), str(tmp_path), is_subreaper=False)
    monkeypatch.setattr(os, "fork", fork)
    run.start()
    run.records.recording.close()

    assert run.has_ended
    assert kinds(run, tmp_path) == ["launching", "start_failed"]
    told = last_report(tmp_path)
    assert (told["class"], told["errno"]) == ("spawn_failed", errno.EAGAIN)


@pytest.mark.parametrize("refused", ["recording", "journal"])
def test_nothing_is_started_while_the_disk_does_not_take_that_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """A keeper that died then would have left a program that no journal names."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    def refuse_to_start(*_: object, **__: object) -> int:
        pytest.fail("it was started")

    run = Run(spec_of(run_id="of-nobody"), str(tmp_path), is_subreaper=False)
    if refused == "recording":
        monkeypatch.setattr(Recording, "append", refuse)
    else:
        monkeypatch.setattr(os, "fdatasync", refuse)
    monkeypatch.setattr(run_module, "launch", refuse_to_start)

    with pytest.raises(OSError, match=refused):
        run.start()

    assert (tmp_path / JOURNAL_NAME).stat().st_size == 0
    run.records.recording.close()


def recorded(tmp_path: Path) -> list[tuple[int, bytes]]:
    """What stands in the recording, but for its marks."""
    fd = os.open(tmp_path / RECORDING_NAME, os.O_RDONLY)
    try:
        return [(frame.kind, frame.payload) for frame in scan_frames(fd) if frame.kind != MARK]
    finally:
        os.close(fd)


def test_who_can_not_be_heard_for_the_disk_is_not_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(spec_of(run_id="of-nobody", limits={"idle_s": 60}), str(tmp_path), is_subreaper=False)
    run.agent = processes.inspect(os.getpid())
    monkeypatch.setattr(run, "_deliver", nothing)
    disk, now = Disk(monkeypatch), time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    printed(run, b"more")
    run.traffic.read_output()
    for _ in range(4):
        now += 30
        run.tick()
    assert run.state == RUNNING
    disk.refuses = False
    now += 30
    run.tick()
    assert (run.state, recorded(tmp_path)) == (RUNNING, [(OUTPUT, b"more")])

    now += 61
    run.tick()

    assert run.state == STOPPING
    run.records.recording.close()


def test_what_the_disk_refuses_stands_in_the_recording_later_and_in_order(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was typed and the window's size too: a replay would be drawn at another one."""
    disk = Disk(monkeypatch, kinds=(OUTPUT, INPUT, RESIZE))
    monkeypatch.setattr(traffic, "DISK_RETRY_S", 0.0)
    run.traffic.resize(30, 90)
    run.traffic.resize(31, 91)
    run.traffic.accept_input(Input(b"key", author="user", author_id="ada"), lambda _: None)
    run.tick()
    assert recorded(tmp_path) == []

    disk.refuses = False
    run.tick()

    assert recorded(tmp_path) == [(RESIZE, pack_size(31, 91)), (INPUT, pack_input("user", "ada", b"key"))]


def test_keys_that_can_not_be_recorded_are_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch, kinds=(INPUT,))

    def write(_: int, data: bytes) -> int:
        return len(data)  # a program that reads all of it

    monkeypatch.setattr(os, "write", write)

    def paste() -> None:
        run.traffic.accept_input(Input(b"k" * 65_536, author="user", author_id="ada"), lambda _: None)

    for _ in range(WAITING_BYTES_MAX // 65_536):
        paste()
    with pytest.raises(Refused) as refused:
        paste()

    assert refused.value.code == "disk_refused"


def test_a_gap_is_told_also_where_the_disk_is_full_when_its_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(spec_of(run_id="of-nobody", limits={"output_bytes_max": 3}), str(tmp_path), is_subreaper=False)
    run.agent = processes.inspect(os.getpid())
    monkeypatch.setattr(run, "_deliver", nothing)
    monkeypatch.setattr(run, "_living", list[processes.Process])
    monkeypatch.setattr(traffic, "DISK_RETRY_S", 0.0)
    disk = Disk(monkeypatch, kinds=(GAP,))
    printed(run, b"hello")
    run.traffic.read_output()
    run._wait_status = 0  # pyright: ignore[reportPrivateUsage] - its program has ended
    run.tick()
    assert not run.has_ended

    disk.refuses = False
    run.tick()
    run.tick()
    run.records.recording.close()

    assert run.has_ended
    assert recorded(tmp_path) == [(OUTPUT, b"hel"), (GAP, pack_gap(2))]


def test_a_foreground_group_that_is_gone_gets_no_signal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be that of somebody else's group by now."""
    run._is_subreaper = True  # pyright: ignore[reportPrivateUsage]
    sent: list[set[int]] = []

    def deliver(number: int, groups: set[int], living: list[processes.Process]) -> None:
        del number, living
        sent.append(groups)

    monkeypatch.setattr(run_module, "deliver", deliver)
    monkeypatch.setattr(run.traffic.terminal, "foreground", lambda: os.getpgrp())
    monkeypatch.setattr(run, "_living", list[processes.Process])
    with pytest.raises(Refused) as refused:
        run.signal_foreground(2)
    assert (refused.value.code, sent) == ("not_running", [])

    ours = processes.inspect(os.getpid())
    assert ours is not None
    monkeypatch.setattr(run, "_living", lambda: [ours])
    run.signal_foreground(2)

    assert sent == [{os.getpgrp()}]


def test_who_is_in_no_group_of_the_run_any_more_is_none_of_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may end when the group has just been read, and its id be another's by now."""
    monkeypatch.setattr(run._cgroup, "pids", lambda: [1])  # pyright: ignore[reportPrivateUsage]

    assert 1 not in [process.pid for process in run._living()]  # pyright: ignore[reportPrivateUsage]
