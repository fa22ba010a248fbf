"""Gemini CLI: headless, one line of JSON for each thing it does.

What was measured of it (version 0.61.0), and what we therefore do:

- `result` says how the turn ended; the exit code is the HTTP status modulo 256 (401 exits with 145), and a stream that
  was cut has ended with 0 and with 1.
- What nobody allowed it is not even offered to its model: the turn is done, with nothing changed.
- It tries again ten times, a minute and more, and says so on standard error only: three times here.
- `GEMINI_CLI_HOME` moves its configuration and conversations as a whole.
- It starts itself again as a child, which a signal to the first one doesn't reach, unless it is told not to.
- A conversation is carried on (`--resume`) from the same directory only, and its name can be chosen.
- A folder that nobody trusted is refused with exit code 55: this one was made for it.
"""

from typing import Final

import msgspec

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    ConversationNamed,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.effects.agents.judging import TURN_RULES, by_turn_and_work
from moduprompt.effects.agents.limits import ONE_PROMPT
from moduprompt.effects.agents.lines import Fields, read_object
from moduprompt.effects.agents.options import Option, UnfitWords, read_options
from moduprompt.effects.agents.port import (
    AgentCommand,
    AgentFile,
    AgentRefused,
    AgentRequest,
    Channel,
    End,
    Heard,
    Level,
    Probes,
    Reach,
    Reader,
    Resuming,
    Verdict,
)
from moduprompt.effects.agents.trouble import failure_of_words

MODES: Final = {"ask": "default", "edits": "auto_edit", "all": "yolo"}
ATTEMPTS_MAX: Final = 3  # of one request; whoever started the run decides about more
SETTINGS: Final = msgspec.json.encode(
    {
        "general": {"enableAutoUpdate": False, "maxAttempts": ATTEMPTS_MAX},
        "privacy": {"usageStatisticsEnabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
    }
)


class GeminiAdapter:
    """`gemini`, one prompt for each run."""

    name = "gemini"
    level: Level = "json"
    limits = ONE_PROMPT
    memory_bytes = 350 * 1024**2  # measured: 350 MB at its peak
    probes: Probes | None = Probes(
        program="gemini",
        version_pinned="0.61.0",
        signed_in=("GEMINI_API_KEY",),
        install="npm install -g @google/gemini-cli",
    )
    resuming = Resuming(
        is_possible=True, is_named_by_us=True, kept_in=".gemini/tmp/*/chats/session-*-{short}.jsonl"
    )
    options: tuple[Option, ...] = (
        Option(name="model", what="the model, by a name that the program knows"),
        Option(
            name="permissions",
            what="what it may do unasked: read, edit, everything",
            values=tuple(MODES),
            default="edits",
        ),
    )
    rules: tuple[str, ...] = TURN_RULES
    variables: tuple[str, ...] = (
        "GEMINI_API_KEY",
        "GEMINI_MODEL",
        "GOOGLE_GEMINI_BASE_URL",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "NODE_EXTRA_CA_CERTS",
    )

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """The prompt from its file, lines of JSON out, a mode that is pinned, a folder of our own."""
        values = read_options(request.words, self.options)
        if isinstance(values, UnfitWords):
            return AgentRefused(message=values.message, hint=values.hint)
        conversation = (
            ("--resume", request.conversation_id)
            if request.conversation_id
            else ("--session-id", request.run_id)
        )
        model = ("--model", values["model"]) if values["model"] else ()
        return AgentCommand(
            argv=(
                "gemini",
                "--output-format",
                "stream-json",
                "--skip-trust",
                "--approval-mode",
                MODES[values["permissions"]],
                *conversation,
                *model,
            ),
            env={
                **request.variables,
                "GEMINI_CLI_HOME": request.home,
                "GEMINI_CLI_NO_RELAUNCH": "true",
            },
            io="pipes",
            stdin="none" if request.prompt_file is None else "file",
            stdin_file=request.prompt_file,
            files=(AgentFile(path=".gemini/settings.json", content=SETTINGS),),
        )

    def reader(self) -> Reader | None:
        """One line for each thing it does."""
        return GeminiReader()

    def channel(self, _request: AgentRequest) -> Channel | None:
        """One prompt for each process."""
        return None

    def reach(self, _words: tuple[str, ...]) -> Reach:
        """One process for each turn: SIGINT ends both, without a word."""
        return Reach()

    def verdict(self, end: End) -> Verdict:
        """What its `result` said, with the worktree; see the module."""
        return by_turn_and_work(end)


class GeminiReader:
    """Each line says all there is to know of it."""

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one line says; nothing where it is none of those that matter."""
        fields = read_object(line)
        if fields is None:
            return ()
        match fields.text("type"):
            case "init":
                return ConversationNamed(conversation_id=fields.mark("session_id")), TurnBegan()
            case "tool_use":
                return (_called(fields),)
            case "tool_result":
                is_done = fields.text("status") == "success"
                return (ToolEnded(call_id=fields.mark("tool_id"), how="done" if is_done else "failed"),)
            case "error":
                message = fields.reason("message") or "it tries again"
                return (TroubleSeen(failure=_failure(message), message=message),)
            case "result":
                return _usage(fields.inner("stats")), *_how_it_ended(fields)
            case _:
                return ()


def _called(fields: Fields) -> ToolCalled:
    return ToolCalled(
        call_id=fields.mark("tool_id"),
        tool=fields.mark("tool_name"),
        arguments_digest=fields.digest("parameters"),
        paths=fields.paths("parameters"),
    )


def _usage(stats: Fields) -> UsageReported:
    return UsageReported(
        input_tokens=stats.count("input_tokens"),
        cached_tokens=stats.count("cached"),
        output_tokens=stats.count("output_tokens"),
    )


def _how_it_ended(fields: Fields) -> tuple[Heard, ...]:
    if fields.text("status") == "success":
        return (TurnEnded(how="done"),)
    message = fields.inner("error").reason("message") or "its turn failed"
    failure = _failure(message)
    return TroubleSeen(failure=failure, message=message, is_final=True), TurnEnded(
        how="failed", failure=failure
    )


def _failure(message: str) -> FailureClass:
    """By its first line: to each 429 it adds advice about quotas. `terminated` is its whole word for a cut stream."""
    first = message.partition("\n")[0]
    return FailureClass.NETWORK if "terminated" in first else failure_of_words(first)
