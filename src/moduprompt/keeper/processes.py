"""What /proc says about the processes of a run: who is left, and who waits for the terminal.

Everything here is evidence of a moment; processes come and go while it is read, so a process that
vanishes in between counts as gone. A zombie counts as dead. A process is named by its id together with
its start time (clock ticks since boot), since ids repeat.
"""

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Iterator

# The first system calls of each machine's table that read from a descriptor: read, readv.
_READ_CALLS = {"x86_64": ("0", "19"), "aarch64": ("63", "65"), "riscv64": ("63", "65")}
_MACHINE_READS = _READ_CALLS.get(os.uname().machine, ())
_TERMINAL_WAITS = ("n_tty_read",)  # where the kernel says so by name; wait_woken is shared with sockets
DESCENDANTS_MAX = 4096  # a fork bomb is ended in rounds, not in one list


class Process:
    """One living process."""

    __slots__ = ("name", "pgid", "pid", "ppid", "start_time", "state")

    def __init__(self, pid: int, raw: bytes) -> None:
        name_end = raw.rindex(b")")
        fields = raw[name_end + 2 :].split()
        self.pid = pid
        self.name = raw[raw.index(b"(") + 1 : name_end].decode("utf-8", "replace")
        self.state = fields[0].decode()
        self.ppid = int(fields[1])
        self.pgid = int(fields[2])
        self.start_time = int(fields[19])

    @property
    def is_alive(self) -> bool:
        """Not a zombie and not dead."""
        return self.state not in "ZXx"


def inspect(pid: int) -> Process | None:
    """The process with this id, zombies included; None when there is none."""
    raw = _read(f"/proc/{pid}/stat")
    return Process(pid, raw) if raw else None


def is_alive(pid: int, start_time: int) -> bool:
    """Whether this very process still runs."""
    process = inspect(pid)
    return process is not None and process.is_alive and process.start_time == start_time


def send_signal(process: Process, number: int, *, marker: str = "") -> bool:
    """Signal this very process, never one that has its id by now. False where it is gone, or beyond us.

    With `marker` (a `NAME=value`) only while its environment still holds that.
    """
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError:
        fd = -1  # a kernel before 5.3, or a sandbox that forbids it: the looks below are all there is
    try:
        # The descriptor names one process for ever; whether that is the one that was found is asked after it was opened.
        if not is_alive(process.pid, process.start_time) or (marker and not _is_marked(process.pid, marker)):
            return False
        if fd < 0:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(fd, number)
    except (ProcessLookupError, PermissionError):
        return False  # gone, or it changed its user
    finally:
        if fd >= 0:
            os.close(fd)
    return True


def boot_id() -> str:
    """Names this boot: start times of another boot mean nothing."""
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def descendants(ancestor: int) -> list[Process]:
    """Every living process below this one, parents first."""
    found: list[Process] = []
    waiting = [(pid, ancestor) for pid in _children(ancestor)]
    while waiting and len(found) < DESCENDANTS_MAX:
        pid, parent = waiting.pop(0)
        process = inspect(pid)
        # Since it was listed it may have ended, and its id be another's by now; its parent's end hands it to the ancestor.
        if process is None or process.ppid not in (parent, ancestor):
            continue
        if process.is_alive:
            found.append(process)
        waiting += [(child, pid) for child in _children(pid)]
    return found


def has_children() -> bool:
    """Whether this process has any, zombies included: who was adopted counts."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def marked(marker: str) -> list[Process]:
    """Every living process whose environment holds this `NAME=value`: a run's, whoever adopted them."""
    return [process for process, _ in environments(_needle(marker))]


def _is_marked(pid: int, marker: str) -> bool:
    return _needle(marker) in b"\0" + _read(f"/proc/{pid}/environ")


def _needle(marker: str) -> bytes:
    return b"\0" + marker.encode() + b"\0"


def environments(needle: bytes) -> "Iterator[tuple[Process, bytes]]":
    """Every living process whose environment holds these bytes, with it: `NAME=value`s between zero bytes."""
    for pid in _all_pids():
        environment = b"\0" + _read(f"/proc/{pid}/environ")
        if needle in environment:
            process = inspect(pid)
            if process is not None and process.is_alive:
                yield process, environment


def terminal_reader(group: list[Process], terminal: str) -> str:
    """Evidence that one of these processes is blocked reading this terminal; empty when none is."""
    for process in group:
        if process.state != "S":
            continue
        for thread in _list(f"/proc/{process.pid}/task")[:64]:  # a reader is never the 65th thread
            evidence = _thread_reads(process.pid, thread, terminal)
            if evidence:
                return evidence
    return ""


def _thread_reads(pid: int, thread: str, terminal: str) -> str:
    call = _read(f"/proc/{pid}/task/{thread}/syscall").decode().split()
    if len(call) > 1 and call[0] in _MACHINE_READS:
        fd = int(call[1], 16)
        target = _link(f"/proc/{pid}/fd/{fd}")
        return f"process {pid} is in read({fd}) on {target}" if target in (terminal, "/dev/tty") else ""
    if call:
        return ""
    wait = _read(f"/proc/{pid}/task/{thread}/wchan").decode()
    return f"process {pid} waits in {wait}" if wait in _TERMINAL_WAITS else ""


def _children(pid: int) -> list[int]:
    threads = _list(f"/proc/{pid}/task")
    children: list[int] = []
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
        except FileNotFoundError:
            if os.path.isdir(f"/proc/{pid}/task/{thread}"):
                return _children_by_scan(pid)  # a kernel without CONFIG_PROC_CHILDREN
        except OSError:
            continue
    return children


def _children_by_scan(parent: int) -> list[int]:
    return [pid for pid in _all_pids() if (process := inspect(pid)) is not None and process.ppid == parent]


def _all_pids() -> "Iterator[int]":
    return (int(name) for name in _list("/proc") if name.isdigit())


def _list(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
