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
from pathlib import Path
from typing import Final, Self

import msgspec

from moduprompt.cli.faults import CallFailed, failed
from moduprompt.client import Client, Endpoint, Limits, RequestRefused, Unreachable
from moduprompt.config import Config, DaemonFile
from moduprompt.protocol import EXIT_STATUS, Code, ErrorObject, Ready

START_S: Final = 30.0  # a large log is folded before the first answer
LOOK_S: Final = 0.03  # between two looks for a daemon that is starting
HELD_S: Final = 10.0  # the holder of the data has this long to answer, or it is not well
TOKEN_S: Final = 2.0  # a daemon writes its file right after it takes the socket
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
    """The daemon, if one answers. Raises CallFailed where it does not know the token, or has other data."""
    ends = asyncio.get_running_loop().time() + TOKEN_S
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
            if refused.code is not Code.UNAUTHORIZED or asyncio.get_running_loop().time() > ends:
                raise CallFailed(_with_file(refused.error, config)) from refused
        await asyncio.sleep(LOOK_S)


async def ensure(config: Config, *, may_start: bool) -> Found:
    """The daemon, started where none answers and it may be."""
    found = await find(config)
    if found is not None and found.ready.status != "draining":
        return found
    if not may_start:
        raise no_daemon(config)
    return await start(config, listen=config.listen)


def no_daemon(config: Config) -> CallFailed:
    """Nobody answers."""
    return failed(
        Code.UNAVAILABLE,
        f"no daemon answers at {config.socket}",
        hint="mpd start starts one; so does any mpctl call without --no-start",
        details={"socket": str(config.socket)},
    )


async def start(config: Config, *, listen: str | None) -> Found:
    """Start one in the background and wait until it, or whoever was faster, answers."""
    if await _wakes(config):
        return await _awaited(config)
    log = _open_log(config)
    with log:
        said_before = log.tell()
        process = _spawn(config, log.fileno(), listen=listen)
    clock = asyncio.get_running_loop().time
    ends = clock() + START_S
    has_lost = False
    while clock() < ends:
        found = await find(config)
        if found is not None and found.ready.status in ANSWERS:
            return found
        if process.poll() is not None and not has_lost:
            if not is_locked(config.runtime_lock_file):
                break  # nobody else is about to answer here: what held us up is not a race
            has_lost, ends = True, min(ends, clock() + HELD_S)
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


async def _awaited(config: Config) -> Found:
    """The daemon that a service manager starts. Raises CallFailed where none comes up."""
    ends = asyncio.get_running_loop().time() + START_S
    while asyncio.get_running_loop().time() < ends:
        found = await find(config)
        if found is not None and found.ready.status in ANSWERS:
            return found
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
