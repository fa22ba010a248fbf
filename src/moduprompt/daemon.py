"""The composition root: the only file that knows everyone.

    folders → locks → sockets → secret → storage → kernel with its hands → answers → daemon.json
    … signal → no daemon.json → streams end → requests end → kernel → storage → sockets → locks

Two locks decide who is the daemon: of the data, and of the folder where it listens.
Everything else follows from holding both. What can be refused is refused before
anything is written, and each step is undone in reverse, however far it came.
"""

import asyncio
import fcntl
import gc
import getpass
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace
from starlette.types import ASGIApp

from moduprompt import __version__
from moduprompt.config import Config, ConfigRefused, DaemonFile
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import View
from moduprompt.domain.registry import UnreadableEvent
from moduprompt.domain.run.state import RunState
from moduprompt.effects.agents.catalogue import variables_known
from moduprompt.effects.agents.overriding import overridden
from moduprompt.effects.agents.surroundings import SYSTEM_PATH, install_commands
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.artifacts.hand import EraseHand
from moduprompt.effects.artifacts.moving import give_each_its_own
from moduprompt.effects.git.hand import GitHand
from moduprompt.effects.git.program import GitProgram, git_environment
from moduprompt.effects.notifier import Notifier
from moduprompt.effects.observer import LocalObserver
from moduprompt.effects.recovery.books import KernelBooks
from moduprompt.effects.recovery.comparing import Grounds, compare
from moduprompt.effects.recovery.memory import StartMemory
from moduprompt.effects.runner.admission import LIVE_MAX, Admission, ThisMachine
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.hand import PROMPT_NAME, RECORDING_NAME, RunHand, Surroundings
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.terminals import LocalTerminals
from moduprompt.effects.runner.turns import TurnWatcher
from moduprompt.effects.runner.typist import Typist
from moduprompt.kernel.clock import SystemClock, SystemMint
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ledger import ChainBroken
from moduprompt.kernel.ports import Hand
from moduprompt.protocol import EXIT_STATUS, Code, RunId, WorkspaceId, encode, to_timestamp
from moduprompt.server.activation import Handed, take_descriptors, take_sockets
from moduprompt.server.app import build_app
from moduprompt.server.desk import Desk
from moduprompt.server.guard import LoopbackGuard
from moduprompt.server.listener import DRAIN_S, Listener, bind_loopback, bind_unix
from moduprompt.server.log_lines import JsonLines
from moduprompt.server.run_doors import RunDoors
from moduprompt.storage.backup_folder import Store
from moduprompt.storage.memory.views import MemoryViews
from moduprompt.storage.port import StorageFailed, StorageFull, StorageTooNew
from moduprompt.storage.restoring import finish_restore
from moduprompt.storage.sqlite.inspection import Examined, examine, first_look
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.safe_log import SafeLog
from moduprompt.storage.sqlite.snapshots import open_snapshots
from moduprompt.storage.sqlite.views import SqliteViews
from moduprompt.storage.sqlite.worker import SWITCH_S
from moduprompt.views.board import VIEW as BOARD
from moduprompt.views.search import VIEW as SEARCH

ALL_VIEWS: Final[tuple[View, ...]] = (*VIEWS, BOARD, SEARCH)
COLLECT: Final = (
    50_000,
    20,
    50,
)  # what the kernel makes is immutable and without circles: look for those seldom
SECRET_BYTES: Final = 32
TOKEN_BYTES: Final = 32
DRAINING: Final = "draining"  # what a lock says while its holder lets go
HANDOVER_S: Final = 4 * DRAIN_S  # how long its successor waits for that
LOOK_S: Final = 0.05  # between two looks at a lock: the system can't wait for one with a limit
OTHERS_WRITE: Final = 0o022

log = logging.getLogger(__name__)


class DataInUse(Exception):
    """Another daemon owns this data."""


class KernelEnded(Exception):
    """The writer or the timers are gone: nothing that is sent would ever be answered."""


def serve(config: Config, environ: MutableMapping[str, str]) -> int:
    """Run the daemon in the foreground until SIGTERM or SIGINT; gives the exit status.

    What a service manager put into the environment is taken out of it.
    """
    gc.set_threshold(*COLLECT)
    sys.setswitchinterval(SWITCH_S)
    logging.basicConfig(level=logging.INFO, handlers=[JsonLines(sys.stderr)], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start is ours to announce
    try:
        _serve_locked(config, environ)
    except ConfigRefused as refused:
        return _fail(refused.message, hint=refused.hint, code=Code.VALIDATION_FAILED)
    except DataInUse as fault:
        return _fail(str(fault), hint="mpd status", code=Code.UNAVAILABLE)
    except StorageTooNew as fault:
        hint = "use the newer version again, or another --data-dir; nothing was changed"
        return _fail(str(fault), hint=hint, code=Code.VALIDATION_FAILED)
    except StorageFull as fault:
        return _fail(str(fault), hint="make room, or choose another --data-dir", code=Code.UNAVAILABLE)
    except (StorageFailed, ChainBroken, UnreadableEvent) as fault:
        hint = "restore the data from a backup, or choose another --data-dir; no event was changed"
        return _fail(str(fault), hint=hint, code=Code.VALIDATION_FAILED)
    except KernelEnded as fault:
        return _fail(str(fault), hint="its log says why; start it again", code=Code.INTERNAL)
    except OSError as fault:
        where = f"{fault.filename}: " if fault.filename else ""
        return _fail(
            f"{where}{fault.strerror or fault}", hint="choose another --data-dir", code=Code.VALIDATION_FAILED
        )
    return 0


def _serve_locked(config: Config, environ: MutableMapping[str, str]) -> None:
    import uvloop

    notifier = Notifier.take_from(environ, pid=os.getpid())
    handed = take_sockets(take_descriptors(environ, pid=os.getpid()), expected=config.socket)
    _make_runtime_folder(config.runtime_dir)
    with _locked(config.runtime_lock_file, config=config) as listening:
        _make_data_folders(config)
        with _locked(config.lock_file, config=config) as owning:
            _finish_restore(config)

            def draining() -> None:
                owning(DRAINING)
                listening(DRAINING)

            def run(found: Examined | None) -> None:
                uvloop.run(
                    _serve(
                        config, environ, notifier=notifier, handed=handed, draining=draining, damaged=found
                    )
                )

            _run_whole_or_safe(config, run)


def _run_whole_or_safe(config: Config, run: Callable[[Examined | None], None]) -> None:
    """Over a store that does not hold, the daemon runs all the same, and writes nothing."""
    seen = first_look(config.log_db, folds=config.views_db)
    if not seen:
        try:
            run(None)
        except StorageFull:
            raise
        except (StorageFailed, ChainBroken):
            if not (seen := examine(config.log_db).damages):
                raise
        else:
            return
    found = examine(config.log_db)
    found = replace(found, damages=tuple(dict.fromkeys((*seen, *found.damages))))
    for damage in found.damages:
        log.error("store.damaged", extra={"damage": str(damage)})
    run(found)


async def _serve(
    config: Config,
    environ: Mapping[str, str],
    *,
    notifier: Notifier,
    handed: Handed,
    draining: Callable[[], None],
    damaged: Examined | None,
) -> None:
    stopping = _told_by_signals()
    async with AsyncExitStack() as house:
        house.callback(log.info, "daemon.stopped")
        house.push_async_callback(notifier.stop)
        notifier.is_loading("opening the log")
        sockets = _bind(config, house, handed=handed)
        mint = SystemMint(_load_secret(config))
        git = GitProgram(environment=git_environment(environ))
        observer = LocalObserver(git, program_path=_path(environ))
        kernel = await _open_kernel(config, house, damaged=damaged, mint=mint, observer=observer)
        backend = LocalBackend(config.runs_dir)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        composers, memory = Composers(), StartMemory(version=__version__, clock=SystemClock())
        admission = _build_admission(config, kernel)
        terminals, listener = LocalTerminals(backend, composers), Listener(kernel.meters)
        desk = _build_desk(
            config,
            kernel,
            terminals=terminals,
            memory=memory,
            token=token,
            draining=stopping,
            listener=listener,
            keeper_links=backend.open_links,
            admission=admission,
        )
        app = build_app(desk)
        doors = RunDoors(config.run_sockets_dir, listener=listener, app=app)
        hands = _build_hands(
            config,
            environ,
            kernel=kernel,
            mint=mint,
            git=git,
            backend=backend,
            doors=doors,
            composers=composers,
            memory=memory,
            admission=admission,
        )
        house.push_async_callback(kernel.stop)
        house.push_async_callback(listener.stop)
        watchdog = asyncio.create_task(notifier.watch(kernel.pulse), name="watchdog")
        house.callback(watchdog.cancel)
        if not await _before(kernel.start(owner_name=_owner_name(), hands=hands), stopping):
            return
        memory.expect(_live_runs(kernel))
        await _open_doors(listener, sockets, app)
        house.callback(config.daemon_file.unlink, missing_ok=True)
        _write_daemon_file(config, token=token, sockets=sockets)
        if damaged is None:  # what can't be trusted is compared with nothing
            _begin_comparing(config, house, kernel=kernel, backend=backend, memory=memory)
        log.info("daemon.ready", extra={"version": __version__, "socket": str(config.socket)})
        notifier.is_ready()
        house.callback(log.info, "daemon.stopping")
        house.callback(kernel.feed.drain)
        house.callback(draining)
        house.callback(notifier.is_stopping)
        if await _before(kernel.until_broken(), stopping):
            stopping.set()
            raise KernelEnded("the kernel's writer has ended")


async def _open_doors(listener: Listener, sockets: list[socket.socket], app: ASGIApp) -> None:
    await listener.open(sockets[0], app)
    for tcp in sockets[1:]:
        await listener.open(tcp, LoopbackGuard(app))


def _told_by_signals() -> asyncio.Event:
    """Set when somebody wants the daemon to stop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def _before(work: Awaitable[None], stopping: asyncio.Event) -> bool:
    """Whether the work was done before the daemon was told to stop; it is cancelled otherwise."""
    working = asyncio.ensure_future(work)
    told = asyncio.create_task(stopping.wait(), name="stopping")
    try:
        await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        await working
        return not stopping.is_set()
    finally:
        for task in (working, told):
            task.cancel()
        await asyncio.gather(working, told, return_exceptions=True)


def _bind(config: Config, house: AsyncExitStack, *, handed: Handed) -> list[socket.socket]:
    """Whoever connects from now on waits in the queue until the daemon answers.

    What was handed over is not ours to unlink.
    """
    if handed.unix is None:
        sockets = [house.enter_context(bind_unix(config.socket))]
        house.callback(config.socket.unlink, missing_ok=True)
    else:
        sockets = [house.enter_context(handed.unix.dup())]  # a second attempt in safe mode needs it again
    sockets += [house.enter_context(each.dup()) for each in handed.tcp]
    if config.listen is not None:
        sockets.append(house.enter_context(bind_loopback(config.listen)))
    return sockets


async def _open_kernel(
    config: Config,
    house: AsyncExitStack,
    *,
    damaged: Examined | None,
    mint: SystemMint,
    observer: LocalObserver,
) -> Kernel:
    if damaged is not None:
        return _build_safe_kernel(config, damaged, mint=mint, observer=observer)
    return await _build_kernel(config, house, mint=mint, observer=observer)


async def _build_kernel(
    config: Config, house: AsyncExitStack, *, mint: SystemMint, observer: LocalObserver
) -> Kernel:
    for file in (config.log_db, config.views_db, config.snapshots_db):
        # Made by us first, so that no other user can read them.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    event_log = await SqliteLog.open(config.log_db)
    house.push_async_callback(event_log.close)
    await give_each_its_own(config.artifacts_dir, event_log)
    view_store = await SqliteViews.open(config.views_db, views=ALL_VIEWS)
    house.push_async_callback(view_store.close)
    snapshots = await open_snapshots(config.snapshots_db)
    house.push_async_callback(snapshots.close)
    return Kernel(
        event_log,
        view_store,
        views=ALL_VIEWS,
        snapshots=snapshots,
        clock=SystemClock(),
        mint=mint,
        artifacts=FolderArtifacts(config.artifacts_dir),
        observer=observer,
    )


def _build_safe_kernel(
    config: Config, damaged: Examined, *, mint: SystemMint, observer: LocalObserver
) -> Kernel:
    """Reads what is whole; its read models are in memory, since those on the disk may say more than the log."""
    return Kernel(
        SafeLog(config.log_db, damaged),
        MemoryViews(),
        views=ALL_VIEWS,
        clock=SystemClock(),
        mint=mint,
        artifacts=FolderArtifacts(config.artifacts_dir),
        observer=observer,
        damages=damaged.damages,
    )


def _build_desk(
    config: Config,
    kernel: Kernel,
    *,
    terminals: LocalTerminals,
    memory: StartMemory,
    token: str,
    draining: asyncio.Event,
    listener: Listener,
    keeper_links: Callable[[], int],
    admission: Admission,
) -> Desk:
    return Desk(
        kernel=kernel,
        terminals=terminals,
        start_report=memory,
        owner_token=token,
        version=__version__,
        data_dir=str(config.data_dir),
        pid=os.getpid(),
        draining=draining,
        turnstile=listener.turnstile,
        keeper_links=keeper_links,
        starts=admission,
    )


def _build_admission(config: Config, kernel: Kernel) -> Admission:
    live_max = config.live_runs_max or LIVE_MAX
    return Admission(ThisMachine(), clock=SystemClock(), hindered=kernel.hindered, live_max=live_max)


def _build_hands(
    config: Config,
    environ: Mapping[str, str],
    *,
    kernel: Kernel,
    mint: SystemMint,
    git: GitProgram,
    backend: LocalBackend,
    doors: RunDoors,
    composers: Composers,
    memory: StartMemory,
    admission: Admission,
) -> tuple[Hand, ...]:
    artifacts = FolderArtifacts(config.artifacts_dir)
    artifacts.sweep()
    doors.clear()
    surroundings = Surroundings(
        home=environ.get("HOME") or "/",
        path=_path(environ),
        commands_dir=install_commands(config.runs_dir),
        variables={name: environ[name] for name in variables_known() if name in environ},
        limits=overridden(config.limits),
    )
    runs = RunHand(
        backend,
        kernel,
        artifacts=artifacts,
        tokens=mint,
        doors=doors,
        surroundings=surroundings,
        clock=SystemClock(),
        witness=memory,
        admission=admission,
    )
    typing = Typist(backend, kernel, artifacts=artifacts, typed=runs.look_again, composers=composers)
    eraser = EraseHand(artifacts, run_dir=backend.run_dir, recording=RECORDING_NAME, prompt=PROMPT_NAME)
    git_hand = GitHand(git, kernel, worktrees_dir=config.worktrees_dir)
    return runs, typing, TurnWatcher(backend, kernel), git_hand, eraser


def _live_runs(kernel: Kernel) -> list[tuple[WorkspaceId, RunId]]:
    ledgers = kernel.cabinet.ledgers()
    return [
        (each.workspace_id, run.run_id) for each in ledgers for run in each.every(RunState) if run.is_live()
    ]


def _begin_comparing(
    config: Config, house: AsyncExitStack, *, kernel: Kernel, backend: LocalBackend, memory: StartMemory
) -> None:
    grounds = Grounds(
        runs_dir=config.runs_dir,
        worktrees_dir=config.worktrees_dir,
        run_sockets_dir=config.run_sockets_dir,
    )
    work = compare(memory, KernelBooks(kernel), backend=backend, grounds=grounds)
    house.callback(asyncio.create_task(work, name="compare").cancel)


def _finish_restore(config: Config) -> None:
    """What was decided before somebody died is done before anything is opened."""
    store = Store(log=config.log_db, secret=config.secret_file, artifacts=config.artifacts_dir)
    if (aside := finish_restore(store)) is not None:
        log.warning("restore.finished", extra={"replaced": str(aside)})


def _make_runtime_folder(folder: Path) -> None:
    """Ours alone: who may write there could put a socket of their own in our place."""
    hint = "choose another folder with --runtime-dir or MP_RUNTIME_DIR"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as fault:
        raise ConfigRefused(f"{folder}: {fault.strerror or fault}", path=str(folder), hint=hint) from fault
    if found.st_uid != os.getuid():
        raise ConfigRefused(
            f"the folder for sockets, {folder}, belongs to another user (uid {found.st_uid})",
            path=str(folder),
            hint=hint,
        )
    if found.st_mode & OTHERS_WRITE:
        raise ConfigRefused(
            f"others may write in the folder for sockets, {folder} (mode {found.st_mode & 0o7777:o})",
            path=str(folder),
            hint=f"chmod 700 {folder}, or {hint}",
        )


def _make_data_folders(config: Config) -> None:
    for folder in (config.data_dir, config.state_dir, config.runs_dir, config.worktrees_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def _locked(path: Path, *, config: Config) -> Generator[Callable[[str], None]]:
    """Held by one process, and only as long as it lives. Gives how to say what the holder does.

    Raises DataInUse, or ConfigRefused where a daemon of other data listens.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take_lock(descriptor, config=config)
        tell = _teller(descriptor, config=config)
        tell("running")
        yield tell
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, *, config: Config) -> None:
    ends = time.monotonic() + HANDOVER_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = os.pread(descriptor, 8_192, 0).decode("utf-8", "replace").split("\n")
            pid, state, log_db = (*words, "", "", "")[:3]
            if state != DRAINING or time.monotonic() > ends:
                raise _held_by(pid or "unknown", log_db=log_db, config=config) from None
            time.sleep(LOOK_S)
        else:
            return


def _teller(descriptor: int, *, config: Config) -> Callable[[str], None]:
    def tell(state: str) -> None:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n{state}\n{config.log_db}\n".encode(), 0)

    return tell


def _held_by(pid: str, *, log_db: str, config: Config) -> Exception:
    if log_db and Path(log_db).resolve() != config.log_db.resolve():  # one folder may go by several names
        return ConfigRefused(
            f"a daemon of other data ({log_db}, pid {pid}) listens in {config.runtime_dir}",
            path=str(config.runtime_dir),
            hint="choose another folder with --runtime-dir or MP_RUNTIME_DIR",
        )
    return DataInUse(f"the data in {config.state_dir} belongs to a running daemon (pid {pid})")


def _load_secret(config: Config) -> bytes:
    """What run tokens derive from: made at first boot, before the log, and never again."""
    path = config.secret_file
    if not path.exists() and not config.log_db.exists():
        _write_new(path, secrets.token_bytes(SECRET_BYTES))
    hint = (
        f"put it back from a backup; or make a new one with `head -c {SECRET_BYTES} /dev/urandom > {path}`, "
        "and start runs that had not begun yet again"
    )
    try:
        secret = path.read_bytes()
    except FileNotFoundError as fault:
        raise ConfigRefused(f"{path} is missing beside its log", path=str(path), hint=hint) from fault
    if len(secret) != SECRET_BYTES:
        raise ConfigRefused(f"{path} is damaged: run tokens derive from it", path=str(path), hint=hint)
    return secret


def _write_new(path: Path, content: bytes) -> None:
    """A file for its owner only: whole and on the disk, or not there."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_daemon_file(config: Config, *, token: str, sockets: list[socket.socket]) -> None:
    """How clients find the daemon."""
    addr = f"unix:{config.socket}"
    if len(sockets) > 1:
        host, port = sockets[1].getsockname()[:2]
        addr = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    content = DaemonFile(
        addr=addr,
        socket=str(config.socket),
        token=token,
        pid=os.getpid(),
        db_path=str(config.log_db),
        started_at=to_timestamp(SystemClock().now()),
        version=__version__,
    )
    _write_new(config.daemon_file, msgspec.json.format(encode(content), indent=2) + b"\n")


def _path(environ: Mapping[str, str]) -> str:
    return environ.get("PATH") or SYSTEM_PATH


def _owner_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        return f"uid {os.getuid()}"


def _fail(message: str, *, hint: str, code: Code) -> int:
    sys.stderr.write(f"error: {message}\nhint: {hint}\n")
    return EXIT_STATUS[code]
