"""Claude Code: headless, one line of JSON for each thing it does, and lines both ways where it is talked to.

The example to follow for other programs. What was measured of it (version 2.1.197, and 2.1.330 where
they differ), and what we therefore do:

- `result` has `subtype: "success"` also on a refused key: with `is_error: true`. A turn is done only when
  both say so.
- A write that nobody allowed ends with exit code 0 and a `result` of success; `permission_denials` and the
  worktree tell (`judging.by_turn_and_work`).
- `total_cost_usd` counts from the start of the process, `usage` from the start of the turn.
- `init` comes again with every turn of a process, and its `session_id` changes with a fork.
- The name of a conversation can be chosen (`--session-id`) and carried on (`--resume`) from the same
  directory only; choosing one that exists is refused. Its file lies in a folder that is named after the
  directory; a copy in another one's folder is carried on there, and works there.
- `CLAUDE_CONFIG_DIR` moves its configuration and conversations as a whole; nothing is written to HOME.
- With a pipe left open at its standard input it waits three seconds for more: one prompt comes from a file. That is
  how it is started unless its words ask for more turns or for people's answers: it then ends by itself,
  whoever lives or dies meanwhile. Else it is talked to over its control channel (`claude_channel.py`).
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from moduprompt.effects.agents.claude_channel import ClaudeChannel, greeting_line, prompt_line
from moduprompt.effects.agents.claude_reader import ClaudeReader
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

FOLDER_MAX: Final = 200  # characters of a folder that is named after a directory
NO_NAME: Final = re.compile(r"[^a-zA-Z0-9]")
# `auto` and `dontAsk` are left out on purpose: there a model or nobody decides.
MODES: Final = {"ask": "default", "edits": "acceptEdits", "all": "bypassPermissions"}


def folder_of(cwd: str) -> str | None:
    """Where the conversations of a directory lie. Of a long name it keeps the beginning and a digest of its own."""
    folder = NO_NAME.sub("-", cwd)
    return f"projects/{folder}" if len(folder) <= FOLDER_MAX else None


class ClaudeAdapter:
    """`claude -p`: one prompt, or a conversation."""

    name = "claude"
    level: Level = "control"
    limits = ANY_PROGRAM
    memory_bytes = 300 * 1024**2  # measured: 290 MB at its peak
    probes: Probes | None = Probes(
        program="claude",
        version_pinned="2.1.197",
        signed_in=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
        install="npm install -g @anthropic-ai/claude-code",
    )
    resuming = Resuming(
        is_possible=True, is_named_by_us=True, kept_in="projects/*/{name}.jsonl", folder_of=folder_of
    )
    options: tuple[Option, ...] = (
        Option(name="model", what="the model, by a name that the program knows"),
        Option(
            name="permissions",
            what="what it may do unasked: nothing, edits in its worktree, everything",
            values=tuple(MODES),
            default="edits",
        ),
        Option(
            name="asks",
            what="who is asked for the rest: nobody, so that it is refused, or people, by an approval",
            values=("nobody", "people"),
            default="nobody",
        ),
        Option(
            name="turns",
            what="whether it ends after its prompt, or stays for more",
            values=("one", "many"),
            default="one",
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
        asks = ("--permission-prompt-tool", "stdio") if values["asks"] == "people" else ()
        command = AgentCommand(
            argv=(
                "claude",
                "-p",
                "--output-format",
                "stream-json",
                "--verbose",
                "--permission-mode",
                MODES[values["permissions"]],
                *asks,
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
        return _talked_to(command, request) if _is_talked_to(values) else command

    def reader(self) -> Reader | None:
        """One line for each thing it does."""
        return ClaudeReader()

    def channel(self, request: AgentRequest) -> Channel | None:
        """Where it stays for more than its prompt, or asks people."""
        values = read_options(request.words, self.options)
        if isinstance(values, UnfitWords) or not _is_talked_to(values):
            return None
        return ClaudeChannel(is_for_one_turn=values["turns"] == "one")

    def reach(self, words: tuple[str, ...]) -> Reach:
        """Over its channel; with one prompt from a file it ends its turn by SIGINT, says so, and ends with it."""
        values = read_options(words, self.options)
        if isinstance(values, UnfitWords) or not _is_talked_to(values):
            return Reach(interrupted_by="signal")
        return Reach(interrupted_by="line", takes_words=True)

    def verdict(self, end: End) -> Verdict:
        """What its last `result` said, with the worktree; see the module."""
        return by_turn_and_work(end)


def _is_talked_to(values: Mapping[str, str]) -> bool:
    return values["turns"] == "many" or values["asks"] == "people"


def _talked_to(command: AgentCommand, request: AgentRequest) -> AgentCommand:
    """The same, with its standard input open: its prompt is the first line, under the run's name; without one a greeting."""
    opening = (
        greeting_line() if request.prompt is None else prompt_line(request.prompt, prompt_id=request.run_id)
    )
    return replace(
        command,
        argv=(*command.argv, "--input-format", "stream-json", "--replay-user-messages"),
        stdin="open",
        stdin_file=None,
        opening=opening,
    )
