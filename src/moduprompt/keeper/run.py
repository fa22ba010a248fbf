"""One run: the agent program, its terminal or pipes, its recording, its reports, and its end.

    running ──stop, limit, SIGTERM to the keeper──> stopping
       └──────────── program ended ───────────────────┴──> what it left is ended ──> exited
    start_failed (instead of all that)

Order that others rely on: bytes are in the recording before any watcher sees them; an input's intent is
durable before its first byte is typed; the recording is synced before `exited` is reported; nothing of
the run lives any more when `exited` is reported, except what that report itself names.
"""

import os
import select
import signal
import time

from moduprompt.keeper import processes, recording
from moduprompt.keeper.cgroups import Cgroup
from moduprompt.keeper.drafts import Draft
from moduprompt.keeper.inputs import Input, Inputs, Refused
from moduprompt.keeper.journal import UNACKNOWLEDGED_MAX, Journal, sync_directory
from moduprompt.keeper.launcher import LaunchError, launch
from moduprompt.keeper.pipes import OPEN, Pipes
from moduprompt.keeper.spec import PIPES
from moduprompt.keeper.stopping import Ladder, deliver
from moduprompt.keeper.terminal import Questions, Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Callable, Mapping

    from moduprompt.keeper.inputs import Tell
    from moduprompt.keeper.spec import Spec

INTENDED = "input_intended"
RUNNING, STOPPING, EXITED, START_FAILED = "running", "stopping", "exited", "start_failed"

READS_BEFORE_TYPING_MAX = 4  # who prints more than that at once is still printing
LOOKS_MAX = 8  # for who is left at the end; each passes over those who change hands during it
LAST_READS_MAX = 64  # at the end: more than a terminal or a pipe can hold; who writes on is none of the run's
READ_BYTES_MAX = 64 * 1024  # one frame of the recording; also what one turn of the loop may take
DISK_RETRY_S = 1.0  # how long a disk that refused is left alone; the program's output waits meanwhile
SYNC_EVERY_S = 30.0  # so much of a recording a power cut may take; an idle run syncs nothing
HUNG_UP_RETRY_S = 0.2  # a program may close its terminal and open it again; until then there is nothing
_HELD_ANYWHERE = ("wall_s", "idle_s", "output_bytes_max", "cpu_s", "file_bytes_max", "open_files_max")
REPORTED_PROCESSES_MAX = 64  # enough to tell a person what was left


class Run:
    """See the module. Called from the keeper's loop only."""

    def __init__(self, spec: "Spec", directory: str, *, is_subreaper: bool) -> None:
        self._began = time.monotonic()
        self.spec = spec
        self.journal = Journal(directory)
        self.recording = recording.Recording(
            f"{directory}/{recording.RECORDING_NAME}", started_us=time.time_ns() // 1000
        )
        self.terminal = (
            Pipes(spec.stdin, spec.stdin_file) if spec.io == PIPES else Terminal(spec.rows, spec.cols)
        )
        self.state = RUNNING
        self.agent: processes.Process | None = None
        self.keeper = _must_inspect(os.getpid())
        self.real_terminals = 0  # attached watchers that answer the terminal's questions themselves
        self._is_subreaper = is_subreaper
        self._inputs = Inputs(
            report=self._report,
            intend=self._intend,
            record=self._record_input,
            printed=lambda: self.recording.output_bytes,
        )
        self._draft = Draft()
        self._questions = Questions()
        self._ladder = Ladder(spec.graces_s)
        self._cgroup = Cgroup(spec.run_id, spec.limits)
        self._stop_reason = ""
        self._limit = ""
        self._wait_status: int | None = None
        self._leftovers: dict[int, str] = {}
        self._last_output = self._began
        self._last_input = self._began
        self._typed_at: float | None = None  # the last key, and how much had been printed then
        self._printed_when_typed = 0
        self._unrecorded: list[tuple[int, bytes]] = []  # taken from the program, refused by the disk
        self._kept_bytes = 0  # of output and standard error together
        self._output_dropped = 0
        self._closes_input = False
        self._is_terminal_open = True
        self._read_again_at: float | None = None
        self._sync_at: float | None = None  # when what was recorded shall be durable
        self._directory = directory

    def start(self) -> None:
        """Start the program. Returns once the outcome is reported."""
        keeper: dict[str, object] = {
            "keeper_pid": self.keeper.pid,
            "keeper_start_time": self.keeper.start_time,
        }
        keeper |= {"boot_id": processes.boot_id(), "control_groups": self._cgroup.folders}
        keeper["run_id"] = self.spec.run_id
        self._record(recording.RESIZE, recording.pack_size(self.spec.rows, self.spec.cols))
        self.recording.sync()
        sync_directory(self._directory)  # from now on the recording is there, whatever happens
        self._report("launching", keeper)
        if self.spec.opening:  # before the program can read a byte, so nothing ever comes before it
            self._inputs.push(Input(self.spec.opening, author="kernel", author_id="opening"))
        try:
            pid = launch(self.spec, self.terminal, cgroup=self._cgroup)
        except LaunchError as error:
            self.state = START_FAILED
            self._cgroup.remove()
            self._close_terminal()
            failure = {"class": error.failure, "errno": error.errno, "message": str(error)}
            self._report("start_failed", failure)
            return
        finally:
            self.terminal.release_program_end()
        self.agent = _must_inspect(pid)
        started: dict[str, object] = {
            "pid": pid,
            "start_time": self.agent.start_time,
            "boot_id": processes.boot_id(),
            "caught_by": self._caught_by(),
            "limits_held": self._held(),
            "limits": self.spec.limits.given(),
        }
        self._report("started", started)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in (EXITED, START_FAILED)

    def watched(self) -> dict[int, int]:
        """The program's descriptors that the loop should look at now, each with the events that matter."""
        if not self._may_read:
            return {}
        stand = self.terminal
        wanted = {fd: select.POLLIN for fd in (stand.fd, stand.error_fd) if fd >= 0}
        if self._inputs and stand.input_fd >= 0:
            wanted[stand.input_fd] = wanted.get(stand.input_fd, 0) | select.POLLOUT
        return wanted

    def streams(self) -> "dict[int, Callable[[int], None]]":
        """What to call with the events of each of the program's descriptors."""
        stand = self.terminal
        return {
            stand.error_fd: self._attend_errors,
            stand.input_fd: self._attend_input,
            stand.fd: self._attend,
        }

    def read_output(self) -> bool:
        """Take one frame's worth of output into the recording. False when there is none now."""
        data = self._read(self.terminal.fd)
        if not data:
            return False
        self._keep(recording.OUTPUT, data)
        if self.terminal.path and not self.real_terminals and self._wait_status is None:
            for answer in self._questions.answers(data):
                self._answer(answer)
        return True

    def type_waiting(self) -> None:
        """Write waiting input as far as the program takes it; close it when that was asked for."""
        if not self._is_terminal_open or self.terminal.input_fd < 0:
            return
        try:
            self._inputs.type_into(self.terminal.input_fd)
        except BrokenPipeError:  # the program has closed its input and goes on
            self._inputs.fail_all()
            self._closes_input = True
        if self._closes_input and not self._inputs and isinstance(self.terminal, Pipes):
            self.terminal.close_input()

    def close_input(self) -> None:
        """Let the program read the end of its input once it has read what waits. Safe twice. Raises Refused."""
        if self.spec.stdin != OPEN:
            raise Refused("no_input", "this run has no standard input that could be closed")
        self._closes_input = True
        self.type_waiting()

    def accept_input(
        self,
        wanted: Input,
        tell: "Tell",
        *,
        if_output_bytes: int | None = None,
        if_canonical: bool | None = None,
    ) -> None:
        """Type this once. `tell` is called when its outcome is known, perhaps at once. Raises Refused.

        With `if_output_bytes` it is typed only while the program has printed exactly so much: whoever asks
        has seen all of that, so nothing is typed into a question that was not there when it was looked. With
        `if_canonical` it is typed only while the terminal collects lines, or does not: a mode changes without a word.
        """
        known = self._inputs.known(wanted.input_id)
        if known is None:
            self._refuse_by_stand(wanted)
            if self.agent is None or self._wait_status is not None or not self._is_terminal_open:
                raise Refused("not_running", "the program has ended")
            if len(self.journal.unacknowledged) >= UNACKNOWLEDGED_MAX:
                raise Refused("unacknowledged", "too many reports wait for the daemon's acknowledgement")
            self._must_stand_still(output_bytes=if_output_bytes, canonical=if_canonical)
            # Once more when the intent is durable: that takes milliseconds, in which a question may open.
            self._inputs.push(
                wanted,
                check=lambda: self._must_stand_still(output_bytes=if_output_bytes, canonical=if_canonical),
            )
            if wanted.input_id is None and wanted.author == "user":
                in_lines = self.terminal.modes()[0]
                self._draft.typed(wanted.data, wanted.author_id, in_lines=in_lines)
            self._last_input = time.monotonic()
        self._inputs.tell(known or wanted, tell)
        self.type_waiting()

    def _must_stand_still(self, *, output_bytes: int | None, canonical: bool | None) -> None:
        if output_bytes is not None:
            self._must_have_printed(output_bytes)
        if canonical is not None and self.terminal.modes()[0] is not canonical:
            raise Refused("moved_on", "the terminal's mode has changed")

    def _must_have_printed(self, output_bytes: int) -> None:
        if not self._may_read:  # then nobody knows what it has printed by now
            raise Refused("moved_on", "what the program prints can't be read now")
        for _ in range(READS_BEFORE_TYPING_MAX):
            if not self.read_output():
                break
        if not self._may_read or self.recording.output_bytes != output_bytes:
            raise Refused("moved_on", f"the program has printed {self.recording.output_bytes} bytes by now")

    def resize(self, rows: int, cols: int) -> None:
        """Change the window's size. Raises Refused."""
        if not self._is_terminal_open:
            raise Refused("not_running", "the program has ended")
        if self.spec.io == PIPES:
            return  # a wish that means nothing here
        self.terminal.resize(rows, cols)
        self._record(recording.RESIZE, recording.pack_size(rows, cols))

    def signal_foreground(self, number: int) -> None:
        """Send one signal to the terminal's foreground group, as a key press would. Raises Refused."""
        group = self._foreground()
        if not group:
            raise Refused("not_running", "no program is in the foreground")
        deliver(number, {group}, [])

    def stop(self, reason: str) -> None:
        """Begin to end the run. Asking again, or after the end, changes nothing."""
        if self.state != RUNNING:
            return
        self.state = STOPPING
        self._stop_reason = reason
        self._report("stopping", {"reason": reason})
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
        self.journal.flush()
        if self._read_again_at is not None and now >= self._read_again_at:
            self._read_again_at = None
            self._keep_unrecorded()
        if self.agent is None or self.has_ended:
            return
        if self._sync_at is not None and now >= self._sync_at:
            self._sync_at = None
            self.recording.sync()
        for limit, at in self._deadlines():
            if now >= at:
                self._hit(limit)
        if self._wait_status is not None:
            self._end(self._wait_status, now)
        elif number := self._ladder.due(now):
            self._deliver(number, self._living())

    def next_tick_at(self) -> float | None:
        """When `tick` is due at the latest, in monotonic time."""
        times = [self._read_again_at]
        if not self.journal.is_durable:
            times.append(time.monotonic() + DISK_RETRY_S)
        if not self.has_ended:
            times += [self._ladder.next_at, self._sync_at]
        if self.state == RUNNING:
            times += [at for _, at in self._deadlines()]
        return min((at for at in times if at is not None), default=None)

    def status(self) -> dict[str, object]:
        """What can be seen of the run at this moment."""
        group = self._foreground()
        is_terminal = bool(group and self.terminal.path)
        canonical, echo = self.terminal.modes() if is_terminal else (False, False)
        members = [process for process in self._living() if process.pgid == group] if is_terminal else []
        evidence = processes.terminal_reader(members, self.terminal.path)
        return {
            "state": self.state,
            "fg_pgid": group or None,
            "canonical": canonical,
            "echo": echo,
            "waiting_on_tty": bool(evidence),
            "evidence": evidence,
            "quiet_ms": int((time.monotonic() - self._last_output) * 1000),
            "output_bytes": self.recording.output_bytes,
            "input_waiting_bytes": self._inputs.waiting_bytes,
            "unread_bytes": self.terminal.unread_bytes() if group else None,
            "draft_by": self._draft.author or None,
            "since_typed_ms": self._since_typed_ms(),
            "printed_since_typed": self.recording.output_bytes - self._printed_when_typed,
            "disk_refuses": bool(self._unrecorded) or not self.journal.is_durable,
        }

    def _since_typed_ms(self) -> int | None:
        return None if self._typed_at is None else int((time.monotonic() - self._typed_at) * 1000)

    def _foreground(self) -> int:
        if not self._is_terminal_open or self._wait_status is not None:
            return 0
        if self.spec.io == PIPES:
            return self.agent.pgid if self.agent is not None else 0
        return max(self.terminal.foreground(), 0)

    def _living(self) -> list[processes.Process]:
        if self._is_subreaper:
            found = processes.descendants(self.keeper.pid)
        else:
            found = processes.marked(f"MP_RUN={self.spec.run_id}")
        known = {process.pid for process in found}
        inside = (processes.inspect(pid) for pid in self._cgroup.pids() if pid not in known)
        return found + [process for process in inside if process is not None and process.is_alive]

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
            found.append(("wall_s", self._began + limits.wall_s))
        if limits.idle_s is not None:
            found.append(("idle_s", max(self._last_output, self._last_input) + limits.idle_s))
        return found

    def _end(self, wait_status: int, now: float) -> None:
        left = self._remains()
        if left and not self._ladder.is_exhausted(now):
            for process in left[:REPORTED_PROCESSES_MAX]:
                self._leftovers[process.pid] = process.name
            self._ladder.begin_with_terminate(now)
            if number := self._ladder.due(now):
                self._deliver(number, left)
            return
        if self._unrecorded:
            return  # the disk is tried again; the report of the end would wait for it as well
        self._read_again_at = None
        for read in (self.read_output, self._read_errors):
            for _ in range(LAST_READS_MAX):
                if not read():
                    break
        if self._unrecorded:
            return
        if self._output_dropped:
            self._record(recording.GAP, recording.pack_gap(self._output_dropped))
        self._close_terminal()
        self._inputs.fail_all()
        if self._cgroup.was_short_of_memory() and not self._limit:
            self._limit = "memory_bytes_max"
            self._report("limit_hit", {"limit": self._limit})
        self._cgroup.remove()
        self._report_exit(os.waitstatus_to_exitcode(wait_status), left[:REPORTED_PROCESSES_MAX])

    def _report_exit(self, code: int, survivors: list[processes.Process]) -> None:
        self._mark(EXITED)
        self.recording.sync()
        exited: dict[str, object] = {
            "how": self._how(code),
            "code": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "reason": self._stop_reason or (f"limit:{self._limit}" if self._limit else None),
            "output_bytes": self.recording.output_bytes,
            "output_dropped_bytes": self._output_dropped,
            "leftovers": [{"pid": pid, "name": name} for pid, name in self._leftovers.items()],
            "survivors": [{"pid": process.pid, "name": process.name} for process in survivors],
        }
        self.state = EXITED
        self._report("exited", exited)

    def _how(self, code: int) -> str:
        if self._limit in ("wall_s", "idle_s"):
            return "timed_out"
        if self._stop_reason:
            return "stopped"
        return "signalled" if code < 0 else "exited"

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
        self._report("limit_hit", {"limit": limit})
        self.stop(f"limit:{limit}")

    @property
    def _may_read(self) -> bool:
        return self._is_terminal_open and self._read_again_at is None

    def _attend(self, events: int) -> None:
        if events & select.POLLOUT:
            self.type_waiting()
        if events & ~select.POLLOUT:
            self.read_output()

    def _attend_input(self, events: int) -> None:
        del events  # room, or nobody reads any more: writing tells which
        self.type_waiting()

    def _attend_errors(self, events: int) -> None:
        del events
        self._read_errors()

    def _read_errors(self) -> bool:
        data = self._read(self.terminal.error_fd)
        if data:
            self._keep(recording.STDERR, data)
        return bool(data)

    def _refuse_by_stand(self, wanted: Input) -> None:
        if self.spec.io != PIPES:
            return
        if wanted.input_id is None:  # a person's keys would end up in the middle of a line of ours
            raise Refused("no_terminal", "this run has no terminal to type into")
        if self.terminal.input_fd < 0 or self._closes_input:
            raise Refused("input_closed", "the program's standard input is closed")

    def _read(self, fd: int) -> bytes:
        # The kernel hands out at most 4 KiB a read; a frame for each would double the recording's cost.
        pieces: list[bytes] = []
        room = READ_BYTES_MAX
        while room > 0 and fd >= 0 and self._may_read:
            try:
                piece = os.read(fd, room)
            except BlockingIOError:
                break
            except OSError:  # EIO: nobody holds the program's end now
                self._read_again_at = time.monotonic() + HUNG_UP_RETRY_S
                break
            if not piece:
                self._close_output(fd)
                break
            pieces.append(piece)
            room -= len(piece)
        return b"".join(pieces)

    def _close_output(self, fd: int) -> None:
        # A pipe that nobody can write to stays so; a poll of it would never sleep.
        if isinstance(self.terminal, Pipes):
            self.terminal.close_output(fd)

    def _keep(self, kind: int, data: bytes) -> None:
        self._last_output = time.monotonic()
        self._unrecorded.append((kind, data))
        self._keep_unrecorded()

    def _keep_unrecorded(self) -> None:
        waiting, self._unrecorded = self._unrecorded, []
        for kind, whole in waiting:
            data = self._within_limit(whole)
            if self._unrecorded or (data and not self._record(kind, data)):
                self._unrecorded.append((kind, data))  # the program's output waits until the disk takes it
                self._read_again_at = time.monotonic() + DISK_RETRY_S
            else:
                self._kept_bytes += len(data)

    def _within_limit(self, data: bytes) -> bytes:
        limit = self.spec.limits.output_bytes_max
        room = len(data) if limit is None else max(limit - self._kept_bytes, 0)
        if len(data) > room:
            self._output_dropped += len(data) - room
            self._hit("output_bytes_max")
        return data[:room]

    def _answer(self, answer: bytes) -> None:
        try:
            self._inputs.push(Input(answer, author="kernel", author_id="terminal"))
        except Refused:
            return  # a program that asks and never reads gets no more answers
        self.type_waiting()

    def _record_input(self, item: Input, piece: bytes) -> None:
        if item.author != "kernel":  # what the terminal answers by itself is no key
            self._typed_at, self._printed_when_typed = time.monotonic(), self.recording.output_bytes
        self._record(recording.INPUT, recording.pack_input(item.author, item.author_id, piece))

    def _record(self, kind: int, payload: bytes) -> bool:
        try:
            self.recording.append(kind, int((time.monotonic() - self._began) * 1_000_000), payload)
        except OSError:
            return False
        self._sync_at = self._sync_at or time.monotonic() + SYNC_EVERY_S
        return True

    def _mark(self, kind: str, *, number: int | None = None) -> None:
        """Tie this moment to a report, else the one that comes now: its number names the event it leads to."""
        self._record(recording.MARK, f"journal {number or self.journal.last + 1} {kind}".encode())

    def _intend(self, data: "Mapping[str, object]") -> bool:
        is_durable = self.journal.append_now(INTENDED, data, at_us=time.time_ns() // 1000)
        if is_durable:
            self._mark(INTENDED, number=self.journal.last)
        return is_durable

    def _report(self, kind: str, data: "Mapping[str, object]") -> bool:
        if kind != EXITED:  # whose mark was synced with the rest before
            self._mark(kind)
        return self.journal.append(kind, data, at_us=time.time_ns() // 1000)

    def _close_terminal(self) -> None:
        if self._is_terminal_open:
            self._is_terminal_open = False
            self.terminal.close()


def _must_inspect(pid: int) -> processes.Process:
    process = processes.inspect(pid)
    if process is None:
        raise OSError(f"/proc knows no process {pid}")
    return process
