"""Claude Code: headless, one line of JSON for each thing it does.

The example to follow for other programs. What was measured of it (version 2.1.197, and 2.1.330 where
they differ), and what we therefore do:

- `result` has `subtype: "success"` also on a refused key: with `is_error: true`. A turn is done only when
  both say so.
- A write that nobody allowed ends with exit code 0 and a `result` of success; `permission_denials` and the
  worktree tell (`judging.by_turn_and_work`).
- `total_cost_usd` counts from the start of the process, `usage` from the start of the turn.
- `init` comes again with every turn of a process, and its `session_id` changes with a fork.
- The name of a conversation can be chosen (`--session-id`) and carried on (`--resume`) from the same
  directory only; choosing one that exists is refused.
- `CLAUDE_CONFIG_DIR` moves its configuration and conversations as a whole; nothing is written to HOME.
- With a pipe left open at its standard input it waits three seconds for more: the prompt comes from a file.
"""

from typing import Final

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
from moduprompt.effects.agents.limits import ANY_PROGRAM
from moduprompt.effects.agents.lines import Fields, read_object
from moduprompt.effects.agents.options import Option, UnfitWords, read_options
from moduprompt.effects.agents.port import (
    AgentCommand,
    AgentRefused,
    AgentRequest,
    Channel,
    End,
    Heard,
    Level,
    Probes,
    Reader,
    Resuming,
    Verdict,
)
from moduprompt.effects.agents.trouble import failure_of_status, failure_of_words

# Programs have a few calls open at once; one that never ends its calls is not remembered for ever.
CALLS_MAX: Final = 1_000
# Begins the result of a tool that was not run because nobody allowed it.
NOT_ALLOWED: Final = ("Claude requested permissions", "Permission to use", "The user doesn't want to proceed")
# `auto` and `dontAsk` are left out on purpose: there a model or nobody decides.
MODES: Final = {"ask": "default", "edits": "acceptEdits", "all": "bypassPermissions"}


class ClaudeAdapter:
    """`claude -p`, one prompt for each run."""

    name = "claude"
    level: Level = "json"
    limits = ANY_PROGRAM
    memory_bytes = 300 * 1024**2  # measured: 290 MB at its peak
    probes: Probes | None = Probes(
        program="claude",
        version_pinned="2.1.197",
        signed_in=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
        install="npm install -g @anthropic-ai/claude-code",
    )
    resuming = Resuming(is_possible=True, is_named_by_us=True)
    options: tuple[Option, ...] = (
        Option(name="model", what="the model, by a name that the program knows"),
        Option(
            name="permissions",
            what="what it may do unasked: nothing, edits in its worktree, everything",
            values=tuple(MODES),
            default="edits",
        ),
    )
    rules: tuple[str, ...] = TURN_RULES
    variables: tuple[str, ...] = (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "CLAUDE_CODE_OAUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_MODEL",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "NODE_EXTRA_CA_CERTS",
        "CLAUDE_CODE_MAX_RETRIES",
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
                "claude",
                "-p",
                "--output-format",
                "stream-json",
                "--verbose",
                "--permission-mode",
                MODES[values["permissions"]],
                *conversation,
                *model,
            ),
            env={
                **request.variables,
                "CLAUDE_CONFIG_DIR": request.home,
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "DISABLE_AUTOUPDATER": "1",
                "IS_SANDBOX": "1",  # without it `all` is refused to root; it switches nothing else
            },
            io="pipes",
            stdin="none" if request.prompt_file is None else "file",
            stdin_file=request.prompt_file,
        )

    def reader(self) -> Reader | None:
        """One line for each thing it does."""
        return ClaudeReader()

    def channel(self, _request: AgentRequest) -> Channel | None:
        """One prompt for each process."""
        return None

    def verdict(self, end: End) -> Verdict:
        """What its last `result` said, with the worktree; see the module."""
        return by_turn_and_work(end)


class ClaudeReader:
    """Remembers the conversation's name, the calls that are open, and what was counted before."""

    def __init__(self) -> None:
        self._conversation_id = ""
        self._is_in_turn = False
        self._calls: set[str] = set()
        self._refused: set[str] = set()
        self._cost_micros = 0

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one line says; nothing where it is none of those that matter."""
        fields = read_object(line)
        if fields is None:
            return ()
        match fields.text("type"), fields.text("subtype"):
            case "system", "init":
                return self._init(fields)
            case "system", "api_retry":
                return (_retry(fields),)
            case "assistant", _:
                return self._calls_in(fields.inner("message"))
            case "user", _:
                return self._results_in(fields.inner("message"))
            case "result", _:
                return self._result(fields)
            case _:
                return ()

    def _init(self, fields: Fields) -> tuple[Heard, ...]:
        heard: list[Heard] = []
        conversation_id = fields.mark("session_id", otherwise="")
        if conversation_id and conversation_id != self._conversation_id:
            self._conversation_id = conversation_id
            heard.append(ConversationNamed(conversation_id=conversation_id))
        if not self._is_in_turn:
            self._is_in_turn = True
            heard.append(TurnBegan())
        return tuple(heard)

    def _calls_in(self, message: Fields) -> tuple[Heard, ...]:
        return tuple(
            self._called(item) for item in message.items("content") if _is_new_call(item, self._calls)
        )

    def _called(self, item: Fields) -> ToolCalled:
        call_id = item.mark("id")
        if len(self._calls) < CALLS_MAX:
            self._calls.add(call_id)
        return ToolCalled(
            call_id=call_id,
            tool=item.mark("name"),
            arguments_digest=item.digest("input"),
            paths=item.paths("input"),
        )

    def _results_in(self, message: Fields) -> tuple[Heard, ...]:
        return tuple(
            self._ended(item) for item in message.items("content") if item.text("type") == "tool_result"
        )

    def _ended(self, item: Fields) -> ToolEnded:
        call_id = item.mark("tool_use_id")
        self._calls.discard(call_id)
        if not item.flag("is_error"):
            return ToolEnded(call_id=call_id, how="done")
        if not item.text("content").startswith(NOT_ALLOWED):
            return ToolEnded(call_id=call_id, how="failed")
        return self._not_allowed(call_id)

    def _not_allowed(self, call_id: str) -> ToolEnded:
        if len(self._refused) < CALLS_MAX:
            self._refused.add(call_id)
        return ToolEnded(call_id=call_id, how="refused")

    def _result(self, fields: Fields) -> tuple[Heard, ...]:
        # Denials that its tool results didn't show are told here: a headless turn ends well without them.
        denied = [item.mark("tool_use_id") for item in fields.items("permission_denials")]
        unseen = [self._not_allowed(call_id) for call_id in denied if call_id not in self._refused]
        self._is_in_turn = False
        self._calls.clear()
        self._refused.clear()
        return (*unseen, self._usage(fields), *_how_it_ended(fields))

    def _usage(self, fields: Fields) -> UsageReported:
        usage = fields.inner("usage")
        cached = usage.count("cache_read_input_tokens")
        before, self._cost_micros = self._cost_micros, fields.micros("total_cost_usd")
        return UsageReported(
            input_tokens=usage.count("input_tokens") + usage.count("cache_creation_input_tokens") + cached,
            cached_tokens=cached,
            output_tokens=usage.count("output_tokens"),
            cost_micros=max(0, self._cost_micros - before),
        )


def _is_new_call(item: Fields, known: set[str]) -> bool:
    return item.text("type") == "tool_use" and item.mark("id") not in known


def _retry(fields: Fields) -> TroubleSeen:
    return TroubleSeen(
        failure=failure_of_status(fields.count("error_status")),
        message=fields.reason("error") or "it tries again",
        retry_after_s=-(-fields.count("retry_delay_ms") // 1000),
    )


def _how_it_ended(fields: Fields) -> tuple[Heard, ...]:
    if fields.text("subtype") == "success" and not fields.flag("is_error"):
        return (TurnEnded(how="done"),)
    if fields.text("terminal_reason").startswith("aborted"):
        return (TurnEnded(how="interrupted"),)
    failure = _failure(fields)
    message = fields.reason("result") or fields.reason("subtype") or "its turn failed"
    return TroubleSeen(failure=failure, message=message, is_final=True), TurnEnded(
        how="failed", failure=failure
    )


def _failure(fields: Fields) -> FailureClass:
    if fields.has("api_error_status"):
        return failure_of_status(fields.count("api_error_status"))
    if fields.text("subtype") == "error_max_budget_usd":
        return FailureClass.BUDGET_EXCEEDED
    return failure_of_words(fields.text("result"))
