"""Codex: `codex exec --json`, one line of JSON for each thing it does.

What was measured of it (version 0.169.0), and what we therefore do:

- A turn ends with `turn.completed` or `turn.failed`, and its exit code agrees. An item of type `error` comes with
  every good run of a model that it doesn't know: it is a warning and no failure.
- An `error` line is an attempt that failed; it tries again by itself, and without a server it does so for ever.
- What its sandbox doesn't allow fails like any command, or is told to its model only and in no line at all; the turn
  is done with exit code 0. Where every tool failed and nothing was left, nobody can say whether the job was done.
- `CODEX_HOME` moves its configuration and conversations as a whole.
- `usage` counts from the conversation's beginning, also in a process that carries it on: what the first turn there
  reports has the earlier runs in it, and too much is counted rather than too little.
- It carries a conversation on from any directory, and works in the new one. Names are its own.
- With a pipe left open at its standard input it waits for ever: the prompt comes from a file.
- Its shell tool asks for a login shell unless that is forbidden, and /etc/profile then puts a PATH of its own in
  place of the run's: `mpctl` would not be found.
- Its program is a child of a small one that was started: a signal must reach both.
- `--approve-for-me` lets a model decide about permissions; it is no option here, and nobody is ever asked.
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

SANDBOXES: Final = {
    "ask": ("--sandbox", "read-only"),
    "edits": ("--sandbox", "workspace-write"),
    "all": ("--dangerously-bypass-approvals-and-sandbox",),
}
# Each kind of item that is a tool, with the field that says what it does.
TOOLS: Final = {
    "command_execution": "command",
    "file_change": "changes",
    "mcp_tool_call": "arguments",
    "web_search": "query",
}
ENDS: Final[dict[str, ToolEnd]] = {"completed": "done", "declined": "refused"}
CALLS_MAX: Final = 1_000  # open at once; one that never ends its calls is not remembered for ever
PATHS_SHOWN: Final = 32  # of one change
NEVER_ASKS: Final = 'approval_policy = "never"\n'  # one prompt for each run, and nobody there to answer
CONFIG: Final = """\
allow_login_shell = false
check_for_update_on_startup = false
[features]
plugins = false
apps = false
daemon_auto_start = false
[analytics]
enabled = false
"""
# Of one request: whoever started the run decides about more.
PROVIDER: Final = """\
model_provider = "given"
[model_providers.given]
name = "given"
base_url = {address}
env_key = "CODEX_API_KEY"
wire_api = "responses"
request_max_retries = 2
stream_max_retries = 2
"""


class CodexAdapter:
    """`codex exec`, one prompt for each run."""

    name = "codex"
    level: Level = "json"
    limits = ONE_PROMPT
    memory_bytes = 200 * 1024**2  # measured: 180 MB at its peak
    probes: Probes | None = Probes(
        program="codex",
        version_pinned="0.169.0",
        signed_in=("CODEX_API_KEY", "OPENAI_API_KEY"),
        install="npm install -g @openai/codex",
    )
    resuming = Resuming(is_possible=True, from_anywhere=True, kept_in="sessions/**/rollout-*-{name}.jsonl")
    options: tuple[Option, ...] = (
        Option(name="model", what="the model, by a name that the program knows"),
        Option(
            name="permissions",
            what="what its sandbox lets it do: read, edit in its worktree, everything",
            values=tuple(SANDBOXES),
            default="edits",
        ),
    )
    rules: tuple[str, ...] = (*TURN_RULES, "every_tool_failed")
    variables: tuple[str, ...] = (
        "CODEX_API_KEY",
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
    )

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """The prompt from its file, lines of JSON out, a sandbox that is pinned, a folder of our own."""
        values = read_options(request.words, self.options)
        if isinstance(values, UnfitWords):
            return AgentRefused(message=values.message, hint=values.hint)
        given = dict(request.variables)
        address, key = given.pop("OPENAI_BASE_URL", ""), given.get("OPENAI_API_KEY", "")
        model = ("--model", values["model"]) if values["model"] else ()
        conversation = ("resume", request.conversation_id) if request.conversation_id else ()
        return AgentCommand(
            argv=(
                "codex",
                "exec",
                "--json",
                "--skip-git-repo-check",
                *SANDBOXES[values["permissions"]],
                *model,
                *conversation,
                "-",
            ),
            env={**({"CODEX_API_KEY": key} if key else {}), **given, "CODEX_HOME": request.home},
            io="pipes",
            stdin="none" if request.prompt_file is None else "file",
            stdin_file=request.prompt_file,
            files=(AgentFile(path="config.toml", content=config_for(address, asking=NEVER_ASKS)),),
        )

    def reader(self) -> Reader | None:
        """One line for each thing it does."""
        return CodexReader()

    def channel(self, _request: AgentRequest) -> Channel | None:
        """One prompt for each process."""
        return None

    def reach(self, _words: tuple[str, ...]) -> Reach:
        """One process for each turn: SIGINT ends both, without a word."""
        return Reach()

    def verdict(self, end: End) -> Verdict:
        """How its last turn ended, with the worktree; see the module."""
        verdict = by_turn_and_work(end)
        said, work = end.said, end.work
        is_all_failed = said.tools_called > 0 and said.tools_failed == said.tools_called
        if verdict.outcome != "succeeded" or not is_all_failed or work is None:
            return verdict
        if work.has_changes or work.has_commits:
            return verdict
        evidence = (
            f"its turn was done, but all its {said.tools_failed} tool calls failed and nothing was changed"
        )
        return Verdict(outcome="unclear", rule="every_tool_failed", evidence=evidence)


class CodexReader:
    """Remembers the calls that are open."""

    def __init__(self) -> None:
        self._calls: set[str] = set()
        self._counted = UsageReported()

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one line says; nothing where it is none of those that matter."""
        fields = read_object(line)
        if fields is None:
            return ()
        match fields.text("type"):
            case "thread.started" if fields.text("thread_id"):
                return (ConversationNamed(conversation_id=fields.mark("thread_id")),)
            case "turn.started":
                return (TurnBegan(),)
            case "item.started":
                return self._begun(fields.inner("item"))
            case "item.completed":
                return self._ended(fields.inner("item"))
            case "error":
                return (_trouble(fields),)
            case "turn.completed":
                return self._usage(fields.inner("usage")), TurnEnded(how="done")
            case "turn.failed":
                return _failed(fields.inner("error"))
            case _:
                return ()

    def _begun(self, item: Fields) -> tuple[Heard, ...]:
        call_id, kind = item.mark("id"), item.text("type")
        if kind not in TOOLS or call_id in self._calls:
            return ()
        if len(self._calls) < CALLS_MAX:
            self._calls.add(call_id)
        return (
            ToolCalled(
                call_id=call_id,
                tool=_tool(item),
                arguments_digest=item.digest(TOOLS[kind]),
                paths=_paths(item),
            ),
        )

    def _ended(self, item: Fields) -> tuple[Heard, ...]:
        """Some kinds of items are told only when they are over."""
        if item.text("type") not in TOOLS:
            return ()
        begun = self._begun(item)
        call_id = item.mark("id")
        self._calls.discard(call_id)
        return *begun, ToolEnded(call_id=call_id, how=ENDS.get(item.text("status") or "completed", "failed"))

    def _usage(self, usage: Fields) -> UsageReported:
        """On top of what this process has told."""
        before = self._counted
        self._counted = UsageReported(
            input_tokens=usage.count("input_tokens"),
            cached_tokens=usage.count("cached_input_tokens"),
            output_tokens=usage.count("output_tokens"),
        )
        return UsageReported(
            input_tokens=max(0, self._counted.input_tokens - before.input_tokens),
            cached_tokens=max(0, self._counted.cached_tokens - before.cached_tokens),
            output_tokens=max(0, self._counted.output_tokens - before.output_tokens),
        )


def config_for(address: str, *, asking: str) -> bytes:
    """Its configuration. `address`: of the model's server where it isn't the vendor's; `asking`: whom it asks."""
    provider = PROVIDER.format(address=_quoted(address)) if address else ""
    first, _, tables = provider.partition("[")  # keys of the top level stand before the first table
    return f"{first}{asking}{CONFIG}{f'[{tables}' if tables else ''}".encode()


def _quoted(text: str) -> str:
    """A text of TOML: those of JSON are some."""
    return msgspec.json.encode(text).decode()


def _tool(item: Fields) -> str:
    """The tool's name: of a server's tool both names."""
    if item.text("type") != "mcp_tool_call":
        return item.mark("type")
    return f"{item.mark('server')}.{item.mark('tool')}"[:80]


def _paths(item: Fields) -> tuple[str, ...]:
    paths = (path for change in item.items("changes") for path in change.own_paths())
    return tuple(dict.fromkeys(paths))[:PATHS_SHOWN]


def _trouble(fields: Fields) -> TroubleSeen:
    message = fields.reason("message") or "it tries again"
    return TroubleSeen(failure=_failure(message), message=message)


def _failed(error: Fields) -> tuple[Heard, ...]:
    message = error.reason("message") or "its turn failed"
    failure = _failure(message)
    return TroubleSeen(failure=failure, message=message, is_final=True), TurnEnded(
        how="failed", failure=failure
    )


def _failure(message: str) -> FailureClass:
    """It gives no status, and has a sentence of its own for a fault of the server and for a plan used up."""
    if "usage limit" in message:
        return FailureClass.QUOTA_EXHAUSTED
    if "high demand" in message:
        return FailureClass.NETWORK
    return failure_of_words(message)
