"""pi: `pi -p --mode json`, one line of JSON for each thing it does, and for each piece of text.

What was measured of it (version 0.73.1), and what we therefore do:

- It exits with 0 whatever happened, also on a refused key: only `stopReason` of its last message tells.
- It has no permissions: it may do everything, so the only mode here says that.
- `agent_end` comes after each attempt, before it is told whether it tries again, and repeats the whole
  conversation in one line of any length: a turn is over with the message that says so.
- A message without a stop reason of its own is told as `stop`: a stream that ended early without an error
  looks like a good end. The worktree is what is left to look at.
- `PI_CODING_AGENT_DIR` moves its configuration and conversations as a whole.
- A conversation is carried on (`--session`) from the same directory only: elsewhere it asks whether to fork, and
  exits with 0 having done nothing. Killed before the first answer it has kept none.
- With a pipe left open at its standard input it waits for ever: the prompt comes from a file.
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
from moduprompt.effects.agents.lines import Fields, read_object, total
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

MS_PER_S: Final = 1_000
SETTINGS: Final = msgspec.json.encode(
    {
        "retry": {"enabled": True, "maxRetries": 2, "baseDelayMs": 1_000}
    }  # whoever started the run decides about more
)
TURN_IS_OVER: Final = ("stop", "length", "aborted")  # `toolUse` goes on, `error` is perhaps tried again


class PiAdapter:
    """`pi -p`, one prompt for each run."""

    name = "pi"
    level: Level = "json"
    limits = ONE_PROMPT
    memory_bytes = 150 * 1024**2  # measured: 140 MB at its peak
    probes: Probes | None = Probes(
        program="pi",
        version_pinned="0.73.1",
        signed_in=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"),
        install="npm install -g @mariozechner/pi-coding-agent",
    )
    resuming = Resuming(is_possible=True, kept_in="sessions/*/*_{name}.jsonl")
    options: tuple[Option, ...] = (
        Option(name="model", what="the model, by a name that the program knows"),
        Option(name="provider", what="whose model, by a name that the program knows"),
        Option(
            name="permissions",
            what="it has none: it may do everything",
            values=("all",),
            default="all",
        ),
    )
    rules: tuple[str, ...] = TURN_RULES
    variables: tuple[str, ...] = (
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_MODEL",
        "GEMINI_API_KEY",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "NODE_EXTRA_CA_CERTS",
    )

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """The prompt from its file, lines of JSON out, a folder of our own, and no questions outside."""
        values = read_options(request.words, self.options)
        if isinstance(values, UnfitWords):
            return AgentRefused(message=values.message, hint=values.hint)
        address = request.variables.get("OPENAI_BASE_URL", "")
        model = values["model"] or request.variables.get("OPENAI_MODEL", "")
        if address and not model:
            return AgentRefused(message="OPENAI_BASE_URL is set, but no model", hint="pass --model NAME")
        provider = "given" if address else values["provider"]
        return AgentCommand(
            argv=(
                "pi",
                "-p",
                "--mode",
                "json",
                *(("--provider", provider) if provider else ()),
                *(("--model", model) if model else ()),
                *(("--session", request.conversation_id) if request.conversation_id else ()),
            ),
            env={
                **request.variables,
                "PI_CODING_AGENT_DIR": request.home,
                "PI_OFFLINE": "1",
                "PI_SKIP_VERSION_CHECK": "1",
            },
            io="pipes",
            stdin="none" if request.prompt_file is None else "file",
            stdin_file=request.prompt_file,
            files=(
                AgentFile(path="settings.json", content=SETTINGS),
                *((AgentFile(path="models.json", content=_models(address, model)),) if address else ()),
            ),
        )

    def reader(self) -> Reader | None:
        """One line for each thing it does."""
        return PiReader()

    def channel(self, _request: AgentRequest) -> Channel | None:
        """One prompt for each process."""
        return None

    def reach(self, _words: tuple[str, ...]) -> Reach:
        """One process for each turn: SIGINT ends both, without a word."""
        return Reach()

    def verdict(self, end: End) -> Verdict:
        """How its last message ended, with the worktree; see the module."""
        return by_turn_and_work(end)


class PiReader:
    """Remembers whether a turn is on: each attempt at it begins anew."""

    def __init__(self) -> None:
        self._is_in_turn = False

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one line says; nothing where it is none of those that matter."""
        fields = read_object(line)
        if fields is None:
            return ()
        match fields.text("type"):
            case "session":
                return (ConversationNamed(conversation_id=fields.mark("id")),)
            case "agent_start" if not self._is_in_turn:
                self._is_in_turn = True
                return (TurnBegan(),)
            case "tool_execution_start":
                return (_called(fields),)
            case "tool_execution_end":
                is_failed = fields.flag("isError")
                call_id = fields.mark("toolCallId")
                return (ToolEnded(call_id=call_id, how="failed" if is_failed else "done"),)
            case "message_end":
                return self._spoken(fields.inner("message"))
            case "auto_retry_start":
                return (_retry(fields),)
            case "auto_retry_end" if not fields.flag("success"):
                return self._gave_up(fields.reason("finalError"))
            case _:
                return ()

    def _spoken(self, message: Fields) -> tuple[Heard, ...]:
        if message.text("role") != "assistant":
            return ()
        reason = message.text("stopReason")
        usage = _usage(message.inner("usage"))
        if reason == "error":
            text = message.reason("errorMessage") or "its model failed"
            return usage, TroubleSeen(failure=_failure(text), message=text)
        if reason in TURN_IS_OVER:
            self._is_in_turn = False
        if reason == "length":
            return usage, TurnEnded(how="failed", failure=FailureClass.INVALID_OUTPUT)
        if reason == "aborted":
            return usage, TurnEnded(how="interrupted")
        return (usage, TurnEnded(how="done")) if reason == "stop" else (usage,)

    def _gave_up(self, message: str) -> tuple[Heard, ...]:
        self._is_in_turn = False
        failure = _failure(message)
        return TroubleSeen(failure=failure, message=message or "it gave up", is_final=True), TurnEnded(
            how="failed", failure=failure
        )


def _models(address: str, model: str) -> bytes:
    provider = {
        "baseUrl": address,
        "api": "openai-completions",
        "apiKey": "OPENAI_API_KEY",  # the variable's name: the key itself stays out of the file
        "models": [{"id": model}],
    }
    return msgspec.json.encode({"providers": {"given": provider}})


def _called(fields: Fields) -> ToolCalled:
    return ToolCalled(
        call_id=fields.mark("toolCallId"),
        tool=fields.mark("toolName"),
        arguments_digest=fields.digest("args"),
        paths=fields.paths("args"),
    )


def _usage(usage: Fields) -> UsageReported:
    cached, cost = usage.count("cacheRead"), usage.inner("cost")
    return UsageReported(
        input_tokens=total(usage.count("input"), usage.count("cacheWrite"), cached),
        cached_tokens=cached,
        output_tokens=usage.count("output"),
        cost_micros=cost.micros("total") if cost.has("total") else None,
    )


def _retry(fields: Fields) -> TroubleSeen:
    message = fields.reason("errorMessage") or "it tries again"
    return TroubleSeen(
        failure=_failure(message),
        message=message,
        retry_after_s=-(-fields.count("delayMs") // MS_PER_S),
    )


def _failure(message: str) -> FailureClass:
    """`terminated` is its whole word for a stream that was cut."""
    return FailureClass.NETWORK if message == "terminated" else failure_of_words(message)
