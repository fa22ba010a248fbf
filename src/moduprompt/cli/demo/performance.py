"""`mpctl demo`: sets the stage, shows the play as it happens, and closes with a report."""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self, TextIO

from moduprompt.cli.call import Call
from moduprompt.cli.demo.closing import Report, our_mpctl, to_report, to_text
from moduprompt.cli.demo.follower import Follower
from moduprompt.cli.demo.permissions import Permissions
from moduprompt.cli.demo.play import Cast, Outcome, Play, call_mpctl
from moduprompt.cli.demo.repository import Ground, clone, inspect, own_repository, project_name
from moduprompt.cli.faults import CallFailed, failed, misused
from moduprompt.cli.live.shows import Show, open_show
from moduprompt.cli.live.story import Story
from moduprompt.client import Client
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.session.commands import AgentSpec
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.effects.agents.catalogue import ADAPTERS, adapter_named
from moduprompt.effects.agents.port import AgentRefused, AgentRequest
from moduprompt.effects.git.program import GitProgram
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Code,
    EventEnvelope,
    ProjectId,
    WorkspaceId,
    decode_event,
    encode,
)
from moduprompt.views.board import Board
from moduprompt.views.board_rows import short

EVENTS_NAME = "events.ndjson"


async def demo(call: Call) -> None:
    """The whole of it. Raises CallFailed."""
    if call.is_in_run:
        raise misused("mpctl demo is for people, not for agents", hint="run it outside a session's worktree")
    agent = _agent(call)
    source, allow_dirty = _source(call)
    git = GitProgram(environment=_git_environment(call))
    seen = await inspect(git, source, allow_dirty=allow_dirty)
    client = await call.client()
    await _check_agent(call, client, agent)
    ready = await client.ready()
    folder = _new_folder(Path(ready.data_dir) / "demo")
    ground = await clone(git, seen, into=folder / "repository")
    name = project_name(seen.path)
    cast = await _cast(call, client, ground=ground, folder=folder, name=name, agent=agent)
    recorded = folder / EVENTS_NAME
    with recorded.open("wb") as kept:
        follower = Follower(client, cast.workspace_id, kept=kept)
        outcome = await _performed(call, client, follower, cast=cast)
    report, text = await _closing(
        follower, outcome, cast=cast, data_dir=Path(ready.data_dir), recorded=recorded
    )
    call.show(encode(report), text)


async def _performed(call: Call, client: Client, follower: Follower, *, cast: Cast) -> Outcome:
    """The play, shown while it goes on. Who breaks it off is told where its agents are."""
    try:
        return await _shown(call, client, follower, cast=cast)
    except asyncio.CancelledError:  # when the picture has left the terminal: what stood on it goes with it
        _tell(f"interrupted; the agents go on: {our_mpctl()} session tree -w {short(cast.workspace_id)}")
        raise


async def _shown(call: Call, client: Client, follower: Follower, *, cast: Cast) -> Outcome:
    show: Show = _Silent() if call.is_json else open_show(_stream(), call.environ)
    flags = _flags(call, cast.workspace_id)

    async def say(words: Sequence[str]) -> None:
        await call_mpctl(words, flags=flags)

    play = Play(client, follower, cast=cast, say=say)
    asked = Permissions(follower, allows=call.words.is_set("allow"), say=say, tell=_tell)
    attending = asyncio.create_task(asked.attend(), name="attend")
    showing = asyncio.create_task(follower.show(show), name="show")
    playing = asyncio.create_task(play.perform(), name="play")
    try:
        ended, _ = await asyncio.wait({showing, playing, attending}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            for task in ended:
                task.result()
            raise failed(
                Code.UNAVAILABLE,
                "the event stream ended before the demo did",
                hint=f"the agents go on: {our_mpctl()} session tree -w {short(cast.workspace_id)}",
            )
        return playing.result()
    finally:
        for task in (playing, showing, attending):
            task.cancel()
        await asyncio.gather(playing, showing, attending, return_exceptions=True)


async def _cast(
    call: Call, client: Client, *, ground: Ground, folder: Path, name: str, agent: AgentSpec | None
) -> Cast:
    made = await client.submit(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name=f"demo {folder.name}"))
    workspace_id = WorkspaceId(decode_event(made.events[0]).workspace_id)
    created = await client.submit(CreateProject(workspace_id=workspace_id, name=name, repository=ground.path))
    scripts_dir = folder / "scripts"
    scripts_dir.mkdir(mode=0o700, exist_ok=True)
    return Cast(
        workspace_id=workspace_id,
        project_id=ProjectId(decode_event(created.events[0]).subject.id),
        ground=ground,
        scripts_dir=scripts_dir,
        agent=agent,
        prompt=call.words.maybe("prompt"),
        is_watched=not call.is_json and _stream().isatty(),
    )


async def _closing(
    follower: Follower, outcome: Outcome, *, cast: Cast, data_dir: Path, recorded: Path
) -> tuple[Report, str]:
    """The report, and its text. Both are made from the events as they were kept."""
    board = await asyncio.to_thread(_board_of, recorded)
    report = await to_report(
        follower, outcome, cast=cast, counts=board.counts, data_dir=data_dir, recorded=recorded
    )
    return report, to_text(report, board)


def _board_of(recorded: Path) -> Board:
    story = Story()
    for line in recorded.read_bytes().splitlines():
        story.tell(decode_event(line))
    return story.scene().board


def _new_folder(demos: Path) -> Path:
    """The next free number; making it is what takes it."""
    number = 1
    while True:
        try:
            (demos / str(number)).mkdir(mode=0o700, parents=True)
        except FileExistsError:
            number += 1
        else:
            return demos / str(number)


def _agent(call: Call) -> AgentSpec | None:
    """What stands behind `--agent NAME -- WORD …`; None for our own agent, which plays by scripts."""
    words = call.words.program()
    name = call.words.maybe("agent") or "scripted"
    if adapter_named(name) is None:
        known = ", ".join(adapter.name for adapter in ADAPTERS)
        raise misused(f"there is no agent {name}", hint=f"there are: {known}")
    if name == "command":
        return AgentSpec(adapter=name, argv=_program(call, words))
    if name != "scripted":
        return AgentSpec(adapter=name, argv=words)
    if words or call.words.maybe("prompt"):
        hint = "mpctl demo --agent command -- PROGRAM …, or --agent NAME --prompt TEXT"
        raise misused("the scripted agent takes no program and no prompt of yours", hint=hint)
    return None


def _program(call: Call, words: tuple[str, ...]) -> tuple[str, ...]:
    """The command line, its program by its full path."""
    if not words:
        raise misused("--agent command needs a program", hint="mpctl demo --agent command -- PROGRAM …")
    return (str(Path(_found(call, words[0])).absolute()), *words[1:])


async def _check_agent(call: Call, client: Client, agent: AgentSpec | None) -> None:
    """Raises CallFailed for what the daemon would refuse too, when a workspace and a clone are there already."""
    adapter = adapter_named(agent.adapter) if agent is not None else None
    if agent is None or adapter is None:
        return
    command = adapter.command(AgentRequest(words=agent.argv))
    if isinstance(command, AgentRefused):
        raise misused(command.message, hint=command.hint)
    if adapter.probes is None:
        _found(call, command.argv[0])
        return
    every = (await client.agents()).items  # as the daemon finds them
    missing = next((each for each in every if each.name == adapter.name and each.path is None), None)
    if missing is not None:
        raise _not_found(command.argv[0], hint=f"{missing.install}; mpctl agents doctor {adapter.name}")


def _found(call: Call, program: str) -> str:
    path = shutil.which(program, path=call.environ.get("PATH"))
    if path is None:
        raise _not_found(program, hint="give its full path, or put it on the PATH")
    return path


def _not_found(program: str, *, hint: str) -> CallFailed:
    return failed(
        Code.VALIDATION_FAILED,
        f"the agent program {program} was not found, or can't be executed",
        hint=hint,
        details={"reason": "program_missing", "program": program},
    )


def _source(call: Call) -> tuple[str, bool]:
    """Which repository, and whether what is uncommitted in it may be left out."""
    given = call.words.maybe("repo")
    if given is not None:
        return str(Path(given).expanduser().absolute()), call.words.is_set("allow_dirty")
    own = own_repository()
    if own is None:
        raise failed(
            Code.VALIDATION_FAILED,
            "this installation is not run from a clone of the project",
            hint="name any git repository: mpctl demo --repo PATH",
            details={"reason": "no_repository"},
        )
    return str(own), True  # its developer's unfinished work is no reason not to show what is committed


def _flags(call: Call, workspace_id: WorkspaceId) -> tuple[str, ...]:
    config = call.config
    return (
        "--workspace",
        workspace_id,
        "--data-dir",
        str(config.data_dir),
        "--runtime-dir",
        str(config.runtime_dir),
        "--db",
        str(config.log_db),
    )


def _git_environment(call: Call) -> dict[str, str]:
    names = ("PATH", "HOME", "XDG_CONFIG_HOME")
    return {name: call.environ[name] for name in names if name in call.environ}


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _stream() -> TextIO:
    return sys.stdout


class _Silent:
    """Shows nothing: `--json` prints one document and nothing else."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def tell(self, envelope: EventEnvelope) -> None:
        """Nothing."""

    def refresh(self) -> None:
        """Nothing."""
