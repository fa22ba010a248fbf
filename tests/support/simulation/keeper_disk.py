"""A keeper's files on a disk whose power goes: the real run, journal and recording, above a simulated medium.

What the keeper's modules do to files goes through `os`; here they get another one, which knows only the run's
directory. Program and terminal are a pair of sockets, so a test is program, person and disk at once.
"""

import errno
import os
import random
import socket
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from moduprompt.keeper import journal, processes, recording, records, run, traffic
from moduprompt.keeper.inputs import Input
from moduprompt.keeper.journal import JOURNAL_NAME
from moduprompt.keeper.recording import RECORDING_NAME
from moduprompt.keeper.spec import Spec
from tests.support.simulation.medium import Directory, SimFile
from tests.support.simulation.swapping import swapped

DIRECTORY: Final = "/simulated"
FIRST_FD: Final = 1_000_000  # above every descriptor of the process
RUN_ID: Final = "00000000-0000-7000-8000-0000000000c1"
CUT_EVERY: Final = 0.5  # of the changes
OTHER_BOOT: Final = "the boot before the power went"


class SimOs:
    """What of `os` the keeper's files need; everything else is the real one's."""

    def __init__(self, directory: Directory, changed: Callable[[], None]) -> None:
        self._directory = directory
        self._changed = changed
        self._open: dict[int, SimFile | None] = {}
        self._ends: dict[int, int] = {}

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:  # noqa: ARG002 - the shape of os.open
        """A file of the run's directory, or the directory itself."""
        fd = FIRST_FD + len(self._open)
        name = path.removeprefix(DIRECTORY).lstrip("/")
        if not name:
            self._open[fd] = None
            return fd
        if flags & os.O_EXCL and name in self._directory.shown:
            raise FileExistsError(errno.EEXIST, "it is there", path)
        file = self._open[fd] = self._directory.make(name)
        if flags & os.O_TRUNC:
            file.truncate(0)
        self._ends[fd] = 0
        return fd

    def close(self, fd: int) -> None:
        """Nothing is written by that."""
        if fd < FIRST_FD:
            os.close(fd)

    def write(self, fd: int, data: bytes) -> int:
        """Behind what was written before."""
        written = self.pwrite(fd, data, self._ends[fd])
        self._ends[fd] += written
        return written

    def pwrite(self, fd: int, data: bytes, position: int) -> int:
        """Shown at once, on the medium some day; the power may go before and after it."""
        self._file(fd).write(position, bytes(data))
        self._changed()
        return len(data)

    def pread(self, fd: int, length: int, position: int) -> bytes:
        """As it is shown."""
        return bytes(self._file(fd).content[position : position + length])

    def fdatasync(self, fd: int) -> None:
        """On the medium from now on."""
        self._changed()
        self._file(fd).sync()

    def fsync(self, fd: int) -> None:
        """Of the directory: its names."""
        self._changed()
        if self._open[fd] is None:
            self._directory.sync()
        else:
            self._file(fd).sync()

    def replace(self, old: str, new: str) -> None:
        """One name for another."""
        names = [path.removeprefix(DIRECTORY).lstrip("/") for path in (old, new)]
        self._directory.shown[names[1]] = self._directory.shown.pop(names[0])
        self._changed()

    def _file(self, fd: int) -> SimFile:
        file = self._open[fd]
        assert file is not None, "BUG: a directory has no bytes"
        return file


class Promised(msgspec.Struct, frozen=True, kw_only=True):
    """What must be there after a power cut at this moment."""

    entries: int  # of the journal: what was told as durable
    typed: int  # inputs that the program may have got
    recorded: int  # bytes of the recording that were synced, from the first report on


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What a disk holds after a power cut, and what had been promised by then."""

    files: dict[str, bytes]
    promised: Promised


class SocketTerminal:
    """A terminal without one: what is written at one end is read at the other."""

    error_fd = -1

    def __init__(self, rows: int, cols: int) -> None:  # noqa: ARG002 - the shape of a terminal
        ours, self.program = socket.socketpair()
        self.fd = ours.detach()
        self.path = "/dev/null"
        os.set_blocking(self.fd, False)
        self.program.setblocking(False)

    @property
    def input_fd(self) -> int:
        """The same end, as of a terminal."""
        return self.fd

    def resize(self, rows: int, cols: int) -> None:
        """It has no size."""

    def release_program_end(self) -> None:
        """It stays here."""

    def close(self) -> None:
        os.close(self.fd)
        self.program.close()
        self.fd = -1

    def foreground(self) -> int:
        return 0

    def modes(self) -> tuple[bool, bool]:
        return False, False


class KeeperOnDisk:
    """One run, lived through step by step; images of its disk are taken at drawn moments."""

    def __init__(self, seed: int, *, images: int) -> None:
        self.rng = random.Random(seed)
        self.images: list[Image] = []
        self.reported: list[bytes] = []  # the journal as it was written, line by line
        self._wanted = images
        self._directory = Directory()
        self._os = SimOs(self._directory, self._maybe_cut)
        self._run: run.Run | None = None
        self._typed = 0

    def live(self) -> None:
        """Start, output, inputs, acknowledgements, the end."""
        with self._swapped():
            self._run = kept = run.Run(_spec(), DIRECTORY, is_subreaper=False)
            kept.start()
            for step in range(self.rng.randint(10, 40)):
                self._step(kept, step)
            kept._wait_status = 0  # pyright: ignore[reportPrivateUsage] - its program has ended
            kept.tick()
            kept.records.journal.acknowledge(kept.records.journal.last)
            self._cut()
            assert kept.has_ended
        self.reported = bytes(self._directory.shown[JOURNAL_NAME].content).splitlines(keepends=True)

    @property
    def recorded(self) -> bytes:
        """The recording as it was written."""
        return bytes(self._directory.shown[RECORDING_NAME].content)

    def _step(self, kept: run.Run, number: int) -> None:
        terminal = kept.traffic.terminal
        assert isinstance(terminal, SocketTerminal), "BUG: it is swapped"
        match self.rng.randrange(5):
            case 0 | 1:
                terminal.program.send(self.rng.randbytes(self.rng.choice((3, 700, 4_000))))
                kept.traffic.read_output()
            case 2:
                wanted = Input(b"line\r", author="user", author_id="u", input_id=f"input {number}")
                kept.traffic.accept_input(wanted, lambda _: None)
                self._typed += terminal.program.recv(100).count(b"\r")
            case 3:
                kept.records.journal.acknowledge(self.rng.randint(0, kept.records.journal.last))
            case _:
                kept.traffic.resize(30, 100)
        kept.tick()

    def _maybe_cut(self) -> None:
        if len(self.images) < self._wanted and self.rng.random() < CUT_EVERY:
            self._cut()

    def _cut(self) -> None:
        """What would be there if the power went now."""
        made = self._directory.after_power_cut(self.rng)
        held = self._directory.shown.get(RECORDING_NAME)
        entries = self._run.records.journal.durable if self._run else 0
        promised = Promised(
            entries=entries,
            typed=self._typed,
            recorded=len(held.durable) if held and entries else 0,
        )
        files = {name: bytes(file.content) for name, file in made.shown.items()}
        self.images.append(Image(files=files, promised=promised))

    @contextmanager
    def _swapped(self) -> Generator[None]:
        with ExitStack() as swaps:
            for module in (journal, recording):
                swaps.enter_context(swapped(module, "os", self._os))
            swaps.enter_context(swapped(traffic, "Terminal", SocketTerminal))
            swaps.enter_context(
                swapped(records, "SYNC_EVERY_S", self.rng.choice((0.0, records.SYNC_EVERY_S)))
            )
            swaps.enter_context(swapped(run, "launch", _launched))
            swaps.enter_context(swapped(processes, "boot_id", lambda: OTHER_BOOT))
            yield


def _launched(*_: object, **__: object) -> int:
    """The test itself is the program."""
    return os.getpid()


def _spec() -> Spec:
    return Spec(
        msgspec.json.encode(
            {
                "version": 1,
                "run_id": RUN_ID,
                "argv": ["/bin/true"],
                "cwd": "/",
                "env": {},
                "rows": 24,
                "cols": 80,
                "nonce": "n",
                "limits": {},
                "stop_graces_s": {"interrupt": 1, "terminate": 1, "kill": 1},
            }
        )
    )
