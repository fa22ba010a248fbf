"""Any agent of the Agent Client Protocol v1: lines both ways, several turns in one process, questions that people answer.

A session's words are our own options, then the agent's command line. Those that we know (`acp_agents.py`) are named by their program
alone. To every other program its words are all it gets: no credentials, and its configuration is its user's.

What was measured (gemini 0.61.0, codex-acp 0.16.0, claude-agent-acp 0.49.0), and what we therefore do:

- A turn's end is the answer to its prompt. All three take another prompt after a refused key, a cancel, or a question that
  was answered no.
- Of a question that was answered no claude tells that its call failed, codex ends the turn as `cancelled`, gemini tells
  nothing. A call that was asked about and never heard of again was refused.
- An error is gemini's HTTP status as its code; codex and claude say `-32603` and the status in words.
- Tokens are told by claude and gemini, each in its own place, the cost by claude; codex tells neither.
- At the end of its input gemini ends, and claude; codex-acp stays, and is ended by three words of shell around it.
"""

from collections.abc import Mapping

from moduprompt.domain.failures import FailureClass
from moduprompt.effects.agents.acp_agents import KNOWN, command_line, configuration, known_agent, surroundings
from moduprompt.effects.agents.acp_channel import AcpChannel
from moduprompt.effects.agents.acp_messages import greeting
from moduprompt.effects.agents.judging import TURN_RULES, by_turn_and_work
from moduprompt.effects.agents.limits import ANY_PROGRAM
from moduprompt.effects.agents.options import Option, UnfitWords, read_options
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


class AcpAdapter:
    """Its words are a command line."""

    name = "acp"
    level: Level = "acp"
    limits = ANY_PROGRAM
    memory_bytes = 350 * 1024**2  # gemini's peak, and claude's; codex takes half of it
    probes: Probes | None = None  # any program may stand behind it
    resuming = Resuming(is_possible=True)
    options: tuple[Option, ...] = (
        Option(
            name="turns",
            what="whether it ends after its prompt, or stays for more",
            values=("one", "many"),
            default="one",
        ),
    )
    rules: tuple[str, ...] = (*TURN_RULES, "refused_and_cancelled")
    variables: tuple[str, ...] = tuple(dict.fromkeys(name for known in KNOWN for name in known.variables))

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """The command line as given, on pipes, with the protocol's first line."""
        values, words = self._read(request.words)
        if isinstance(values, UnfitWords):
            return AgentRefused(message=values.message, hint=values.hint)
        if not words:
            known = ", ".join(each.program for each in KNOWN)
            hint = f"pass --agent acp -- PROGRAM ...; known by their names alone: {known}"
            return AgentRefused(message="no agent to run", hint=hint)
        known_one = known_agent(words)
        if known_one is None:
            return AgentCommand(argv=words, io="pipes", stdin="open", opening=greeting())
        return AgentCommand(
            argv=command_line(known_one, words),
            env=surroundings(known_one, request),
            io="pipes",
            stdin="open",
            opening=greeting(),
            files=configuration(known_one, request),
        )

    def reader(self) -> Reader | None:
        """A channel that is asked for nothing."""
        return AcpChannel(AgentRequest(), is_for_one_turn=False, is_onlooker=True)

    def channel(self, request: AgentRequest) -> Channel | None:
        """From the greeting to the last turn."""
        values, _ = self._read(request.words)
        if isinstance(values, UnfitWords):
            return None
        return AcpChannel(request, is_for_one_turn=values["turns"] == "one")

    def reach(self, _words: tuple[str, ...]) -> Reach:
        """The protocol cancels a turn; it has no way for words into one."""
        return Reach(interrupted_by="line")

    def verdict(self, end: End) -> Verdict:
        """Why its last turn stopped, what it was refused, and the worktree."""
        verdict, said = by_turn_and_work(end), end.said
        is_cancelled = said.last_turn is not None and said.last_turn.how == "interrupted"
        if verdict.rule != "turn_failed" or not (is_cancelled and said.tools_refused):
            return verdict
        return Verdict(
            outcome="failed",
            failure=FailureClass.PERMISSION_DENIED,
            rule="refused_and_cancelled",
            evidence=f"{said.tools_refused} tool calls were refused, and its turn was cancelled",
        )

    def _read(self, words: tuple[str, ...]) -> tuple[Mapping[str, str] | UnfitWords, tuple[str, ...]]:
        """Our options, and the command line: it begins with the first word that is none of ours."""
        begins = 0
        while begins < len(words) and words[begins].startswith("--"):
            begins += 1 if "=" in words[begins] else 2
        return read_options(words[:begins], self.options), words[begins:]
