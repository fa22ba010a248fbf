"""What a run's program is started by: its words, folders, environment, prompt and limits.

Everything follows from the intent and from what lies there, so it is the same after a restart of the daemon: a
channel that is fed a recording with another request would be owed other lines.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec

from moduprompt.domain.run.commands import ReportConversation
from moduprompt.domain.run.intents import KeepRun
from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.agents.port import AgentAdapter, AgentCommand, AgentFile, AgentRefused, AgentRequest
from moduprompt.effects.agents.surroundings import run_environment
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.conversations import Chosen, Ground, choose
from moduprompt.effects.runner.footing import Footings
from moduprompt.effects.runner.homes import Homes
from moduprompt.effects.runner.limiting import limits_for
from moduprompt.effects.runner.telling import Account, told_afresh, told_going_on
from moduprompt.protocol import RunId, TextRef, WorkspaceId

PROMPT_NAME: Final = "prompt.txt"


class Tokens(Protocol):
    """Where a run's token comes from."""

    def run_token(self, workspace_id: WorkspaceId, run_id: RunId) -> str:
        """The same at every asking."""
        ...


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What every run of this daemon gets: declared here, and nothing else of the daemon's."""

    home: str
    path: str
    commands_dir: Path
    variables: Mapping[str, str] = {}  # of the daemon's own: an adapter is given those that it names
    limits: Mapping[str, port.Limits] = {}  # of adapters whose own somebody has overridden


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt in a file of its run."""

    path: str
    text: str


class Launches:
    """How each run of this daemon is started."""

    def __init__(
        self,
        reporter: Reporter,
        *,
        run_dir: Callable[[str], Path],
        artifacts: FolderArtifacts,
        tokens: Tokens,
        surroundings: Surroundings,
        footings: Footings,
    ) -> None:
        self._reporter = reporter
        self._run_dir = run_dir
        self._artifacts = artifacts
        self._tokens = tokens
        self._surroundings = surroundings
        self._footings = footings
        self._requests: dict[str, AgentRequest] = {}  # by which this daemon has started what lives

    def forget(self, run_id: str) -> None:
        """It is over."""
        self._requests.pop(run_id, None)

    async def to_launch(self, intent: KeepRun, *, door: str) -> port.LaunchSpec | port.StartRefused:
        adapter = adapter_named(intent.adapter)
        if adapter is None:
            return _unfit(intent, f"no adapter is named {intent.adapter}")
        if intent.cwd is not None and _is_lost(intent.cwd):
            why = "git there would be another repository's; git worktree repair, in its own, may mend it"
            return _unfit(intent, f"{intent.cwd} is no worktree any more: {why}")
        homes = Homes(self._run_dir(intent.run_id).parent)
        cwd = intent.cwd or str(homes.make_scratch(intent.session_id))
        home = homes.home(intent.session_id)
        chosen = await self._choose(intent, adapter, homes=homes, here=Ground(home=home, cwd=cwd))
        request = await self._request(intent, adapter, cwd=cwd, home=home, chosen=chosen)
        self._requests[intent.run_id] = request
        command = adapter.command(request)
        if isinstance(command, AgentRefused):
            return _unfit(intent, command.message)
        if adapter.reader() is not None:
            await asyncio.to_thread(_place_files, home, command.files)
            await self._footings.note(intent)
        return port.LaunchSpec(
            run_id=intent.run_id,
            argv=command.argv,
            cwd=cwd,
            env=self._environment(intent, command, door=door),
            rows=intent.rows,
            cols=intent.cols,
            limits=limits_for(intent, self._surroundings.limits.get(intent.adapter, adapter.limits)),
            io=command.io,
            stdin=command.stdin,
            stdin_file=command.stdin_file,
            opening=command.opening,
        )

    async def _choose(
        self, intent: KeepRun, adapter: AgentAdapter, *, homes: Homes, here: Ground
    ) -> Chosen | None:
        """Whether a conversation goes on: told before the program starts, and then never chosen again."""
        earlier = intent.earlier
        if earlier is None:
            return None
        if earlier.chosen is not None:
            return Chosen(begun=earlier.chosen, why="", conversation_id=earlier.conversation_id)
        cwd = earlier.cwd or str(homes.scratch(earlier.session_id))
        there = Ground(home=homes.home(earlier.session_id), cwd=cwd)
        chosen = await asyncio.to_thread(choose, adapter, earlier, here=here, there=there)
        told = ReportConversation(
            workspace_id=intent.workspace_id,
            run_id=intent.run_id,
            begun=chosen.begun,
            why=chosen.why,
            conversation_id=chosen.conversation_id,
            capsules=0 if chosen.begun == "carried_on" else len(earlier.capsules),
        )
        await report(self._reporter, told, key=f"run/{intent.run_id}/conversation")
        return chosen

    async def _request(
        self, intent: KeepRun, adapter: AgentAdapter, *, cwd: str, home: Path, chosen: Chosen | None
    ) -> AgentRequest:
        carried_on = chosen.conversation_id if chosen and chosen.begun == "carried_on" else None
        prompt = await self._place_prompt(intent, goes_on=carried_on is not None)
        return AgentRequest(
            words=intent.argv,
            prompt=prompt.text if prompt else None,
            prompt_file=prompt.path if prompt else None,
            run_id=intent.run_id,
            conversation_id=carried_on,
            cwd=cwd,
            home=str(home),
            user_home=self._surroundings.home,
            variables=self._given(adapter),
        )

    def _given(self, adapter: AgentAdapter) -> dict[str, str]:
        known = self._surroundings.variables
        return {name: known[name] for name in adapter.variables if name in known}

    def request_again(self, intent: KeepRun) -> AgentRequest:
        """By which a run was started, also by a daemon before: its prompt lies in the run's file.

        All of it counts: a channel that is fed the recording with another request is owed other lines.
        """
        request = self._requests.get(intent.run_id)
        if request is not None:
            return request
        homes = Homes(self._run_dir(intent.run_id).parent)
        path = self._run_dir(intent.run_id) / PROMPT_NAME
        adapter = adapter_named(intent.adapter)
        return AgentRequest(
            words=intent.argv,
            prompt=path.read_bytes().decode("utf-8", "replace") if path.is_file() else None,
            prompt_file=str(path) if path.is_file() else None,
            run_id=intent.run_id,
            conversation_id=intent.carries_on,
            cwd=intent.cwd or str(homes.scratch(intent.session_id)),
            home=str(homes.home(intent.session_id)),
            user_home=self._surroundings.home,
            variables={} if adapter is None else self._given(adapter),
        )

    def _environment(self, intent: KeepRun, command: AgentCommand, *, door: str) -> dict[str, str]:
        around = self._surroundings
        variables = {
            "MP_SOCKET": door,
            "MP_TOKEN": self._tokens.run_token(intent.workspace_id, intent.run_id),
            "MP_WORKSPACE": intent.workspace_id,
            "MP_PROJECT": intent.project_id,
            "MP_SESSION": intent.session_id,
            "MP_RUN": intent.run_id,
            **command.env,
        }
        return run_environment(
            home=around.home, commands_dir=around.commands_dir, variables=variables, path=around.path
        )

    async def _place_prompt(self, intent: KeepRun, *, goes_on: bool) -> Placed | None:
        text = await self._told(intent, goes_on=goes_on)
        if text is None:
            return None
        folder = self._run_dir(intent.run_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / PROMPT_NAME
        await asyncio.to_thread(path.write_text, text, "utf-8")
        return Placed(path=str(path), text=text)

    async def _told(self, intent: KeepRun, *, goes_on: bool) -> str | None:
        prompt = await self._text(intent, intent.prompt)
        run_prompt = await self._text(intent, intent.run_prompt)
        if goes_on:  # a fork has a task of its own, which its source's conversation has not heard of
            earlier = intent.earlier
            is_own = earlier is not None and earlier.session_id == intent.session_id
            has_heard = earlier is not None and earlier.has_heard
            return told_going_on(None if is_own else prompt, None if has_heard else run_prompt)
        capsules = intent.earlier.capsules if intent.earlier else ()
        accounts = [
            Account(kind=each.kind, text=text)
            for each in capsules
            if (text := await self._text(intent, each.text))
        ]
        return told_afresh(prompt, run_prompt, accounts=accounts)

    async def _text(self, intent: KeepRun, ref: TextRef | None) -> str | None:
        """An artifact's text; one that was erased is empty."""
        if ref is None:
            return None
        content = await self._artifacts.get(intent.workspace_id, ref.ref)
        return (content or b"").decode("utf-8", "replace")


def _is_lost(worktree: str) -> bool:
    """Whether something else lies in its place. One that is not there at all is its keeper's to name."""
    place = Path(worktree)
    return place.is_symlink() or (place.is_dir() and not os.path.lexists(place / ".git"))


def _unfit(intent: KeepRun, why: str) -> port.StartRefused:
    return port.StartRefused(code="bad_spec", message=why, run_id=intent.run_id)


def _place_files(home: Path, files: Iterable[AgentFile]) -> None:
    """An adapter's configuration, in the session's own folder: for our eyes only, since it may hold a key."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in files:
        path = home / file.path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(file.content)
