"""Any program, as given: in a terminal, with its prompt's file name in MP_PROMPT_FILE."""

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
    Reader,
    Resuming,
    Verdict,
)


class CommandAdapter:
    """A program of which nothing is known; its words are its own."""

    name = "command"
    level: Level = "terminal"
    limits = ANY_PROGRAM
    memory_bytes = SMALL_BYTES
    probes: Probes | None = None
    resuming = Resuming()
    options = ()
    rules: tuple[str, ...] = EXIT_CODE_RULES
    variables = ()

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """The program as given."""
        if not request.words:
            return AgentRefused(message="no program to run", hint="pass --agent command -- PROGRAM ...")
        return AgentCommand(argv=request.words, env=prompt_variables(request))

    def reader(self) -> Reader | None:
        """It may print anything."""
        return None

    def channel(self, _request: AgentRequest) -> Channel | None:
        """Its terminal is the only way."""
        return None

    def verdict(self, end: End) -> Verdict:
        """Its exit code is all there is."""
        return by_exit_code(end)


def prompt_variables(request: AgentRequest) -> dict[str, str]:
    """Where a program of no conventions finds its prompt."""
    return {} if request.prompt_file is None else {"MP_PROMPT_FILE": request.prompt_file}
