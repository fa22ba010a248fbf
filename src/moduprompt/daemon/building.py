"""Puts the house together: the kernel over its storage, the hands, what the routes share.

With `serving.py` the only place that knows everyone.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final

import msgspec

from moduprompt import __version__
from moduprompt.config import Config
from moduprompt.domain.capsule.commands import CHARS_MAX
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import View
from moduprompt.domain.run.state import RunState
from moduprompt.effects.agents.catalogue import variables_known
from moduprompt.effects.agents.overriding import overridden
from moduprompt.effects.agents.probing import LocalPrograms
from moduprompt.effects.agents.surroundings import SYSTEM_PATH, install_commands
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.artifacts.hand import EraseHand
from moduprompt.effects.artifacts.moving import give_each_its_own
from moduprompt.effects.git.hand import GitHand
from moduprompt.effects.git.program import GitProgram
from moduprompt.effects.observer import LocalObserver
from moduprompt.effects.recovery.books import KernelBooks
from moduprompt.effects.recovery.comparing import Grounds, compare
from moduprompt.effects.recovery.memory import StartMemory
from moduprompt.effects.runner.accounts import Accountant
from moduprompt.effects.runner.admission import LIVE_MAX, Admission, ThisMachine
from moduprompt.effects.runner.answering import Answerer
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.hand import RunHand
from moduprompt.effects.runner.homes_hand import HomesHand
from moduprompt.effects.runner.interrupting import Interrupter
from moduprompt.effects.runner.launching import PROMPT_NAME, Surroundings
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.prompting import Teller
from moduprompt.effects.runner.silences import Silences
from moduprompt.effects.runner.terminals import LocalTerminals
from moduprompt.effects.runner.turns import TurnWatcher
from moduprompt.effects.runner.typist import Typist
from moduprompt.keeper.recording import RECORDING_NAME
from moduprompt.kernel.clock import SystemClock, SystemMint
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ports import Hand
from moduprompt.protocol import RunId, WorkspaceId
from moduprompt.server.desk import Desk
from moduprompt.server.doors import Porter
from moduprompt.server.run_doors import RunDoors
from moduprompt.storage.memory.views import MemoryViews
from moduprompt.storage.sqlite.inspection import Examined
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.safe_log import SafeLog
from moduprompt.storage.sqlite.snapshots import open_snapshots
from moduprompt.storage.sqlite.views import SqliteViews
from moduprompt.views.board import VIEW as BOARD
from moduprompt.views.search import VIEW as SEARCH

ALL_VIEWS: Final[tuple[View, ...]] = (*VIEWS, BOARD, SEARCH)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the hands and the routes are made of."""

    config: Config
    environ: Mapping[str, str]
    kernel: Kernel
    mint: SystemMint
    git: GitProgram
    backend: LocalBackend
    composers: Composers
    memory: StartMemory
    admission: Admission


async def open_kernel(
    config: Config,
    house: AsyncExitStack,
    *,
    damaged: Examined | None,
    mint: SystemMint,
    observer: LocalObserver,
) -> Kernel:
    """Over a store that holds; over a damaged one it reads what is whole and writes nothing."""
    _prepare_types()
    if damaged is not None:
        return _build_safe_kernel(config, damaged, mint=mint, observer=observer)
    return await _build_kernel(config, house, mint=mint, observer=observer)


def _prepare_types() -> None:
    """The rows of views are read in several threads, and msgspec's plan of a type must not be made in two at once."""
    for view in ALL_VIEWS:
        for _, kind in view.collections:
            msgspec.json.Decoder(kind)


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


def gather_parts(
    config: Config, environ: Mapping[str, str], *, kernel: Kernel, mint: SystemMint, git: GitProgram
) -> Parts:
    """All of them, once, around this kernel."""
    return Parts(
        config=config,
        environ=environ,
        kernel=kernel,
        mint=mint,
        git=git,
        backend=_build_backend(config, kernel),
        composers=Composers(),
        memory=StartMemory(version=__version__, clock=SystemClock()),
        admission=_build_admission(config, kernel),
    )


def build_desk(parts: Parts, *, token: str, draining: asyncio.Event, porter: Porter) -> Desk:
    """What the routes share."""
    return Desk(
        kernel=parts.kernel,
        terminals=LocalTerminals(parts.backend, parts.composers),
        start_report=parts.memory,
        owner_token=token,
        version=__version__,
        data_dir=str(parts.config.data_dir),
        pid=os.getpid(),
        draining=draining,
        turnstile=porter.turnstile,
        keeper_links=parts.backend.open_links,
        starts=parts.admission,
        keepers=parts.backend.silences,
        programs=_programs(parts.config, parts.environ),
    )


def _build_backend(config: Config, kernel: Kernel) -> LocalBackend:
    """Where runs are kept, and which keepers do not answer."""
    silences = Silences(clock=SystemClock(), hindered=kernel.hindered)
    return LocalBackend(config.runs_dir, silences=silences)


def _build_admission(config: Config, kernel: Kernel) -> Admission:
    """The queue of starts, with the room that this machine has."""
    live_max = config.live_runs_max or LIVE_MAX
    return Admission(ThisMachine(), clock=SystemClock(), hindered=kernel.hindered, live_max=live_max)


def build_hands(parts: Parts, *, doors: RunDoors) -> tuple[Hand, ...]:
    """Everything that carries out what the kernel intends."""
    config, kernel, backend = parts.config, parts.kernel, parts.backend
    artifacts = FolderArtifacts(config.artifacts_dir)
    artifacts.sweep()
    doors.clear()
    runs = RunHand(
        backend,
        kernel,
        artifacts=artifacts,
        tokens=parts.mint,
        doors=doors,
        surroundings=_surroundings(config, parts.environ),
        clock=SystemClock(),
        witness=parts.memory,
        admission=parts.admission,
        forgets=(parts.composers.forget,),
        trees=parts.git,
        accountant=Accountant(
            kernel,
            artifacts=artifacts,
            places=parts.git,
            chars_max=config.capsules.get("status", CHARS_MAX["status"]),
        ),
        contents=parts.git,
    )
    parts.composers.tell(runs.key_typed)
    teller = Teller(kernel, talk_with=runs.listener.talk_with, speaker=runs.speaker)
    typing = Typist(
        backend,
        kernel,
        artifacts=artifacts,
        typed=runs.look_again,
        composers=parts.composers,
        teller=teller,
    )
    answering = Answerer(kernel, talk_with=runs.listener.talk_with, speaker=runs.speaker)
    interrupting = Interrupter(
        backend, kernel, talk_with=runs.listener.talk_with, speaker=runs.speaker, composers=parts.composers
    )
    eraser = EraseHand(artifacts, run_dir=backend.run_dir, recording=RECORDING_NAME, prompt=PROMPT_NAME)
    git_hand = GitHand(parts.git, kernel, worktrees_dir=config.worktrees_dir)
    homes = HomesHand(kernel, runs_dir=config.runs_dir)
    return runs, typing, answering, interrupting, TurnWatcher(backend, kernel), git_hand, eraser, homes


def _programs(config: Config, environ: Mapping[str, str]) -> LocalPrograms:
    return LocalPrograms(
        path=program_path(environ), variables=_passed_on(environ), limits=overridden(config.limits)
    )


def _passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in variables_known() if name in environ}


def _surroundings(config: Config, environ: Mapping[str, str]) -> Surroundings:
    return Surroundings(
        home=environ.get("HOME") or "/",
        path=program_path(environ),
        commands_dir=install_commands(config.runs_dir),
        variables=_passed_on(environ),
        limits=overridden(config.limits),
    )


def live_runs(kernel: Kernel) -> list[tuple[WorkspaceId, RunId]]:
    """Those that are live in the log, whatever became of their programs."""
    ledgers = kernel.cabinet.ledgers()
    return [
        (each.workspace_id, run.run_id) for each in ledgers for run in each.every(RunState) if run.is_live()
    ]


def begin_comparing(parts: Parts, house: AsyncExitStack) -> None:
    """What the log says against what is there, beside everything else; ends with the house."""
    config = parts.config
    grounds = Grounds(
        runs_dir=config.runs_dir,
        worktrees_dir=config.worktrees_dir,
        run_sockets_dir=config.run_sockets_dir,
    )
    work = compare(parts.memory, KernelBooks(parts.kernel), backend=parts.backend, grounds=grounds)
    house.callback(asyncio.create_task(work, name="compare").cancel)


def program_path(environ: Mapping[str, str]) -> str:
    """Where programs are looked for."""
    return environ.get("PATH") or SYSTEM_PATH
