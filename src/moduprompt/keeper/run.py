"""One run: the agent program and all that it starts, its limits, and its end.

    running ──stop, limit, SIGTERM to the keeper──> stopping
       └──────────── program ended ───────────────────┴──> what it left is ended ──> exited
    start_failed (instead of all that)

Order that others rely on: the recording is synced before `exited` is reported; nothing of the run lives any more
when `exited` is reported, except what that report itself names. What goes between the program and whoever watches
or types is its `traffic`, what is written down of it its `records`.
"""

import os
import signal
import time

from moduprompt.keeper import processes, recording
from moduprompt.keeper.cgroups import Cgroup, holds
from moduprompt.keeper.inputs import Refused
from moduprompt.keeper.launcher import LaunchError, launch
from moduprompt.keeper.records import DISK_RETRY_S, Records
from moduprompt.keeper.spec import PIPES
from moduprompt.keeper.stopping import Ladder, deliver
from moduprompt.keeper.traffic import Traffic

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from moduprompt.keeper.spec import Spec

RUNNING, STOPPING, EXITED, START_FAILED = "running", "stopping", "exited", "start_failed"

LOOKS_MAX = 8  # for who is left at the end; each passes over those who change hands during it
_HELD_ANYWHERE = ("wall_s", "idle_s", "output_bytes_max", "cpu_s", "file_bytes_max", "open_files_max")
REPORTED_PROCESSES_MAX = 64  # enough to tell a person what was left


class Run:
    """See the module. Called from the keeper's loop only."""

    def __init__(self, spec: "Spec", directory: str, *, is_subreaper: bool) -> None:
        self.spec = spec
        self.records = Records(directory)
        self.traffic = Traffic(spec, self.records, reads=self._has_program, hit=self._hit)
        self.state = RUNNING
        self.agent: processes.Process | None = None
        self.keeper = _must_inspect(os.getpid())
        self._is_subreaper = is_subreaper
        self._ladder = Ladder(spec.graces_s)
        self._cgroup = Cgroup(spec.run_id, spec.limits)
        self._stop_reason = ""
        self._limit = ""
        self._wait_status: int | None = None
        self._leftovers: dict[int, str] = {}

    def start(self) -> None:
        """Start the program. Returns once the outcome is reported. Raises OSError where nothing has been started."""
        try:
            self._begin_records()
        except OSError:
            self._cgroup.remove()
            raise
        if self.spec.opening:
            self.traffic.open_with(self.spec.opening)
        try:
            pid = launch(self.spec, self.traffic.terminal, cgroup=self._cgroup)
        except LaunchError as error:
            self.state = START_FAILED
            self._cgroup.remove()
            self.traffic.close()
            failure = {"class": error.failure, "errno": error.errno, "message": str(error)}
            self.records.report("start_failed", failure)
            return
        finally:
            self.traffic.terminal.release_program_end()
        self.agent = _must_inspect(pid)
        started: dict[str, object] = {
            "pid": pid,
            "start_time": self.agent.start_time,
            "boot_id": processes.boot_id(),
            "caught_by": self._caught_by(),
            "limits_held": self._held(),
            "limits": self.spec.limits.given(),
        }
        self.records.report("started", started)

    def _begin_records(self) -> None:
        """The size it is drawn at, and by whom it is kept. Raises OSError where the disk does not take both."""
        keeper: dict[str, object] = {
            "keeper_pid": self.keeper.pid,
            "keeper_start_time": self.keeper.start_time,
            "boot_id": processes.boot_id(),
            "control_groups": self._cgroup.folders,
            "run_id": self.spec.run_id,
        }
        size = recording.pack_size(self.spec.rows, self.spec.cols)
        if not self.records.record(recording.RESIZE, size):
            raise OSError(self.records.refused_by, "the disk does not take its recording")
        self.records.sync_name()
        if not self.records.report_now("launching", keeper):
            raise OSError(self.records.journal.refused_by, "the disk does not take its journal")

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in (EXITED, START_FAILED)

    def signal_foreground(self, number: int) -> None:
        """Send one signal to the terminal's foreground group, as a key press would. Raises Refused."""
        group = self._foreground()
        # A terminal goes on naming a group that is gone, and its number may be another's by now.
        is_gone = self._is_subreaper and all(process.pgid != group for process in self._living())
        if not group or is_gone:
            raise Refused("not_running", "no program is in the foreground")
        deliver(number, {group}, [])

    def stop(self, reason: str) -> None:
        """Begin to end the run. Asking again, or after the end, changes nothing."""
        if self.state != RUNNING:
            return
        self.state = STOPPING
        self._stop_reason = reason
        self.records.report("stopping", {"reason": reason})
        self._ladder.begin(time.monotonic())

    def reap(self) -> None:
        """Collect every child that ended: the agent program, and orphans handed to this sub-reaper."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self.agent is not None and pid == self.agent.pid:
                self._wait_status = status

    def tick(self) -> None:
        """What time brings: limits, the next step of stopping, a disk tried again, the end."""
        now = time.monotonic()
        self.records.journal.flush()
        self.traffic.try_disk_again(now)
        if self.agent is None or self.has_ended:
            return
        self.records.sync_when_due(now)
        for limit, at in self._deadlines():
            if now >= at:
                self._hit(limit)
        if self._wait_status is not None or self._ladder.is_exhausted(now):
            self._end(self._wait_status, now)
        elif number := self._ladder.due(now):
            self._deliver(number, self._living())

    def next_tick_at(self) -> float | None:
        """When `tick` is due at the latest, in monotonic time."""
        times = [self.traffic.read_again_at]
        if not self.records.journal.is_durable:
            times.append(time.monotonic() + DISK_RETRY_S)
        if not self.has_ended:
            times += [self._ladder.next_at, self.records.sync_at]
        if self.state == RUNNING:
            times += [at for _, at in self._deadlines()]
        return min((at for at in times if at is not None), default=None)

    def status(self) -> dict[str, object]:
        """What can be seen of the run at this moment."""
        group, terminal = self._foreground(), self.traffic.terminal
        is_terminal = bool(group and terminal.path)
        canonical, echo = terminal.modes() if is_terminal else (False, False)
        members = [process for process in self._living() if process.pgid == group] if is_terminal else []
        evidence = processes.terminal_reader(members, terminal.path)
        return {
            "state": self.state,
            "fg_pgid": group or None,
            "canonical": canonical,
            "echo": echo,
            "waiting_on_tty": bool(evidence),
            "evidence": evidence,
            "unread_bytes": terminal.unread_bytes() if group else None,
            **self.traffic.status(),
        }

    def _has_program(self) -> bool:
        return self.agent is not None and self._wait_status is None

    def _foreground(self) -> int:
        if not self.traffic.is_open or self._wait_status is not None:
            return 0
        if self.spec.io == PIPES:
            return self.agent.pgid if self.agent is not None else 0
        return max(self.traffic.terminal.foreground(), 0)

    def _living(self) -> list[processes.Process]:
        if self._is_subreaper:
            found = processes.descendants(self.keeper.pid)
        else:
            found = processes.marked(f"MP_RUN={self.spec.run_id}")
        known = {process.pid for process in found}
        inside = (processes.inspect(pid) for pid in self._cgroup.pids() if pid not in known)
        return found + [process for process in inside if process is not None and self._is_caught(process)]

    def _is_caught(self, process: processes.Process) -> bool:
        """Whether it lives in the run's group, and not under the id of one that did when the group was read."""
        return process.is_alive and holds(process.pid, self.spec.run_id)

    def _remains(self) -> list[processes.Process]:
        """Who lives on when its program has ended. Whoever changed hands during a look is seen by the next one."""
        left = self._living()
        for _ in range(LOOKS_MAX):
            if left or not self._is_subreaper or not processes.has_children():
                break
            self.reap()
            left = self._living()
        return left

    def _caught_by(self) -> str:
        if self._cgroup.catches:
            return "cgroup"
        return "subreaper" if self._is_subreaper else "marker"

    def _held(self) -> list[str]:
        """The limits of the spec that hold on this machine: some need a control group."""
        limits = self.spec.limits
        ours = [name for name in _HELD_ANYWHERE if getattr(limits, name) is not None]
        return sorted([*ours, *self._cgroup.held])

    def _deadlines(self) -> "list[tuple[str, float]]":
        """When time itself will have hit a limit, as it looks now."""
        limits = self.spec.limits
        found: list[tuple[str, float]] = []
        if limits.wall_s is not None:
            found.append(("wall_s", self.records.began + limits.wall_s))
        quiet_since = self.traffic.quiet_since
        if limits.idle_s is not None and quiet_since is not None:
            found.append(("idle_s", quiet_since + limits.idle_s))
        return found

    def _end(self, wait_status: int | None, now: float) -> None:
        """`wait_status` is None where even SIGKILL had its grace and the program is still there."""
        left = self._remains()
        if left and not self._ladder.is_exhausted(now):
            self._note_leftovers(left)
            self._ladder.begin_with_terminate(now)
            if number := self._ladder.due(now):
                self._deliver(number, left)
            return
        if not self.traffic.end():
            return
        if self._cgroup.was_short_of_memory() and not self._limit:
            self._limit = "memory_bytes_max"
            self.records.report("limit_hit", {"limit": self._limit})
        self._cgroup.remove()
        code = None if wait_status is None else os.waitstatus_to_exitcode(wait_status)
        self._report_exit(code, left[:REPORTED_PROCESSES_MAX])

    def _note_leftovers(self, left: list[processes.Process]) -> None:
        """So many, however often what is left goes on under another id: no report may outgrow what a frame holds."""
        for process in left:
            if len(self._leftovers) >= REPORTED_PROCESSES_MAX:
                return
            self._leftovers[process.pid] = process.name

    def _report_exit(self, code: int | None, survivors: list[processes.Process]) -> None:
        self.records.mark(EXITED)
        self.records.recording.sync()
        exited: dict[str, object] = {
            "how": self._how(code),
            "code": code if code is not None and code >= 0 else None,
            "signal": -code if code is not None and code < 0 else None,
            "reason": self._stop_reason or (f"limit:{self._limit}" if self._limit else None),
            "output_bytes": self.records.recording.output_bytes,
            "output_dropped_bytes": self.traffic.dropped_bytes,
            "leftovers": [{"pid": pid, "name": name} for pid, name in self._leftovers.items()],
            "survivors": [{"pid": process.pid, "name": process.name} for process in survivors],
        }
        self.state = EXITED
        self.records.report_unmarked(EXITED, exited)

    def _how(self, code: int | None) -> str:
        if self._limit in ("wall_s", "idle_s"):
            return "timed_out"
        if self._stop_reason:
            return "stopped"
        return "signalled" if code is not None and code < 0 else "exited"

    def _deliver(self, number: int, living: list[processes.Process]) -> None:
        assert self.agent is not None, "BUG: only what was started can be stopped"
        groups = {process.pgid for process in living}
        if number == signal.SIGINT:
            groups &= {self.agent.pgid, self._foreground()}
        if number == signal.SIGKILL:
            self._cgroup.kill()
        deliver(number, groups, living)

    def _hit(self, limit: str) -> None:
        if self._limit or self.state != RUNNING:
            return
        self._limit = limit
        self.records.report("limit_hit", {"limit": limit})
        self.stop(f"limit:{limit}")


def _must_inspect(pid: int) -> processes.Process:
    process = processes.inspect(pid)
    if process is None:
        raise OSError(f"/proc knows no process {pid}")
    return process
