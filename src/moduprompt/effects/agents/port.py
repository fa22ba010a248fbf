"""What the daemon asks of an adapter, and what an adapter knows about its program.

An adapter is pure: it turns values into values and touches nothing. The daemon places its files,
starts its command, feeds its reader and carries out its verdict. To add a program, write one file
here with one class, and put it into the catalogue; `claude.py` is the example to follow.

What every adapter promises (tests/unit/effects/agents/test_catalogue.py):

- **It states its level** and pretends nothing above it.
- **It pins the decision about permissions**: a mode in which a model decides is never on, and a
  word that is not among its options is refused, so nobody can switch one on by the way.
- **Its configuration is its own**: files go into a folder made for the session, named to the program
  by the program's own variable for that. The user's own configuration is neither read nor written.
- **Its reader never raises**, whatever the program prints, and holds a bounded amount of memory.
- **Its verdict never trusts the exit code alone**: what the program said, how it ended, and what
  it left in the worktree are judged together, by a rule with a name.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ExitHow, TurnAbility
from moduprompt.domain.run.said import Mark, PermissionAsked, Said
from moduprompt.effects.agents.limits import Limits
from moduprompt.effects.agents.options import Option
from moduprompt.effects.agents.summary import Summary

Level: TypeAlias = Literal["control", "acp", "json", "hooks", "terminal"]
"""How well a program is understood, best first; LEVELS says what each means."""

LEVELS: Final[Mapping[Level, str]] = MappingProxyType(
    {
        "control": "it speaks lines both ways: several turns, permission prompts, interrupts",
        "acp": "it speaks the Agent Client Protocol: several turns, permission prompts, interrupts",
        "json": "it tells what it does in lines, and takes one prompt",
        "hooks": "it has a terminal, and calls us at certain moments",
        "terminal": "it has a terminal: bytes and processes are all that is seen of it",
    }
)

Io: TypeAlias = Literal["terminal", "pipes"]
Stdin: TypeAlias = Literal["none", "file", "open"]
"""In a terminal always `none`. Over pipes: nothing (/dev/null), a file (the prompt), or a pipe of ours.

Never leave a pipe open to a program that doesn't take its prompts from it: three of them wait for its
end for ever.
"""


class AgentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a session wants to run. Paths are absolute.

    When it is only asked whether a program could be started, prompt and places are left at their defaults.
    """

    words: tuple[str, ...] = ()  # as the session names them: options of the adapter, or a whole command line
    prompt: str | None = None  # the session's first prompt; None where it has none, or the run carries on
    prompt_file: str | None = None  # the same in a file of the run
    run_id: str = (
        "00000000-0000-7000-8000-000000000000"  # a UUID: the name of a conversation that begins here
    )
    conversation_id: str | None = None  # the conversation to carry on, as the program named it
    cwd: str = "/"
    home: str = "/"  # the session's private folder for this program's configuration and conversations
    user_home: str = ""  # the HOME of whoever runs the daemon; empty where it isn't known
    variables: Mapping[str, str] = {}  # of `AgentAdapter.variables`, those that the daemon was given


class AgentFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be there before the program starts. `path` lies below the request's `home`."""

    path: str
    content: bytes


class AgentCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What to exec, with what around it. `env` holds the adapter's own variables only.

    `opening`: what is written to an open standard input first, once, before anything else.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = {}
    io: Io = "terminal"
    stdin: Stdin = "none"
    stdin_file: str | None = None
    opening: bytes = b""
    files: tuple[AgentFile, ...] = ()


class AgentRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The request doesn't fit the adapter."""

    message: str
    hint: str


class Probes(msgspec.Struct, frozen=True, kw_only=True):
    """How to learn whether the program is here. `program`: its name on the PATH.

    `version`: words after it that print a version and do nothing else. `signed_in`: it can reach its
    model when one of these variables is there; empty where nothing can be said.
    """

    program: str
    version: tuple[str, ...] = ("--version",)
    version_pinned: str | None = None  # the one our tests ran against; others may work
    signed_in: tuple[str, ...] = ()
    install: str = ""  # a line for a person


class Resuming(msgspec.Struct, frozen=True, kw_only=True):
    """Whether and from where a conversation can be carried on after its program ended.

    `from_anywhere`: also in another directory; most refuse that, and one edits the old one.
    `is_named_by_us`: the name can be chosen before the start, so that it is known after any crash.
    `kept_in`: the file that holds it, as a pattern below the home, with `{name}` or its first eight characters
    `{short}`; empty where nobody can look. `folder_of`: where below the home the conversations of a directory
    lie, when one that is copied there is carried on in that directory.
    """

    is_possible: bool = False
    from_anywhere: bool = False
    is_named_by_us: bool = False
    kept_in: str = ""
    folder_of: Callable[[str], str | None] | None = None


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn that runs is reached, with its program left alive.

    `interrupted_by`: a `line` of its channel; `keys` into its terminal, which do no harm where no turn is on; or a `signal`,
    SIGINT, where the program ends its turn by it and says so. None: it can't be ended alone. `takes_words`: its channel takes
    a prompt for the turn that runs.
    """

    interrupted_by: Literal["line", "keys", "signal"] | None = None
    keys: bytes = b""
    takes_words: bool = False

    def abilities(self) -> tuple[TurnAbility, ...]:
        """The same, as the log holds it."""
        interrupt: tuple[TurnAbility, ...] = ("interrupt",) if self.interrupted_by else ()
        return (*interrupt, "steer") if self.takes_words else interrupt


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A permission prompt, with what only its reader knows.

    `text`: what the program wants to do, for the person who answers; it becomes an artifact. `answers`: the
    bytes that each option stands for, by the option's id, ready for standard input.
    """

    said: PermissionAsked
    text: str
    answers: Mapping[str, bytes]


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """A line for the program's standard input that nobody decides about: a step of a handshake, a polite no.

    It is sent at most once for each name and run. A channel that is fed again says the same under the same name.
    """

    name: Mark
    line: bytes


class InputOver(msgspec.Struct, frozen=True, kw_only=True):
    """The program shall read the end of its input: nothing more will be said to it. Saying it twice is fine."""


Heard: TypeAlias = Said | Asked | Owed | InputOver


class Reader(Protocol):
    """Understands one run's output. It may remember; a new one is fed from the first byte again."""

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one whole line says, without its line end; nothing where it isn't understood. Never raises.

        Lines come in order, each once, at most LINE_BYTES_MAX (listening.py) long, in any encoding.
        """
        ...


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a run left in its worktree."""

    has_changes: bool  # not committed
    has_commits: bool  # that were not there when the run began


class End(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a verdict may look at. `work` is None where the run had no worktree."""

    said: Summary
    how: ExitHow
    code: int | None = None
    signal: int | None = None
    work: Work | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the job was done, by which rule, on what evidence. `unclear`: nobody can say; a person looks."""

    outcome: Literal["succeeded", "failed", "unclear"]
    rule: str
    evidence: str
    failure: FailureClass | None = None


class Channel(Reader, Protocol):
    """Understands one run's output, and knows what to write to its standard input: of level `control` or `acp`.

    What it gives is whole lines, made from the lines it has read and the arguments alone, so a fresh one that
    has read the same gives the same. It is told of nothing that was sent: what was sent shows in what
    the program prints. Answers to permission prompts come with the prompt (`Asked`), and what is
    due without anybody's word as `Owed`. The first line of all is the command's `opening`.
    """

    def say(self, text: str, *, prompt_id: str, is_steering: bool = False) -> bytes | None:
        """A prompt; None where the program takes none now: it is not ready, or in a turn.

        `is_steering`: for the turn that runs; None where it can't. `prompt_id` is a UUID, the name to
        give it where the program repeats names. The same prompt is the same bytes whenever it is asked for.
        """
        ...

    def interrupt(self, *, request_id: str) -> bytes | None:
        """End the turn, the program stays; None where there is no turn that could be ended."""
        ...


class AgentAdapter(Protocol):
    """One agent program."""

    @property
    def name(self) -> str:
        """As it stands in commands and on the command line."""
        ...

    @property
    def level(self) -> Level:
        """How well it is understood."""
        ...

    @property
    def limits(self) -> Limits:
        """What one run of it may take."""
        ...

    @property
    def memory_bytes(self) -> int:
        """What one run of it takes as a rule: so much must be free before it starts."""
        ...

    @property
    def probes(self) -> Probes | None:
        """How to learn whether it is here; None where there is nothing to look for."""
        ...

    @property
    def resuming(self) -> Resuming:
        """Whether it can carry on."""
        ...

    @property
    def options(self) -> tuple[Option, ...]:
        """Which words a session may give it; of `command`, `scripted` and `acp` the words are their own."""
        ...

    @property
    def rules(self) -> tuple[str, ...]:
        """Which rules its verdicts may name, of `judging.RULES`."""
        ...

    @property
    def variables(self) -> tuple[str, ...]:
        """What of the daemon's own environment it is given: credentials and addresses, by name."""
        ...

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """How to start it for this request."""
        ...

    def reader(self) -> Reader | None:
        """A fresh reader of its output, for whoever only wants to know; None where nothing can be relied on."""
        ...

    def channel(self, request: AgentRequest, /) -> Channel | None:
        """A fresh channel to the run that was started by this request; None where it only prints, or draws.

        Where there is one, it is fed instead of a reader while the run lives.
        """
        ...

    def reach(self, words: tuple[str, ...], /) -> Reach:
        """What can be done to a turn of a run that was started with these words."""
        ...

    def verdict(self, end: End) -> Verdict:
        """Whether the job was done."""
        ...
