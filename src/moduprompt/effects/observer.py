"""Looks at the world for the commands whose decision depends on it.

A repository is looked at before a project takes it; an agent program is looked for
before a session is spawned on it, so that a missing one is refused with nothing made. How long a capsule may be
is this machine's configuration.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from moduprompt.domain.capsule.commands import CHARS_MAX, CapsuleKind, WriteCapsule
from moduprompt.domain.decider import CapsuleFacts, Command, Observation, RepositoryFacts
from moduprompt.domain.project.commands import AttachRepository, CreateProject
from moduprompt.domain.session.commands import AgentSpec, ForkSession, SpawnSession
from moduprompt.effects.agents.catalogue import ADAPTERS, adapter_named
from moduprompt.effects.agents.port import AgentCommand, AgentRefused, AgentRequest
from moduprompt.effects.git.port import GitRefusal, Worktrees
from moduprompt.protocol import Rejection, invalid


class LocalObserver:
    """An `Observer` of this machine."""

    def __init__(
        self, git: Worktrees, *, program_path: str, capsule_chars_max: Mapping[CapsuleKind, int] = CHARS_MAX
    ) -> None:
        self._git = git
        self._program_path = program_path
        self._capsule_chars_max = {**CHARS_MAX, **capsule_chars_max}

    async def observe(self, command: Command) -> Observation:
        """What was seen, or why not."""
        match command:
            case CreateProject() if command.repository is not None:
                return await self._repository(command.repository)
            case AttachRepository():
                return await self._repository(command.repository)
            case SpawnSession():
                return self._program(command.agent)
            case ForkSession() if command.agent is not None:
                return self._program(command.agent)
            case WriteCapsule():
                return CapsuleFacts(chars_max=self._capsule_chars_max[command.capsule_kind])
            case _:
                return None

    async def _repository(self, path: str) -> Observation:
        seen = await self._git.inspect(path)
        if isinstance(seen, GitRefusal):
            return invalid(seen.reason, seen.message, hint=seen.hint or None, path=seen.path)
        branch = seen.branch or seen.default_branch
        if branch is None:
            return invalid(
                "detached_head",
                f"{seen.path} is on no branch, so there is nothing to merge into",
                hint="check out a branch there first",
                path=seen.path,
            )
        return RepositoryFacts(path=seen.path, branch=branch, head=seen.head, dirty=seen.is_dirty)

    def _program(self, agent: AgentSpec) -> Rejection | None:
        adapter = adapter_named(agent.adapter)
        if adapter is None:
            names = ", ".join(each.name for each in ADAPTERS)
            return invalid(
                "adapter_unknown", f"no adapter is named {agent.adapter}", hint=f"there are: {names}"
            )
        command = adapter.command(AgentRequest(words=agent.argv))
        if isinstance(command, AgentRefused):
            return invalid("agent_spec", command.message, hint=command.hint)
        return self._missing(agent, command)

    def _missing(self, agent: AgentSpec, command: AgentCommand) -> Rejection | None:
        program = command.argv[0]
        is_relative = os.sep in program and not Path(program).is_absolute()
        if not is_relative and shutil.which(program, path=self._program_path) is None:
            return invalid(
                "program_missing",
                f"the agent program {program} was not found, or can't be executed",
                hint="give its full path, or put it on the PATH that the daemon was started with",
                program=program,
            )
        if agent.adapter == "scripted" and not _is_script(agent.argv[0]):
            return invalid(
                "script_missing",
                f"the script {agent.argv[0]} was not found, or is no full path",
                hint="give the full path of a script file; docs/scripted-agent.md describes it",
                path=agent.argv[0],
            )
        return None


def _is_script(path: str) -> bool:
    """A relative path would mean another file here than where the session runs."""
    return Path(path).is_absolute() and Path(path).is_file()
