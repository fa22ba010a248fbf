"""opencode: `opencode run --format json`, one line of JSON for each part of a step, when the step is over.

What was measured of it (version 1.18.33), and what we therefore do:

- It prints nothing at all, not even its conversation's name, before its first step is over; there is no last
  line. A step that stops is the end of a turn, an `error` line the end of one that failed.
- On 500, on a stream that is cut and without a server it tries again in silence for more than a minute, and
  then tells its error. So it does on a 429.
- What it may not do unasked it refuses to itself, stops after that step with the reason `tool-calls`, and exits with 0.
- The XDG folders move its configuration and conversations; what it asks outside about models and updates is switched off.
  git in its tools looks there, too, and is led on to its user's own.
- A conversation is carried on (`--session`) from the same directory only: from another one it edits the old.
- With a pipe left open at its standard input it waits for ever: the prompt comes from a file.
"""

from typing import Final

import msgspec

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    ConversationNamed,
    ToolCalled,
    ToolEnd,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.effects.agents.git_home import XDG_FILE, led_home
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
from moduprompt.effects.agents.trouble import failure_of_status, failure_of_words

MODES: Final = {
    "ask": {"edit": "ask", "bash": "ask", "webfetch": "ask"},
    "edits": {"edit": "allow", "bash": "ask", "webfetch": "ask"},
    "all": {"edit": "allow", "bash": "allow", "webfetch": "allow"},
}
# In the error of a tool that was not run.
NOT_ALLOWED: Final = ("rejected permission", "a rule which prevents")


class OpencodeAdapter:
    """`opencode run`, one prompt for each run."""

    name = "opencode"
    level: Level = "json"
    limits = ONE_PROMPT
    memory_bytes = 600 * 1024**2  # measured: 600 MB at its peak
    probes: Probes | None = Probes(
        program="opencode",
        version_pinned="1.18.33",
        signed_in=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"),
        install="npm install -g opencode-ai",
    )
    resuming = Resuming(is_possible=True)
    options: tuple[Option, ...] = (
        Option(name="model", what="the model, as PROVIDER/NAME; of OPENAI_BASE_URL its bare name"),
        Option(
            name="permissions",
            what="what it may do unasked: read, edit, everything",
            values=tuple(MODES),
            default="edits",
        ),
    )
    rules: tuple[str, ...] = (*TURN_RULES, "stopped_at_a_refusal")
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
        """The prompt from its file, lines of JSON out, permissions that are pinned, folders of our own."""
        values = read_options(request.words, self.options)
        if isinstance(values, UnfitWords):
            return AgentRefused(message=values.message, hint=values.hint)
        address = request.variables.get("OPENAI_BASE_URL", "")
        model = values["model"] or request.variables.get("OPENAI_MODEL", "")
        if address and not model:
            return AgentRefused(message="OPENAI_BASE_URL is set, but no model", hint="pass --model NAME")
        config = _config(address, model=model, permissions=MODES[values["permissions"]])
        named = f"given/{model}" if address else model
        return AgentCommand(
            argv=(
                "opencode",
                "run",
                "--format",
                "json",
                *(("--model", named) if named else ()),
                *(("--session", request.conversation_id) if request.conversation_id else ()),
            ),
            env={
                **request.variables,
                "XDG_CONFIG_HOME": f"{request.home}/config",
                "XDG_DATA_HOME": f"{request.home}/data",
                "XDG_STATE_HOME": f"{request.home}/state",
                "XDG_CACHE_HOME": f"{request.home}/cache",
                "OPENCODE_DISABLE_MODELS_FETCH": "1",
                "OPENCODE_DISABLE_AUTOUPDATE": "1",
                "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
                "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
            },
            io="pipes",
            stdin="none" if request.prompt_file is None else "file",
            stdin_file=request.prompt_file,
            files=(
                AgentFile(path="config/opencode/opencode.json", content=config),
                AgentFile(path="config/git/config", content=led_home(request.user_home, files=(XDG_FILE,))),
            ),
        )

    def reader(self) -> Reader | None:
        """Some lines for each step."""
        return OpencodeReader()

    def channel(self, _request: AgentRequest) -> Channel | None:
        """One prompt for each process."""
        return None

    def reach(self, _words: tuple[str, ...]) -> Reach:
        """One process for each turn: SIGINT ends both, without a word."""
        return Reach()

    def verdict(self, end: End) -> Verdict:
        """How its last step ended, with the worktree; see the module."""
        verdict = by_turn_and_work(end)
        if verdict.rule != "turn_not_ended" or not end.said.tools_refused:
            return verdict
        return Verdict(
            outcome="failed",
            failure=FailureClass.PERMISSION_DENIED,
            rule="stopped_at_a_refusal",
            evidence=f"{end.said.tools_refused} tool calls were refused, and it stopped there",
        )


class OpencodeReader:
    """Remembers the conversation's name, and whether a turn is on."""

    def __init__(self) -> None:
        self._conversation_id = ""
        self._is_in_turn = False

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one line says; nothing where it is none of those that matter."""
        fields = read_object(line)
        if fields is None:
            return ()
        part = fields.inner("part")
        match fields.text("type"):
            case "step_start":
                return self._opened(fields)
            case "tool_use":
                return *self._opened(fields), *_used(part)
            case "step_finish":
                return *self._opened(fields), *self._finished(part)
            case "error":
                return *self._opened(fields), *self._failed(fields.inner("error"))
            case _:
                return ()

    def _opened(self, fields: Fields) -> tuple[Heard, ...]:
        heard: list[Heard] = []
        conversation_id = fields.mark("sessionID", otherwise="")
        if conversation_id and conversation_id != self._conversation_id:
            self._conversation_id = conversation_id
            heard.append(ConversationNamed(conversation_id=conversation_id))
        if not self._is_in_turn:
            self._is_in_turn = True
            heard.append(TurnBegan())
        return tuple(heard)

    def _finished(self, part: Fields) -> tuple[Heard, ...]:
        """A step that ends in calls goes on, unless it was the last: then the turn never ends, and that tells."""
        usage = _usage(part)
        reason = part.text("reason")
        if reason in ("tool-calls", ""):
            return (usage,)
        self._is_in_turn = False
        if reason == "stop":
            return usage, TurnEnded(how="done")
        return usage, TurnEnded(how="failed", failure=FailureClass.INVALID_OUTPUT)

    def _failed(self, error: Fields) -> tuple[Heard, ...]:
        self._is_in_turn = False
        data = error.inner("data")
        message = data.reason("message") or error.mark("name", otherwise="its turn failed")
        status = data.count("statusCode")
        failure = failure_of_status(status) if status else failure_of_words(message)
        return TroubleSeen(failure=failure, message=message, is_final=True), TurnEnded(
            how="failed", failure=failure
        )


def _used(part: Fields) -> tuple[Heard, ...]:
    """A call is told when it is over."""
    state = part.inner("state")
    call_id = part.mark("callID")
    called = ToolCalled(
        call_id=call_id,
        tool=part.mark("tool"),
        arguments_digest=state.digest("input"),
        paths=state.paths("input"),
    )
    return called, ToolEnded(call_id=call_id, how=_tool_end(state))


def _tool_end(state: Fields) -> ToolEnd:
    if state.text("status") == "completed":
        return "failed" if state.inner("metadata").count("exit") else "done"
    is_refused = any(words in state.text("error") for words in NOT_ALLOWED)
    return "refused" if is_refused else "failed"


def _usage(part: Fields) -> UsageReported:
    tokens = part.inner("tokens")
    cache = tokens.inner("cache")
    cached = cache.count("read")
    return UsageReported(
        input_tokens=total(tokens.count("input"), cache.count("write"), cached),
        cached_tokens=cached,
        output_tokens=total(tokens.count("output"), tokens.count("reasoning")),
        cost_micros=part.micros("cost") if part.has("cost") else None,
    )


def _config(address: str, *, model: str, permissions: dict[str, str]) -> bytes:
    config: dict[str, object] = {
        "autoupdate": False,
        "share": "disabled",
        "permission": permissions,
    }
    if address:
        config["provider"] = {
            "given": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "given",
                # The key itself stays out of the file.
                "options": {"baseURL": address, "apiKey": "{env:OPENAI_API_KEY}"},
                "models": {model: {}},
            }
        }
    return msgspec.json.encode(config)
