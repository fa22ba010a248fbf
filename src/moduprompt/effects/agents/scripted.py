"""Our own program that follows a script file (docs/scripted-agent.md); for demos and for people's tests."""

import sys
from pathlib import Path

from moduprompt.effects.agents.command import CTRL_C, prompt_variables
from moduprompt.effects.agents.judging import EXIT_CODE_RULES, by_exit_code
from moduprompt.effects.agents.limits import ANY_PROGRAM, SMALL_BYTES
from moduprompt.effects.agents.port import (
    AgentCommand,
    AgentRefused,
    AgentRequest,
    Channel,
    End,
    Level,
    Probes,
    Reach,
    Reader,
    Resuming,
    Verdict,
)
from moduprompt.scripted import __file__ as scripted_package


class ScriptedAdapter:
    """Its one word is the path of its script."""

    name = "scripted"
    level: Level = "terminal"
    limits = ANY_PROGRAM
    memory_bytes = SMALL_BYTES
    probes: Probes | None = None
    resuming = Resuming()
    options = ()
    rules: tuple[str, ...] = EXIT_CODE_RULES
    variables = ()

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """Our interpreter on the program's folder; without site packages it starts in half the time."""
        if not request.words:
            return AgentRefused(message="the scripted agent needs a script", hint="pass --script FILE")
        argv = (sys.executable, "-I", "-S", str(Path(scripted_package).parent), request.words[0])
        return AgentCommand(argv=argv, env=prompt_variables(request))

    def reader(self) -> Reader | None:
        """It prints what its script says: anything."""
        return None

    def channel(self, _request: AgentRequest) -> Channel | None:
        """Its terminal is the only way."""
        return None

    def reach(self, _words: tuple[str, ...]) -> Reach:
        """As any program in a terminal."""
        return Reach(interrupted_by="keys", keys=CTRL_C)

    def verdict(self, end: End) -> Verdict:
        """Its script sets its exit code on purpose."""
        return by_exit_code(end)
