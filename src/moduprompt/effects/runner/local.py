"""Runs on this machine: one keeper process for each, found again through its run directory.

<runs_dir>/<run_id>/    keeper.sock keeper.lock journal.ndjson acknowledged recording.mprec keeper.log
<runs_dir>/.nonce-key   what nonces are derived from, so that they need no storing: who has not read it can't
                        greet a keeper (a program of the same user that looks for it can)
"""

import asyncio
import errno
import hashlib
import os
import secrets
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal
from weakref import WeakSet

import msgspec
from msgspec.structs import replace

from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import read_journal
from moduprompt.effects.runner.keeping import PASSES
from moduprompt.effects.runner.link import KeeperLink, Patience, open_link
from moduprompt.effects.runner.silences import Silences
from moduprompt.keeper import __file__ as keeper_package
from moduprompt.keeper import cgroups, detach, processes
from moduprompt.keeper.journal import JOURNAL_NAME, sync_directory
from moduprompt.keeper.keeper import SOCKET_NAME, is_held
from moduprompt.kernel.clock import SystemClock

START_S_MAX = 20.0  # a keeper needs a tenth of a second; a machine that swaps gets the benefit of the doubt
KEY_NAME = ".nonce-key"
KEY_BYTES = 32
SWEEP_ROUNDS_MAX = 50  # a fork bomb is ended in rounds of SWEEP_PAUSE_S, five seconds in all
SWEEP_PAUSE_S = 0.1
STATES = {"T": "is stopped (kill -CONT lets it go on)", "t": "is held by a debugger", "D": "waits for a disk"}


class LocalBackend:
    """The `Backend` of this machine."""

    def __init__(
        self, runs_dir: Path, *, silences: Silences | None = None, patience: Patience | None = None
    ) -> None:
        """`silences` is told of keepers that do not answer, and that they do again."""
        self.silences = silences or Silences(clock=SystemClock(), hindered={})
        self._patience = patience or Patience()
        self._runs_dir = runs_dir.absolute()
        self._key: bytes | None = None
        self._links: WeakSet[KeeperLink] = WeakSet()

    def open_links(self) -> int:
        """How many connections to keepers there are at this moment."""
        return sum(link.is_open for link in self._links)

    def run_dir(self, run_id: str) -> Path:
        """Where the run's recording and journal lie."""
        assert run_id.isascii(), f"BUG: {run_id!r} is no run id"
        assert run_id.replace("-", "").isalnum(), f"BUG: {run_id!r} is no run id"
        return self._runs_dir / run_id

    async def start(self, spec: port.LaunchSpec) -> port.Kept | port.StartRefused:
        """Give the run a keeper and its program, unless it has or had one."""
        try:
            directory = self._make_run_dir(spec.run_id)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                str(Path(keeper_package).with_name("__main__.py")),
                str(directory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={},
                start_new_session=True,
            )
        except OSError as error:
            passes = error.errno in PASSES or error.errno == errno.EAGAIN  # the last one: no process more
            code: Literal["not_now", "unusable"] = "not_now" if passes else "unusable"
            return port.StartRefused(code=code, message=str(error), run_id=spec.run_id)
        try:
            async with asyncio.timeout(START_S_MAX):
                _, complaint = await process.communicate(self._encode(spec))
        except TimeoutError:
            process.kill()
            await process.wait()
            message = f"no keeper after {START_S_MAX:g} s; dial to learn whether one came up later"
            return port.StartRefused(code="timed_out", message=message, run_id=spec.run_id)
        outcome = _outcome(spec.run_id, process.returncode, complaint)
        # A keeper that was killed before it could say how it went may have started the program: its journal tells.
        if isinstance(outcome, port.StartRefused) and outcome.code == "unusable" and _has_begun(directory):
            return port.StartRefused(code="used", message=outcome.message, run_id=spec.run_id)
        return outcome

    async def dial(self, run_id: str) -> KeeperLink | port.Unreachable | port.Gone:
        """Connect to the run's keeper. The caller closes the link."""
        directory = self.run_dir(run_id)
        try:
            # Through the directory's descriptor, since the path of a Unix socket has only 107 bytes.
            fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            return port.Gone(run_id=run_id, evidence=f"no run directory: {error}", entries=(), survivors=())
        except OSError as error:  # a link, a file, no descriptor left: nothing that says that the run is over
            return self._silent_or_gone(port.Unreachable(run_id=run_id, evidence=_unusable(directory, error)))
        try:
            link = await open_link(
                f"/proc/self/fd/{fd}/{SOCKET_NAME}",
                nonce=self.nonce(run_id),
                patience=self._patience,
                missed=partial(self.silences.missed, run_id),
            )
        except (OSError, TimeoutError, port.LinkClosedError) as error:
            evidence = self._told_by(error)
        else:
            self._links.add(link)
            self.silences.heard(run_id)
            return link
        finally:
            os.close(fd)
        return self._silent_or_gone(await asyncio.to_thread(self._autopsy, run_id, evidence))

    def _silent_or_gone(self, found: port.Unreachable | port.Gone) -> port.Unreachable | port.Gone:
        if isinstance(found, port.Gone):
            self.silences.heard(found.run_id)
            return found
        since = self.silences.missed(found.run_id, found.evidence)
        return replace(found, evidence=f"no answer since {since}: {found.evidence}")

    async def sweep(self, run_id: str) -> tuple[port.ProcessName, ...]:
        """End what is left of a run whose keeper is gone. Returns what was there; never touches a kept run."""
        found: dict[int, str] = {}
        for _ in range(SWEEP_ROUNDS_MAX):
            left = await asyncio.to_thread(self._end_what_is_left, run_id)
            if not left:
                break
            found.update((each.pid, each.name) for each in left)
            await asyncio.sleep(SWEEP_PAUSE_S)
        return tuple(port.ProcessName(pid=pid, name=name) for pid, name in found.items())

    def _end_what_is_left(self, run_id: str) -> list[processes.Process]:
        """One round: who lived of a run without a keeper, each of them told to go."""
        try:
            silent, entries = self._look(run_id)
        except OSError:
            return []  # who can't look must not end anything
        if silent is not None:
            return []
        return [each for each in _left(run_id, _launched_by(entries)) if _end(each, run_id)]

    def _make_run_dir(self, run_id: str) -> Path:
        self._runs_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = self.run_dir(run_id)
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory

    def _encode(self, spec: port.LaunchSpec) -> bytes:
        fields = msgspec.structs.asdict(spec)
        fields["env"] = {**spec.env, "MP_RUN": spec.run_id}  # by which survivors of a dead keeper are found
        return msgspec.json.encode({"version": 1, "nonce": self.nonce(spec.run_id), **fields})

    def nonce(self, run_id: str) -> str:
        if self._key is None:
            self._key = _load_key(self._runs_dir / KEY_NAME)
        return hashlib.blake2b(run_id.encode(), key=self._key, digest_size=32).hexdigest()

    def _autopsy(self, run_id: str, evidence: str) -> port.Unreachable | port.Gone:
        """What its folder and the processes say. Where they can't be read nobody knows, and that is no death."""
        try:
            silent, entries = self._look(run_id)
        except OSError as fault:
            return port.Unreachable(run_id=run_id, evidence=f"its folder can't be read: {fault}; {evidence}")
        keeper = _launched_by(entries)
        if silent is not None:
            if keeper is not None and keeper.run_id in (None, run_id):
                _wake(keeper)
            return port.Unreachable(run_id=run_id, evidence=f"{silent}; {evidence}")
        what = "no journal" if keeper is None else f"keeper {keeper.keeper_pid} is not alive"
        return port.Gone(
            run_id=run_id,
            evidence=f"{what}; {evidence}",
            entries=entries,
            survivors=_named(_left(run_id, keeper)),
        )

    def _look(self, run_id: str) -> tuple[str | None, tuple[port.Entry, ...]]:
        """Why nobody can say that it is over, if so, and its journal. Raises OSError."""
        is_locked = is_held(str(self.run_dir(run_id)))
        entries = read_journal(self.run_dir(run_id))
        keeper = _launched_by(entries)
        if keeper is None:
            return ("a keeper holds the run" if is_locked else None), entries
        if keeper.run_id not in (None, run_id):
            return f"its journal is that of run {keeper.run_id}", entries
        # Not the lock: anybody who can open the file can hold it.
        if _lives(keeper):
            return f"keeper {keeper.keeper_pid} {_state_of(keeper.keeper_pid)}", entries
        return None, read_journal(self.run_dir(run_id))  # read behind its death, it has the last word

    def _told_by(self, error: OSError | port.LinkClosedError) -> str:
        if isinstance(error, TimeoutError):
            return f"it has not said who it is within {self._patience.hello_s_max:g} s"
        return f"{type(error).__name__}: {error}"


def _outcome(run_id: str, code: int | None, complaint: bytes) -> port.Kept | port.StartRefused:
    message = complaint.decode("utf-8", "replace").strip()
    match code:
        case detach.EXIT_STARTED | detach.EXIT_HELD:
            return port.Kept(run_id=run_id)
        case detach.EXIT_BAD_SPEC:
            return port.StartRefused(code="bad_spec", message=message, run_id=run_id)
        case detach.EXIT_USED:
            return port.StartRefused(code="used", message=message, run_id=run_id)
        case detach.EXIT_NOT_NOW:
            return port.StartRefused(code="not_now", message=message, run_id=run_id)
        case int() if code < 0:  # what waited for the keeper was killed; the keeper may come up all the same
            return port.StartRefused(code="timed_out", message=f"ended by signal {-code}", run_id=run_id)
        case _:
            return port.StartRefused(code="unusable", message=message or f"exit {code}", run_id=run_id)


def _has_begun(run_dir: Path) -> bool:
    """Its first report is durable before the program is started, so an empty journal is of a start that failed."""
    journal = run_dir / JOURNAL_NAME
    return journal.is_file() and journal.stat().st_size > 0


def _unusable(directory: Path, error: OSError) -> str:
    what = "is no folder of ours but a link" if directory.is_symlink() else "can't be opened"
    return f"{directory} {what}: {error}"


def _launched_by(entries: tuple[port.Entry, ...]) -> port.Launching | None:
    return next((entry.report for entry in entries if isinstance(entry.report, port.Launching)), None)


def _state_of(pid: int) -> str:
    """What a process does that should answer and does not."""
    process = processes.inspect(pid)
    return STATES.get(process.state, "lives") if process is not None else "lives"


def _wake(keeper: port.Launching) -> None:
    """One whose socket somebody has removed then makes it anew. To any other keeper, of whatever age, this means nothing."""
    process = processes.inspect(keeper.keeper_pid)
    if process is not None and _lives(keeper) and process.start_time == keeper.keeper_start_time:
        processes.send_signal(process, signal.SIGCHLD)


def _lives(keeper: port.Launching) -> bool:
    same_boot = keeper.boot_id == processes.boot_id()
    return same_boot and processes.is_alive(keeper.keeper_pid, keeper.keeper_start_time)


def _left(run_id: str, keeper: port.Launching | None) -> list[processes.Process]:
    """Who lives of a run: by the mark in the environment, and by its control group, wherever its keeper made that."""
    groups = () if keeper is None else keeper.control_groups
    found = {process.pid: process for process in processes.marked(_mark(run_id))}
    for pid in cgroups.left_in(run_id, groups):
        process = processes.inspect(pid)
        if process is not None and process.is_alive:
            found[pid] = process
    return list(found.values())


def _end(process: processes.Process, run_id: str) -> bool:
    """Between look and signal a process may end and its id go to another: who gets it is this one or nobody.

    False where it is gone. One that is beyond us is still there.
    """
    is_caught = cgroups.holds(process.pid, run_id)
    is_sent = processes.send_signal(process, signal.SIGKILL, marker="" if is_caught else _mark(run_id))
    return is_sent or processes.is_alive(process.pid, process.start_time)


def _mark(run_id: str) -> str:
    return f"MP_RUN={run_id}"


def _named(left: list[processes.Process]) -> tuple[port.ProcessName, ...]:
    return tuple(port.ProcessName(pid=process.pid, name=process.name) for process in left)


def _load_key(path: Path) -> bytes:
    """Whole, or made anew: where a crash has cut it short, anybody could tell the nonces that it gives."""
    with suppress(FileNotFoundError):
        key = path.read_bytes()
        if len(key) == KEY_BYTES:
            return key
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key, beside = secrets.token_bytes(KEY_BYTES), path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_directory(
        str(path.parent)
    )  # a power cut that took the name would leave keepers whom nobody can greet
    return key
