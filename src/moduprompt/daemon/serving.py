"""The daemon's life, from its locks to its last word:

    folders → locks → sockets → secret → storage → kernel with its hands → daemon.json → answers
    … signal → no daemon.json → streams end → requests end → kernel → storage → sockets → locks

Two locks decide who is the daemon: of the data, and of the folder where it listens.
Everything else follows from holding both. What can be refused is refused before
anything is written, and each step is undone in reverse, however far it came.
"""

import asyncio
import gc
import getpass
import logging
import os
import resource
import secrets
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AsyncExitStack, suppress
from typing import Final

from msgspec.structs import replace
from starlette.types import ASGIApp

from moduprompt import __version__
from moduprompt.config import Config, ConfigRefused
from moduprompt.daemon.building import (
    begin_comparing,
    build_desk,
    build_hands,
    gather_parts,
    live_runs,
    open_kernel,
    program_path,
)
from moduprompt.daemon.own_files import load_secret, write_daemon_file
from moduprompt.daemon.owning import DRAINING, DataInUse, locked, make_data_folders, make_runtime_folder
from moduprompt.domain.registry import UnreadableEvent
from moduprompt.effects.git.program import GitProgram, git_environment
from moduprompt.effects.notifier import Notifier
from moduprompt.effects.observer import LocalObserver
from moduprompt.kernel.clock import SystemMint
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ledger import ChainBroken
from moduprompt.protocol import EXIT_STATUS, Code
from moduprompt.server.activation import Handed, take_descriptors, take_sockets
from moduprompt.server.app import build_app
from moduprompt.server.doors import Porter, bind_loopback, bind_unix
from moduprompt.server.guard import LoopbackGuard
from moduprompt.server.log_lines import JsonLines
from moduprompt.server.run_doors import RunDoors
from moduprompt.server.starting import StartingApp, open_lobby
from moduprompt.storage.backup_folder import Store
from moduprompt.storage.port import StorageFailed, StorageFull, StorageTooNew
from moduprompt.storage.restoring import finish_restore
from moduprompt.storage.sqlite.inspection import Examined, examine, first_look
from moduprompt.storage.sqlite.worker import SWITCH_S

COLLECT: Final = (
    50_000,
    20,
    50,
)  # what the kernel makes is immutable and without circles: look for those seldom
TOKEN_BYTES: Final = 32
DESCRIPTORS_WANTED: Final = 16_384  # as our unit for systemd has it: two thousand runs, and who watches them

log = logging.getLogger(__name__)


class KernelEnded(Exception):
    """The writer or the timers are gone: nothing that is sent would ever be answered."""


def serve(config: Config, environ: MutableMapping[str, str]) -> int:
    """Run the daemon in the foreground until SIGTERM or SIGINT; gives the exit status.

    What a service manager put into the environment is taken out of it.
    """
    gc.set_threshold(*COLLECT)
    sys.setswitchinterval(SWITCH_S)
    raise_descriptors()
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


def raise_descriptors() -> None:
    """Most shells begin with 1,024 open files, some with 256, and let us have more: a few hundred runs need them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # then starts wait for descriptors sooner
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _serve_locked(config: Config, environ: MutableMapping[str, str]) -> None:
    import uvloop

    notifier = Notifier.take_from(environ, pid=os.getpid())
    handed = take_sockets(take_descriptors(environ, pid=os.getpid()), expected=config.socket)
    make_runtime_folder(config.runtime_dir)
    with locked(config.runtime_lock_file, config=config) as listening:
        make_data_folders(config)
        with locked(config.lock_file, config=config) as owning:
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
        opening = _Opening()
        lobby = await open_lobby(sockets, StartingApp(version=__version__, doing=opening.doing))
        house.push_async_callback(lobby.stop)
        mint = SystemMint(load_secret(config))
        git = GitProgram(environment=git_environment(environ))
        observer = LocalObserver(git, program_path=program_path(environ), capsule_chars_max=config.capsules)
        kernel = await open_kernel(config, house, damaged=damaged, mint=mint, observer=observer)
        opening.kernel = kernel
        parts = gather_parts(config, environ, kernel=kernel, mint=mint, git=git)
        token, porter = secrets.token_urlsafe(TOKEN_BYTES), Porter(kernel.meters)
        app = build_app(build_desk(parts, token=token, draining=stopping, porter=porter))
        hands = build_hands(parts, doors=RunDoors(config.run_sockets_dir, porter=porter, app=app))
        house.push_async_callback(kernel.stop)
        house.push_async_callback(porter.stop)
        watchdog = asyncio.create_task(notifier.watch(kernel.pulse), name="watchdog")
        house.callback(watchdog.cancel)
        if not await _before(kernel.start(owner_name=_owner_name(), hands=hands), stopping):
            return
        parts.memory.expect(live_runs(kernel))
        await lobby.stop()
        # The token before the doors: who is let in while the last daemon's file lies there would be turned away.
        house.callback(config.daemon_file.unlink, missing_ok=True)
        write_daemon_file(config, token=token, sockets=sockets)
        await _open_doors(porter, sockets, app)
        if damaged is None:  # what can't be trusted is compared with nothing
            begin_comparing(parts, house)
        log.info("daemon.ready", extra={"version": __version__, "socket": str(config.socket)})
        notifier.is_ready()
        house.callback(log.info, "daemon.stopping")
        house.callback(kernel.feed.drain)
        house.callback(draining)
        house.callback(notifier.is_stopping)
        if await _before(kernel.until_broken(), stopping):
            stopping.set()
            raise KernelEnded("the kernel's writer has ended")


class _Opening:
    """What is being done before the doors open."""

    kernel: Kernel | None = None

    def doing(self) -> str:
        """In words."""
        folding = None if self.kernel is None else self.kernel.cabinet.folding()
        return "opening the log" if folding is None else f"folding {folding}"


async def _open_doors(porter: Porter, sockets: list[socket.socket], app: ASGIApp) -> None:
    await porter.open(sockets[0], app)
    for tcp in sockets[1:]:
        await porter.open(tcp, LoopbackGuard(app))


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


def _finish_restore(config: Config) -> None:
    """What was decided before somebody died is done before anything is opened."""
    store = Store(log=config.log_db, secret=config.secret_file, artifacts=config.artifacts_dir)
    if (aside := finish_restore(store)) is not None:
        log.warning("restore.finished", extra={"replaced": str(aside)})


def _owner_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        return f"uid {os.getuid()}"


def _fail(message: str, *, hint: str, code: Code) -> int:
    sys.stderr.write(f"error: {message}\nhint: {hint}\n")
    return EXIT_STATUS[code]
