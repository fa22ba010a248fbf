"""Finding the daemon of this data, and starting one: two at once end up with one.

`daemon.json` says where a daemon was; only one that answers, to its own token, is there.
Who starts a daemon does not decide whether it may run: the lock on the data does. A
loser ends at once, and everybody waits for whoever holds the lock to answer.
"""

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec

from moduprompt.cli.faults import CallFailed, failed
from moduprompt.client import Client, Endpoint, Limits, RequestRefused, Unreachable
from moduprompt.config import Config, DaemonFile
from moduprompt.protocol import EXIT_STATUS, Code, ErrorObject, Ready

START_S: Final = 30.0  # without a word of how far it is
UNKNOWN: Final = "none"  # of a daemon that has not written its file nobody knows one
STARTING: Final = "starting"  # the reason of who refuses while it opens its log
LOOK_S: Final = 0.03  # between two looks for a daemon that is starting
HELD_S: Final = 10.0  # the holder of the data has this long to answer, or it is not well
TOKEN_S: Final = 2.0  # a token that is still in the file so long after it was turned away is the wrong one
LOG_TAIL_BYTES: Final = 8 * 1024  # of the daemon's log: its last words
FILE_BYTES_MAX: Final = 64 * 1024  # daemon.json has some hundred
PROBE: Final = Limits(connect_s=2.0, answer_s=5.0)  # a daemon that takes longer to say it is ready is not
ANSWERS: Final = (
    "ready",
    "safe_mode",
)  # what it says when it has come up, with a whole store or a damaged one
RUN_VARIABLES: Final = ("MP_TOKEN", "MP_SOCKET", "MP_WORKSPACE", "MP_SESSION", "MP_RUN")
SERVICE_VARIABLES: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)
NOT_ITS_OWN: Final = (*RUN_VARIABLES, *SERVICE_VARIABLES)  # whoever calls may be an agent, or a service


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon that answers."""

    endpoint: Endpoint
    ready: Ready


def read_daemon_file(config: Config) -> DaemonFile | None:
    """What the last daemon left; None where that is nothing, or nothing readable."""
    try:
        with config.daemon_file.open("rb") as file:
            return msgspec.json.decode(file.read(FILE_BYTES_MAX), type=DaemonFile)
    except (OSError, ValueError, RecursionError):
        return None


async def find(config: Config) -> Found | None:
    """The daemon, if one answers; one that is starting gets a moment. Raises CallFailed where it does not know
    the token, or has other data."""
    clock = asyncio.get_running_loop().time
    patience_ends = clock() + PROBE.answer_s
    turned_away: dict[str, float] = {}  # which token, and since when
    while True:
        written = read_daemon_file(config)
        if written is None:
            return None
        endpoint = Endpoint(socket=written.socket, token=written.token)
        try:
            ready = await _ask(endpoint)
            _check_data(written, config)
            return Found(endpoint=endpoint, ready=ready)
        except Unreachable:
            return None
        except RequestRefused as refused:
            if _doing(refused) is not None:
                if clock() > patience_ends:
                    return None
            elif (
                refused.code is not Code.UNAUTHORIZED
                or clock() - turned_away.setdefault(written.token, clock()) > TOKEN_S
            ):
                raise CallFailed(_with_file(refused.error, config)) from refused
        await asyncio.sleep(LOOK_S)


async def opening(config: Config) -> str | None:
    """What a daemon that is starting does at this moment; None where none is."""
    try:
        await _ask(Endpoint(socket=str(config.socket), token=UNKNOWN))
    except RequestRefused as refused:
        return _doing(refused)
    except Unreachable:
        return None
    return None


def _doing(refused: RequestRefused) -> str | None:
    details = refused.error.details or {}
    return str(details.get("doing", "")) if details.get("reason") == STARTING else None


def _silent(what: str) -> None:
    """Nobody wants to know."""
    del what


async def ensure(config: Config, *, may_start: bool, tell: Callable[[str], None] = _silent) -> Found:
    """The daemon, started where none answers and it may be. `tell` hears how far it is."""
    found = await find(config)
    if found is not None and found.ready.status != "draining":
        return found
    if not may_start:
        doing = await opening(config)
        raise no_daemon(config) if doing is None else is_starting(config, doing)
    return await start(config, listen=config.listen, tell=tell)


def is_starting(config: Config, doing: str) -> CallFailed:
    """One is about to answer."""
    return failed(
        Code.UNAVAILABLE,
        f"the daemon at {config.socket} is starting: {doing}",
        hint="it answers by itself when it is through",
        details={"reason": STARTING, "doing": doing, "socket": str(config.socket)},
    )


def no_daemon(config: Config) -> CallFailed:
    """Nobody answers."""
    return failed(
        Code.UNAVAILABLE,
        f"no daemon answers at {config.socket}",
        hint="mpd start starts one; so does any mpctl call without --no-start",
        details={"socket": str(config.socket)},
    )


class _Patience:
    """How long to wait for a daemon that is coming up: anew with each word of how far it is."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._clock = asyncio.get_running_loop().time
        self._tell = tell
        self._told: str = ""
        self.ends = self._clock() + START_S

    @property
    def is_left(self) -> bool:
        """Whether to look again."""
        return self._clock() < self.ends

    def shorten(self, to_s: float) -> None:
        """There is less reason to wait."""
        self.ends = min(self.ends, self._clock() + to_s)

    async def look(self, config: Config) -> None:
        """Hear how far it is."""
        doing = await opening(config)
        if doing is not None and doing != self._told:
            self._told, self.ends = doing, self._clock() + START_S
            self._tell(f"the daemon is starting: {doing}")


async def start(config: Config, *, listen: str | None, tell: Callable[[str], None] = _silent) -> Found:
    """Start one in the background and wait until it, or whoever was faster, answers. `tell` hears how far it is."""
    patience = _Patience(tell)
    if await _wakes(config):
        return await _awaited(config, patience)
    log = _open_log(config)
    with log:
        said_before = log.tell()
        process = _spawn(config, log.fileno(), listen=listen)
    has_lost = False
    while patience.is_left:
        found = await find(config)
        if found is not None and found.ready.status in ANSWERS:
            return found
        if process.poll() is not None and not has_lost:
            if not is_locked(config.runtime_lock_file):
                break  # nobody else is about to answer here: what held us up is not a race
            has_lost = True
            patience.shorten(HELD_S)
        await patience.look(config)
        await asyncio.sleep(LOOK_S)
    raise _last_words(config, said_before, status=process.poll())


async def _wakes(config: Config) -> bool:
    """Whether somebody listens where the daemon should: one that is starting, or a service manager's socket.

    The connection is what a service manager waits for.
    """
    if is_locked(config.runtime_lock_file):
        return False  # a daemon holds the folder: whoever starts another one waits for it
    try:
        async with asyncio.timeout(PROBE.connect_s):
            _, writer = await asyncio.open_unix_connection(str(config.socket))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _awaited(config: Config, patience: _Patience) -> Found:
    """The daemon that a service manager starts. Raises CallFailed where none comes up."""
    while patience.is_left:
        found = await find(config)
        if found is not None and found.ready.status in ANSWERS:
            return found
        await patience.look(config)
        await asyncio.sleep(LOOK_S)
    raise failed(
        Code.UNAVAILABLE,
        f"{config.socket} is listened on, but no daemon answered there within {START_S:g} s",
        hint="a service manager holds the socket; its log says why: journalctl --user -u moduprompt",
    )


def is_locked(path: Path) -> bool:
    """Whether a daemon holds this lock at this moment, answering or not."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False  # no /proc here, or it has just gone: the next look tells
    return stat.rpartition(")")[2].split()[:1] == ["Z"]


def log_file(config: Config) -> Path:
    """Where a daemon in the background writes what it has to say."""
    return config.logs_dir / "mpd.log"


async def _ask(endpoint: Endpoint) -> Ready:
    async with Client(token=endpoint.token, socket=endpoint.socket, limits=PROBE) as client:
        return await client.ready()


def _check_data(written: DaemonFile, config: Config) -> None:
    """A daemon of other data behind the same socket must not be taken for the one that was meant."""
    if Path(written.db_path).resolve() != config.log_db.resolve():
        raise failed(
            Code.VALIDATION_FAILED,
            f"the daemon at {written.socket} works on {written.db_path}, not on {config.log_db}",
            hint="name its data with --data-dir or --db, or another --runtime-dir",
            details={"reason": "other_data", "path": written.db_path},
        )


def _open_log(config: Config) -> "_Log":
    path = log_file(config)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _Log(path)
    except OSError as fault:
        raise failed(
            Code.VALIDATION_FAILED,
            f"{path} can't be written: {fault.strerror}",
            hint="choose another folder with --data-dir or MP_DATA_DIR",
            details={"reason": "path_not_writable", "path": str(path)},
        ) from fault


class _Log:
    """The daemon's log, open for appending."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def fileno(self) -> int:
        """For the daemon's standard output and error."""
        return self._fd

    def tell(self) -> int:
        """Where it ends now."""
        return os.fstat(self._fd).st_size


def _spawn(config: Config, log: int, *, listen: str | None) -> "subprocess.Popen[bytes]":
    """A session of its own: no terminal, no signal of ours, no folder of ours reaches it."""
    words = [sys.executable, "-P", "-m", "moduprompt.cli.mpd", "start", "--foreground"]
    words += ["--data-dir", str(config.data_dir), "--runtime-dir", str(config.runtime_dir)]
    words += ["--db", str(config.log_db)]
    words += ["--listen", listen] if listen is not None else []
    environ = {name: value for name, value in os.environ.items() if name not in NOT_ITS_OWN}
    return subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd="/",
        env=environ,
        start_new_session=True,
    )


def _last_words(config: Config, said_before: int, *, status: int | None) -> CallFailed:
    """Why it did not come up, from what it wrote since then."""
    lines = _tail(log_file(config), said_before)
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    if errors and status is not None:
        message = errors[-1]
    elif status is None:
        message = f"the daemon did not answer within {START_S:g} s"
    else:
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        message = f"the daemon ended at once with status {status}: {last.strip()}"
    code = next((code for code, known in EXIT_STATUS.items() if known == status), Code.UNAVAILABLE)
    hint = hints[-1] if hints else f"its log is {log_file(config)}"
    return CallFailed(ErrorObject(code=code, message=message, hint=hint))


def _tail(path: Path, start: int) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(start, path.stat().st_size - LOG_TAIL_BYTES))
            return file.read(LOG_TAIL_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _with_file(error: ErrorObject, config: Config) -> ErrorObject:
    if error.code is not Code.UNAUTHORIZED:
        return error
    hint = f"the token in {config.daemon_file} is not the daemon's; start it anew: mpd stop, mpd start"
    return msgspec.structs.replace(error, hint=hint)
