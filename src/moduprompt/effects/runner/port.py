"""What the daemon asks of a runner, and what it gets back.

Guarantees that every backend keeps (tests/conformance/test_runners.py):

- Starting twice is harmless: a run gets its program at most once, whoever asks, however often.
- A run outlives the daemon; `dial` finds it again.
- A failed probe is not a death. `Gone` is said only when the keeper's very process (id, start time, boot)
  is no more; then the journal it left decides what is known. Otherwise it is `Unreachable`.
- Reports come numbered, in order, each at least once until acknowledged; they are durable before they are told.
- An input with an id is typed at most once, also across restarts of the daemon.
- Nothing waits for a keeper for ever: what it does not answer in time breaks the connection.
- A refusal is a value. An exception means that the connection broke (`LinkClosedError`) or our code.
"""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Protocol, Self

import msgspec

from moduprompt.effects.agents.limits import Limits

AuthorKind = Literal["user", "session", "kernel"]
RunState = Literal["running", "stopping", "exited", "start_failed"]
StartFailure = Literal["program_missing", "spawn_failed"]
ExitHow = Literal["exited", "signalled", "timed_out", "stopped"]
CaughtBy = Literal["cgroup", "subreaper", "marker"]
LateStart = Literal["timed_out", "not_now"]
SignalName = Literal["INT", "QUIT", "TERM", "HUP", "KILL", "CONT", "USR1", "USR2"]


class StopGraces(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds after SIGINT before SIGTERM, after SIGTERM before SIGKILL, after SIGKILL before giving up."""

    interrupt: float = 5.0  # an agent program saves its session in well under a second; tools may need longer
    terminate: float = 5.0
    kill: float = 5.0


class LaunchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A run to start. `env` is exact: nothing of the daemon's own environment is added.

    It holds the run's token, so it goes to the keeper through a pipe and never onto a disk or into a log.
    """

    run_id: str
    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    rows: int = 40
    cols: int = 120  # wide enough that agent programs don't fold their own output
    limits: Limits = Limits()
    stop_graces_s: StopGraces = StopGraces()
    io: Literal["terminal", "pipes"] = "terminal"
    stdin: Literal["none", "file", "open"] = "none"  # over pipes: nothing, a file, or what `send_input` sends
    stdin_file: str | None = None
    opening: bytes = b""  # goes to an open standard input before anything else


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The run has its keeper, from now or from before. Dial it for what happened to the program."""

    run_id: str


class StartRefused(msgspec.Struct, frozen=True, kw_only=True):
    """No keeper. `used`: it had one that is gone (dial says what it left). The others left nothing behind.

    `not_now`: the machine lacks what it may have again (room on the disk, processes, open files); ask again.
    """

    code: Literal["bad_spec", "used", "unusable"] | LateStart
    message: str
    run_id: str


class Launching(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="launching"):
    """The keeper is about to start the program. A journal that ends here doesn't say whether it did."""

    keeper_pid: int
    keeper_start_time: int
    boot_id: str
    control_groups: tuple[str, ...] = ()  # the run's folders; older keepers don't say
    run_id: str | None = None  # older keepers don't say


class Started(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="started"):
    """The program runs. `start_time` is in clock ticks since this boot, as /proc has it."""

    pid: int
    start_time: int
    boot_id: str
    caught_by: CaughtBy | None = None  # older keepers don't say
    limits_held: tuple[str, ...] = ()
    limits: Limits | None = None


class StartFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="start_failed"):
    """The program could not be started; the run is over."""

    failure: StartFailure = msgspec.field(name="class")
    errno: int
    message: str


class InputIntended(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="input_intended"):
    """About to be typed. Without one of the next two: perhaps typed, perhaps not."""

    input_id: str


class InputApplied(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="input_applied"):
    """The terminal has taken every byte. `output_bytes`: printed by then; older keepers don't say."""

    input_id: str
    bytes: int
    output_bytes: int | None = None


class InputFailed(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="input_failed"):
    """The program ended first; the terminal has taken so many bytes and will take no more.

    `withdrawn`: the program moved on while its intent was synced. No byte was typed, and the id may come again.
    """

    input_id: str
    bytes: int
    withdrawn: bool = False


class LimitHit(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="limit_hit"):
    """A hard limit was reached; the run is being stopped for it."""

    limit: str


class Stopping(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="stopping"):
    """The run is being stopped."""

    reason: str


class ProcessName(msgspec.Struct, frozen=True, kw_only=True):
    """A process as a person would recognise it."""

    pid: int
    name: str


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="exited"):
    """The run is over. `leftovers` outlived the program and were ended; `survivors` could not be."""

    how: ExitHow
    code: int | None
    signal: int | None
    reason: str | None
    output_bytes: int
    output_dropped_bytes: int
    leftovers: tuple[ProcessName, ...]
    survivors: tuple[ProcessName, ...]


class UnknownReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="unknown"):
    """A report of a newer keeper. It must be acknowledged and can be ignored."""

    name: str


KnownReport = (
    Launching
    | Started
    | StartFailed
    | InputIntended
    | InputApplied
    | InputFailed
    | LimitHit
    | Stopping
    | Exited
)
Report = KnownReport | UnknownReport


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One report. (run id, number) names it for ever: use it as the idempotency key of what follows from it."""

    number: int
    at_us: int  # Unix time in microseconds, by the keeper's clock
    report: Report


# What an input may be tied to, by the names under which keepers say that they can (`Welcome.can`).
GUARD: Final = "if_output_bytes"
MODE_GUARD: Final = "if_canonical"


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a keeper says of itself when it is dialled."""

    version: int
    run_id: str
    keeper_pid: int
    keeper_start_time: int
    pid: int | None
    start_time: int | None
    state: RunState
    output_bytes: int
    journal_last: int
    journal_acknowledged: int
    can: tuple[str, ...] = ()  # beyond the first keepers

    def types_by_sight(self) -> bool:
        """Whether it types only while the program has done nothing since it was looked at."""
        return {GUARD, MODE_GUARD} <= set(self.can)


class StatusReply(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence of one moment. `waiting_on_tty`: a foreground process is blocked reading the terminal.

    `unread_bytes`: typed and not read by the program; `draft_by`: whose half-typed line stands there;
    `since_typed_ms` and `printed_since_typed`: since the last key, None before the first. Older keepers say none of them.
    """

    state: RunState
    fg_pgid: int | None
    canonical: bool  # the terminal collects whole lines: what waits, waits for a line from a person
    echo: bool
    waiting_on_tty: bool
    evidence: str
    quiet_ms: int
    output_bytes: int
    input_waiting_bytes: int
    disk_refuses: bool
    unread_bytes: int | None = None
    draft_by: str | None = None
    since_typed_ms: int | None = None
    printed_since_typed: int | None = None


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who typed."""

    kind: AuthorKind
    id: str


class InputResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an input; for an id seen before, what became of the first."""

    input_id: str | None
    outcome: Literal["applied", "failed"]
    bytes: int
    output_bytes: int | None = None


class OutputChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes the terminal printed, of which the first is byte `offset` of the run's output."""

    offset: int
    data: bytes


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A request was carried out."""


class RequestRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The run can't do that now: not_running, input_full, unacknowledged, disk_refused, bad_offset, moved_on.

    `not_taken` is said by the link: the program reads nothing now. Under an id, ask again for what became of it.
    """

    code: str
    message: str


class Unreachable(msgspec.Struct, frozen=True, kw_only=True):
    """The keeper lives but doesn't answer, or answers wrongly. Nothing is known about the run; dial again later."""

    run_id: str
    evidence: str


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """No keeper is left. `entries` is the journal it left; empty when the run never had a program.

    `survivors` are processes of the run that still live (see `Backend.sweep`).
    """

    run_id: str
    evidence: str
    entries: tuple[Entry, ...]
    survivors: tuple[ProcessName, ...]

    @property
    def last_word(self) -> Exited | StartFailed | None:
        """How the run ended, if its keeper lived to say so; None means lost."""
        for entry in reversed(self.entries):
            if isinstance(entry.report, (Exited, StartFailed)):
                return entry.report
        return None


class LinkClosedError(Exception):
    """The connection to a keeper ended. Dial again to learn what that means."""


class KeeperSilentError(LinkClosedError):
    """It ended because the keeper did not answer in time. What was asked last may still be done."""


class RunLink(Protocol):
    """A connection to one run. Ten methods, since one run can be asked ten things; watching and control want
    a link each, because a watcher that does not read stops its whole link.
    """

    welcome: Welcome

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def entries(self, *, after: int = 0) -> AsyncIterator[Entry]:
        """Reports that nobody acknowledged, from after this number on, then each as it comes.

        Never ends by itself. Raises LinkClosedError when the keeper hangs up, which it does once everything is
        acknowledged after the run. One reader at a time.
        """
        ...

    def output(self, from_offset: int = 0, *, answers_terminal: bool = False) -> AsyncIterator[OutputChunk]:
        """Every byte from this offset on, then live, until the run has ended and all of it is told.

        `answers_terminal` says that a real terminal watches and will answer the program's questions itself.
        Raises LinkClosedError when the connection breaks first, ValueError for an offset that is still to come.
        One reader at a time.
        """
        ...

    async def send_input(
        self,
        data: bytes,
        *,
        author: Author,
        input_id: str | None,
        if_output_bytes: int | None = None,
        if_canonical: bool | None = None,
    ) -> InputResult | RequestRefused:
        """Type this; the answer comes when the terminal has taken all of it. The same id is never typed twice.

        Without an id it is typed at most once and not reported: for a person's key presses. With
        `if_output_bytes` it is refused (`moved_on`) unless the run has printed exactly so much: then nothing
        is typed into what the asker has not seen. `if_canonical`: also unless its terminal collects lines, or does
        not, as the asker saw. A keeper that can't is asked without (`Welcome.can`).
        """
        ...

    async def resize(self, *, rows: int, cols: int) -> Done | RequestRefused:
        """Change the window's size. On pipes it means nothing, and is done."""
        ...

    async def close_input(self) -> Done | RequestRefused:
        """Let a program on pipes read the end of its input, after all that was sent before. Safe twice."""
        ...

    async def signal(self, name: SignalName) -> Done | RequestRefused:
        """Send a signal to the foreground group, as Ctrl-C would. The run is not stopped by that."""
        ...

    async def stop(self, *, reason: str) -> Done | RequestRefused:
        """Begin to end the run; its `Exited` report says how it went. Asking again changes nothing."""
        ...

    async def status(self) -> StatusReply:
        """What can be seen of the run now."""
        ...

    async def ack(self, upto: int) -> Done | RequestRefused:
        """Say that reports up to this number are durable on our side. After the run, the last frees the keeper."""
        ...

    async def close(self) -> None:
        """Hang up. The run goes on. Safe twice."""
        ...


class Backend(Protocol):
    """A place where agent programs run."""

    async def start(self, spec: LaunchSpec) -> Kept | StartRefused:
        """Give the run a keeper and its program, unless it has or had one."""
        ...

    async def dial(self, run_id: str) -> RunLink | Unreachable | Gone:
        """Connect to the run's keeper. The caller closes the link."""
        ...

    async def sweep(self, run_id: str) -> tuple[ProcessName, ...]:
        """End what is left of a run whose keeper is gone. Returns what was there; never touches a kept run."""
        ...

    def run_dir(self, run_id: str) -> Path:
        """Where the run's recording and journal lie."""
        ...
