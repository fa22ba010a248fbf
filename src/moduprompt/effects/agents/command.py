"""Any program, as given: in a terminal, with its prompt's file name in MP_PROMPT_FILE."""

from pathlib import PurePosixPath
from typing import Final

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

CTRL_C: Final = b"\x03"
ESCAPE: Final = b"\x1b"
# Their screens say so; Ctrl-C would end some of them.
BY_ESCAPE: Final = frozenset({"claude", "codex", "gemini", "pi", "qwen"})
# A key that ends a turn there (Esc twice) is two keys; one Ctrl-C ends the program.
ENDED_BY_IT: Final = frozenset({"opencode"})


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

    def reach(self, words: tuple[str, ...]) -> Reach:
        """By the key of its program where that is known for one, else by Ctrl-C: SIGINT to what is in the foreground."""
        program = PurePosixPath(words[0]).name if words else ""
        if program in ENDED_BY_IT:
            return Reach()
        return Reach(interrupted_by="keys", keys=ESCAPE if program in BY_ESCAPE else CTRL_C)

    def verdict(self, end: End) -> Verdict:
        """Its exit code is all there is."""
        return by_exit_code(end)


def prompt_variables(request: AgentRequest) -> dict[str, str]:
    """Where a program of no conventions finds its prompt."""
    return {} if request.prompt_file is None else {"MP_PROMPT_FILE": request.prompt_file}
