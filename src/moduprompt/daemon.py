"""The composition root: the only file that knows everyone.

    lock → storage → kernel → hands → sockets → daemon.json … signal → drain → close

The data folder's lock decides who is the daemon; everything else follows from holding it.
"""

import asyncio
import fcntl
import getpass
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from moduprompt import __version__
from moduprompt.config import Config, ConfigRefused, DaemonFile
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import View
from moduprompt.domain.registry import UnreadableEvent
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.git.hand import GitHand
from moduprompt.effects.git.program import GitProgram
from moduprompt.effects.observer import LocalObserver
from moduprompt.effects.runner.adapters import SYSTEM_PATH, install_commands
from moduprompt.effects.runner.hand import RunHand, Surroundings
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.terminals import LocalTerminals
from moduprompt.effects.runner.typist import Typist
from moduprompt.kernel.clock import SystemClock, SystemMint
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ledger import ChainBroken
from moduprompt.protocol import EXIT_STATUS, Code, encode, to_timestamp
from moduprompt.server.app import build_app
from moduprompt.server.desk import Desk
from moduprompt.server.guard import LoopbackGuard
from moduprompt.server.listener import Listener, bind_loopback, bind_unix
from moduprompt.server.log_lines import JsonLines
from moduprompt.storage.port import StorageFailed, StorageTooNew
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.views import SqliteViews
from moduprompt.views.board import VIEW as BOARD

ALL_VIEWS: Final[tuple[View, ...]] = (*VIEWS, BOARD)
SECRET_BYTES: Final = 32
TOKEN_BYTES: Final = 32

log = logging.getLogger(__name__)


class DataInUse(Exception):
    """Another daemon owns this data."""


def serve(config: Config, environ: Mapping[str, str]) -> int:
    """Run the daemon in the foreground until SIGTERM or SIGINT; gives the exit status."""
    import uvloop

    logging.basicConfig(level=logging.INFO, handlers=[JsonLines(sys.stderr)], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start is ours to announce
    try:
        _make_folders(config)
        with _data_lock(config):
            uvloop.run(_serve(config, environ))
    except ConfigRefused as refused:
        return _fail(refused.message, hint=refused.hint, code=Code.VALIDATION_FAILED)
    except DataInUse as fault:
        return _fail(str(fault), hint="mpctl daemon status", code=Code.UNAVAILABLE)
    except StorageTooNew as fault:
        return _fail(
            str(fault), hint="use the newer version again, or another --data-dir", code=Code.UNAVAILABLE
        )
    except (StorageFailed, ChainBroken, UnreadableEvent) as fault:
        return _fail(
            str(fault), hint="nothing was changed; mpctl log verify says more", code=Code.UNAVAILABLE
        )
    except OSError as fault:
        where = f"{fault.filename}: " if fault.filename else ""
        return _fail(
            f"{where}{fault.strerror or fault}", hint="choose another --data-dir", code=Code.UNAVAILABLE
        )
    return 0


async def _serve(config: Config, environ: Mapping[str, str]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    clock, mint = SystemClock(), SystemMint(_load_secret(config.secret_file))
    event_log = await SqliteLog.open(config.log_db)
    view_store = await SqliteViews.open(config.views_db, views=ALL_VIEWS)
    program_path = environ.get("PATH") or SYSTEM_PATH
    git = GitProgram(environment=_git_environment(environ))
    artifacts = FolderArtifacts(config.artifacts_dir)
    kernel = Kernel(
        event_log,
        view_store,
        views=ALL_VIEWS,
        clock=clock,
        mint=mint,
        artifacts=artifacts,
        observer=LocalObserver(git, program_path=program_path),
    )
    backend = LocalBackend(config.runs_dir)
    runs = RunHand(
        backend,
        kernel,
        artifacts=artifacts,
        tokens=mint,
        surroundings=Surroundings(
            socket=str(config.socket),
            home=environ.get("HOME") or "/",
            path=program_path,
            commands_dir=install_commands(config.runs_dir),
        ),
        clock=clock,
    )
    typist = Typist(backend, kernel, artifacts=artifacts, typed=runs.look_again)
    worktrees = GitHand(git, kernel, worktrees_dir=config.worktrees_dir)
    await kernel.start(owner_name=_owner_name(), hands=(runs, typist, worktrees))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    desk = Desk(
        kernel=kernel,
        terminals=LocalTerminals(backend),
        owner_token=token,
        version=__version__,
        data_dir=str(config.data_dir),
        pid=os.getpid(),
        is_draining=stopping.is_set,
    )
    sockets = [bind_unix(config.socket)]
    if config.listen is not None:
        sockets.append(bind_loopback(config.listen))
    listener = Listener(LoopbackGuard(build_app(desk)), sockets)
    try:
        await listener.start()
        started_at = to_timestamp(clock.now())
        _write_daemon_file(config, token=token, sockets=sockets, started_at=started_at)
        log.info("daemon.ready", extra={"version": __version__, "socket": str(config.socket)})
        await stopping.wait()
    finally:
        log.info("daemon.stopping")
        kernel.feed.drain()
        await listener.stop()
        await kernel.stop()
        await view_store.close()
        await event_log.close()
        config.daemon_file.unlink(missing_ok=True)
        config.socket.unlink(missing_ok=True)
        log.info("daemon.stopped")


def _make_folders(config: Config) -> None:
    for folder in (
        config.data_dir,
        config.state_dir,
        config.runtime_dir,
        config.runs_dir,
        config.worktrees_dir,
    ):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if config.runtime_dir.stat().st_uid == os.getuid():
        config.runtime_dir.chmod(0o700)


@contextmanager
def _data_lock(config: Config) -> Generator[None]:
    """The one daemon of this data. The lock ends with the process, however it ends."""
    descriptor = os.open(config.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise DataInUse(
                f"the data in {config.state_dir} belongs to a running daemon (pid {holder})"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _load_secret(path: Path) -> bytes:
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
    secret = path.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise StorageFailed(f"{path} is damaged: run tokens derive from it")
    return secret


def _write_daemon_file(config: Config, *, token: str, sockets: list[socket.socket], started_at: str) -> None:
    """How clients find the daemon: whole or not at all, for its owner only."""
    addr = f"unix:{config.socket}"
    if len(sockets) > 1:
        host, port = sockets[1].getsockname()[:2]
        addr = f"http://{host}:{port}"
    content = DaemonFile(
        addr=addr,
        socket=str(config.socket),
        token=token,
        pid=os.getpid(),
        db_path=str(config.log_db),
        started_at=started_at,
        version=__version__,
    )
    temporary = config.daemon_file.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(encode(content), indent=2) + b"\n")
    temporary.replace(config.daemon_file)


def _git_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in ("PATH", "HOME", "XDG_CONFIG_HOME") if name in environ}


def _owner_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        return f"uid {os.getuid()}"


def _fail(message: str, *, hint: str, code: Code) -> int:
    sys.stderr.write(f"error: {message}\nhint: {hint}\n")
    return EXIT_STATUS[code]
