"""The keeper's process: set up, one loop, and the time after the run.

Order of setting up: lock the run directory, listen, start the program, then tell the process that waits
(see `detach`). So whoever was told can dial at once, and a second keeper for the same run never comes as
far as the program. After the run it lingers until every report is acknowledged; the files stay. It goes, too, when they have been deleted.
"""

import _socket as socket  # the public module costs half a megabyte of enums that nobody needs here
import errno
import fcntl
import os
import select
import signal
import sys
import time

from moduprompt.keeper import detach
from moduprompt.keeper.journal import JOURNAL_NAME
from moduprompt.keeper.recording import RECORDING_NAME
from moduprompt.keeper.run import Run
from moduprompt.keeper.serving import Connection
from moduprompt.keeper.spec import SPEC_BYTES_MAX, Spec
from moduprompt.keeper.wire import FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Callable

SOCKET_NAME = "keeper.sock"
LOCK_NAME = "keeper.lock"
LOG_NAME = "keeper.log"  # stays empty unless the keeper itself is broken

CONNECTIONS_MAX = 64  # a daemon needs one and one for each person who watches
LINGER_S_MAX = 7 * 86_400.0  # a week for a daemon to come back; after that the journal on disk speaks
LOOK_S = 60.0  # between two looks whether there is anything left to linger for
FAREWELL_S = 2.0  # for watchers to take the last bytes once all reports are acknowledged
WAKE_BYTES = 512
LOCK_TRIES = 4  # whoever merely asks (`is_held`) has the lock for microseconds
LOCK_AGAIN_S = 0.02
PASSES = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)


def keep(run_dir: str, acknowledge_fd: int, *, is_subreaper: bool) -> int:
    """Be the keeper of this run until it is over. Reads the spec from standard input."""
    try:
        spec = Spec(_read_spec())
    except FrameError as error:
        detach.acknowledge(acknowledge_fd, detach.EXIT_BAD_SPEC, f"the spec is refused: {error}\n")
        return detach.EXIT_BAD_SPEC
    is_ours = False
    try:
        os.umask(0o077)
        os.chdir(run_dir)
        if not _lock():
            detach.acknowledge(acknowledge_fd, detach.EXIT_HELD, "another keeper holds this run\n")
            return detach.EXIT_HELD
        if os.path.lexists(JOURNAL_NAME):
            detach.acknowledge(acknowledge_fd, detach.EXIT_USED, "this run had its keeper already\n")
            return detach.EXIT_USED
        is_ours = True
        _redirect_standard_streams()
        keeper = Keeper(spec, is_subreaper=is_subreaper)
    except OSError as error:
        left_nothing = not is_ours or _take_back()
        code = detach.EXIT_NOT_NOW if error.errno in PASSES and left_nothing else detach.EXIT_UNUSABLE
        detach.acknowledge(acknowledge_fd, code, f"the run can't be kept: {error}\n")
        return code
    detach.acknowledge(acknowledge_fd, detach.EXIT_STARTED)
    keeper.serve()
    return 0


class Keeper:
    """Everything the loop looks at. Creating it starts the program."""

    def __init__(self, spec: Spec, *, is_subreaper: bool) -> None:
        self._wake = _catch_signals()
        self._listener = _listen()
        self._listens_at = _place_of_socket()
        self._run = Run(spec, ".", is_subreaper=is_subreaper)
        self._run.start()
        self._connections: dict[int, Connection] = {}
        self._poll = select.poll()
        self._masks: dict[int, int] = {}
        self._ended_at: float | None = None
        self._farewell_at: float | None = None

    def serve(self) -> None:
        """Run the loop until the run is over and everybody knows."""
        while not self._is_over():
            self._watch()
            for fd, events in self._poll.poll(self._patience_ms()):
                self._dispatch(fd, events)
            self._run.reap()
            self._run.tick()
            for connection in list(self._connections.values()):
                self._serve_one(connection, connection.push)
        for connection in self._connections.values():
            connection.close()
        if os.path.lexists(SOCKET_NAME):
            os.unlink(SOCKET_NAME)

    def _dispatch(self, fd: int, events: int) -> None:
        if fd == self._wake:
            self._take_signals()
        elif fd == self._listener.fileno():
            self._accept()
        elif (stream := self._run.traffic.streams().get(fd)) is not None:
            stream(events)
        elif (connection := self._connections.get(fd)) is not None and events & ~select.POLLOUT:
            self._serve_one(connection, connection.receive)

    def _serve_one(self, connection: Connection, serve: "Callable[[], None]") -> None:
        fd = connection.fd
        try:
            if connection.is_open:
                serve()
        except Exception as fault:  # noqa: BLE001 - a fault in serving one peer must not cost the run its terminal
            sys.excepthook(type(fault), fault, fault.__traceback__)  # into keeper.log
            connection.close()
        if not connection.is_open:
            del self._connections[fd]

    def _watch(self) -> None:
        # The set is small, so it is simply worked out again each turn; only differences reach the kernel.
        wanted = {self._wake: select.POLLIN, self._listener.fileno(): select.POLLIN}
        wanted |= self._run.traffic.watched()
        for fd, connection in self._connections.items():
            sending = select.POLLOUT if connection.wants_to_send else 0
            wanted[fd] = (select.POLLIN if connection.wants_to_hear else 0) | sending
        for fd in self._masks.keys() - wanted.keys():
            self._poll.unregister(fd)
        for fd, mask in wanted.items():
            if self._masks.get(fd) != mask:
                self._poll.register(fd, mask)
        self._masks = wanted

    def _patience_ms(self) -> int | None:
        times = [self._run.next_tick_at(), self._farewell_at]
        if self._ended_at is not None:
            times += [self._ended_at + LINGER_S_MAX, time.monotonic() + LOOK_S]
        at = min((time_ for time_ in times if time_ is not None), default=None)
        if at is None:
            return None
        return max(0, min(int((at - time.monotonic()) * 1000) + 1, 3_600_000))

    def _is_over(self) -> bool:
        if not self._run.has_ended:
            return False
        now = time.monotonic()
        self._ended_at = self._ended_at or now
        # Whoever deleted the data has deleted the journal: nobody can ask for it any more.
        if now >= self._ended_at + LINGER_S_MAX or not os.path.lexists(JOURNAL_NAME):
            return True
        if not self._run.records.journal.is_settled:
            return False
        if not any(connection.wants_to_send for connection in self._connections.values()):
            return True
        self._farewell_at = self._farewell_at or now + FAREWELL_S
        return now >= self._farewell_at

    def _accept(self) -> None:
        try:
            fd, _ = _accept(self._listener)
        except OSError:
            return
        os.set_blocking(fd, False)
        if len(self._connections) >= CONNECTIONS_MAX and not self._hang_up_on_a_stranger():
            os.close(fd)
            return
        self._connections[fd] = Connection(fd, self._run)

    def _hang_up_on_a_stranger(self) -> bool:
        """Make room by ending the oldest connection that never said hello: strangers must not keep the daemon out."""
        stranger = next((each for each in self._connections.values() if not each.is_known), None)
        if stranger is None:
            return False
        del self._connections[stranger.fd]
        stranger.close()
        return True

    def _take_signals(self) -> None:
        if signal.SIGTERM in os.read(self._wake, WAKE_BYTES):
            self._run.stop("keeper_terminated")
        self._listen_again()

    def _listen_again(self) -> None:
        """Where somebody has removed our socket, or put something else there: who can't reach us wakes us (SIGCHLD)."""
        if _place_of_socket() == self._listens_at:
            return
        try:
            fresh = _listen()
        except OSError:
            return  # the folder has gone as well, or its disk is full
        self._listener.close()
        self._listener, self._listens_at = fresh, _place_of_socket()


def _read_spec() -> bytes:
    pieces: list[bytes] = []
    size = 0
    while size <= SPEC_BYTES_MAX and (piece := os.read(0, 65_536)):
        pieces.append(piece)
        size += len(piece)
    if size > SPEC_BYTES_MAX:
        raise FrameError("bad_json", f"the spec has more than {SPEC_BYTES_MAX} bytes")
    return b"".join(pieces)


def _take_back() -> bool:
    """The files of a run of which no report says that it may have begun. False where one does, or nobody can tell."""
    try:
        if os.path.lexists(JOURNAL_NAME) and os.stat(JOURNAL_NAME).st_size:
            return False
        for name in (
            RECORDING_NAME,
            JOURNAL_NAME,
        ):  # the journal last: it is what keeps a run from a second start
            if os.path.lexists(name):
                os.unlink(name)
    except OSError:
        return False
    return True


def _lock() -> bool:
    fd = os.open(LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(
                fd, fcntl.LOCK_EX | fcntl.LOCK_NB
            )  # held, with the descriptor, until this process ends
        except BlockingIOError:
            time.sleep(LOCK_AGAIN_S)
        else:
            return True
    os.close(fd)
    return False


def is_held(run_dir: str) -> bool:
    """Whether a keeper, perhaps one that is just starting, holds this run directory."""
    try:
        # Something else in its place must not hold us up.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(f"{run_dir}/{LOCK_NAME}", flags)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _redirect_standard_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    log = os.open(LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for fd, target in ((null, 0), (null, 1), (log, 2)):
        os.dup2(fd, target)
    os.close(null)
    os.close(log)


def _listen() -> socket.socket:
    # A relative name: the path of a Unix socket has 107 bytes, a data directory may have more.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    if os.path.lexists(SOCKET_NAME):
        os.unlink(SOCKET_NAME)
    listener.bind(SOCKET_NAME)
    listener.settimeout(0)
    listener.listen(16)
    return listener


def _place_of_socket() -> tuple[int, int] | None:
    try:
        found = os.lstat(SOCKET_NAME)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _accept(listener: socket.socket) -> tuple[int, object]:
    # What the public module's accept() calls; the stubs don't know it.
    return listener._accept()  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]


def _catch_signals() -> int:
    wake, poke = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(poke, False)
    signal.set_wakeup_fd(poke, warn_on_full_buffer=False)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTTOU, signal.SIGTTIN):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _note_nothing)
    return wake


def _note_nothing(number: int, frame: object) -> None:
    # A signal needs a handler to be written to the wake-up pipe; the pipe carries the news.
    del number, frame
