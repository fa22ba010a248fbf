"""Agent programs: how each is started. An adapter knows one program and says how well it understands it.

A run's environment is exact and declared here: a PATH, a HOME, a language, a terminal, and MP_*. Nothing of
the daemon's own environment leaks, except what the caller passes on by name.
"""

import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from moduprompt.domain.session.commands import AgentSpec
from moduprompt.effects.runner.port import Limits
from moduprompt.scripted import __file__ as scripted_package

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMANDS_DIR_NAME = ".bin"  # in the runs directory; begins with a dot so that it is no run
COMMANDS = ("mpctl",)  # what an agent may call of ours


# Agent programs take 200 to 600 MB and some ten processes, and their tools take more: compilers, test suites.
# These limits end what has run away, on a machine that has others to serve, not what works hard. Silence is
# no reason to end anything.
ANY_PROGRAM = Limits(
    wall_s=24 * 3600.0,  # a keeper whose daemon never returns ends its program then
    memory_bytes_max=8 * 1024**3,
    processes_max=2_048,
    output_bytes_max=4 * 1024**3,  # some days of a busy terminal
)

SMALL_BYTES = (
    24 * 1024**2
)  # an interpreter and its keeper; of a program that we don't know nothing is expected


class AgentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a session wants to run. Paths are absolute."""

    program: tuple[str, ...] = ()
    script: str | None = None
    prompt: str | None = None  # a file with the task's text


class AgentCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What to exec, and the adapter's own variables."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


class AgentRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The request doesn't fit the adapter."""

    message: str
    hint: str


class AgentAdapter(Protocol):
    """One agent program."""

    @property
    def name(self) -> str:
        """As it stands in commands and on the command line."""
        ...

    @property
    def level(self) -> Literal["terminal", "structured"]:
        """`terminal`: we see bytes and processes only. `structured`: we understand what it says."""
        ...

    @property
    def limits(self) -> Limits:
        """What one run of it may take."""
        ...

    @property
    def memory_bytes(self) -> int:
        """What one run of it takes as a rule: so much must be free before it starts."""
        ...

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """How to start it for this request. Pure."""
        ...


class ScriptedAdapter:
    """Our own program that follows a script file; for demos and for people's tests."""

    name = "scripted"
    level: Literal["terminal", "structured"] = "terminal"
    limits = ANY_PROGRAM
    memory_bytes = SMALL_BYTES

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """Our interpreter on the program's folder; without site packages it starts in half the time."""
        if request.script is None:
            return AgentRefused(message="the scripted agent needs a script", hint="pass --script FILE")
        argv = (sys.executable, "-I", "-S", str(Path(scripted_package).parent), request.script)
        return AgentCommand(argv=argv, env=_prompt_variables(request))


class CommandAdapter:
    """Any program. It gets a terminal and the prompt's file name in MP_PROMPT_FILE."""

    name = "command"
    level: Literal["terminal", "structured"] = "terminal"
    limits = ANY_PROGRAM
    memory_bytes = SMALL_BYTES

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """The program as given."""
        if not request.program:
            return AgentRefused(message="no program to run", hint="pass --agent command -- PROGRAM ...")
        return AgentCommand(argv=request.program, env=_prompt_variables(request))


ADAPTERS: tuple[AgentAdapter, ...] = (ScriptedAdapter(), CommandAdapter())


def adapter_named(name: str) -> AgentAdapter | None:
    """The adapter with this name."""
    return next((adapter for adapter in ADAPTERS if adapter.name == name), None)


def to_request(agent: AgentSpec, *, prompt: str | None = None) -> AgentRequest:
    """What an adapter is asked: the program and its words, or the script's path."""
    if agent.adapter == ScriptedAdapter.name:
        return AgentRequest(script=agent.argv[0] if agent.argv else None, prompt=prompt)
    return AgentRequest(program=agent.argv, prompt=prompt)


def run_environment(
    *, home: str, commands_dir: Path, variables: Mapping[str, str], path: str = SYSTEM_PATH
) -> dict[str, str]:
    """The exact environment of a run. `variables` holds the MP_* and the adapter's own, and wins."""
    return {
        "PATH": f"{commands_dir}:{path}",
        "HOME": home,
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        **variables,
    }


def install_commands(runs_dir: Path) -> Path:
    """A directory that holds our `mpctl` and nothing else, to go first in a run's PATH.

    Not the environment's whole bin directory: its `python3` must not shadow the one the repository's own
    tools expect. Safe to repeat; a link to an older installation is replaced.
    """
    directory = runs_dir.absolute() / COMMANDS_DIR_NAME
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in COMMANDS:
        target = Path(sysconfig.get_path("scripts")) / name
        fresh = directory / f".{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(directory / name)
    return directory


def _prompt_variables(request: AgentRequest) -> dict[str, str]:
    return {} if request.prompt is None else {"MP_PROMPT_FILE": request.prompt}
