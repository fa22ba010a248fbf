"""aider: one prompt from a file, and text for people. What is said of it here rests on whole lines of its own.

What was measured of it (version 0.86.2), and what we therefore do:

- It exits with 0 whatever happened. A refused key, a limit, a fault of the server are lines that begin with
  `litellm.`; a line of tokens comes with each answer of its model, and whatever was in the way before is over then.
- Where it told of no trouble, its worktree says whether it did something; where nothing was left, nobody can say.
- It commits by itself, and writes its histories into the repository: both are switched off, or led into the session's folder.
- It has no variable for its folder, so its HOME is the session's.
- Where git knows of no identity it writes "Your Name" into the repository's configuration, which all worktrees share,
  and two that do it at once clash. So its HOME leads git to its user's own configuration, and names somebody beside it.
- It asks for a table of prices outside, also when it is told to use its own: an empty one in its folder is believed.
- Its map of the repository leaves a folder there, and can't leave it elsewhere: it works without the map.
- It repeats a request for a minute, with growing pauses. Told to answer yes to everything it runs what its model
  suggests; that it suggests nothing is switched on beside it.
- It edits without asking; there is no mode in which it asks that has no terminal.
"""

import re
from typing import Final

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    TOUCHED_MAX,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.effects.agents.git_home import HOME_FILE, NOBODY, XDG_FILE, led_home
from moduprompt.effects.agents.judging import FROM_OUTSIDE, ended_from_outside
from moduprompt.effects.agents.limits import ONE_PROMPT
from moduprompt.effects.agents.lines import digest_of
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
from moduprompt.protocol import REASON_MAX

SWITCHES: Final = (
    "--yes-always",
    "--no-suggest-shell-commands",
    "--no-auto-commits",
    "--no-dirty-commits",
    "--no-gitignore",
    "--no-check-update",
    "--no-show-release-notes",
    "--no-show-model-warnings",
    "--no-detect-urls",
    "--no-browser",
    "--analytics-disable",
    "--no-pretty",
    "--no-fancy-input",
    "--no-stream",
    "--map-tokens=0",  # its map of the repository leaves a folder there, which would pass for work
)
HISTORIES: Final = (
    ("--input-history-file", "input.history"),
    ("--chat-history-file", "chat.history.md"),
    ("--llm-history-file", "llm.history"),
)
PRICES: Final = AgentFile(path=".aider/caches/model_prices_and_context_window.json", content=b'{"none": {}}')
# By the name of the error, which the library between aider and its model gives.
ERRORS: Final = {
    "AuthenticationError": FailureClass.AUTH_REQUIRED,
    "PermissionDeniedError": FailureClass.AUTH_REQUIRED,
    "RateLimitError": FailureClass.RATE_LIMITED,
    "InternalServerError": FailureClass.NETWORK,
    "ServiceUnavailableError": FailureClass.NETWORK,
    "APIConnectionError": FailureClass.NETWORK,
    "Timeout": FailureClass.NETWORK,
    "BadRequestError": FailureClass.INVALID_OUTPUT,
    "ContextWindowExceededError": FailureClass.INVALID_OUTPUT,
}
ERROR: Final = re.compile(r"litellm\.(\w{1,60}): ")
ANSWERED: Final = re.compile(r"Tokens: ([\d.]+)(k?) sent, .{0,80}?([\d.]+)(k?) received\.")
COST: Final = re.compile(r" Cost: \$([\d.]+) message")
EDITED: Final = re.compile(r"Applied edit to (.+)")
# What it says when it gives up on what its model answers.
GAVE_UP: Final = re.compile(r"Only \d+ reflections allowed, stopping\.|Model .{1,200} has hit a token limit!")
LINE_MAX: Final = 2_000  # characters that are looked at: its own lines are short
COUNT_MAX: Final = 2**53  # what the log can hold


class AiderAdapter:
    """`aider --message-file`, one prompt for each run."""

    name = "aider"
    level: Level = "json"
    limits = ONE_PROMPT
    memory_bytes = 230 * 1024**2  # measured: 230 MB at its peak
    probes: Probes | None = Probes(
        program="aider",
        version_pinned="0.86.2",
        signed_in=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"),
        install="python3 -m pip install aider-install && aider-install",
    )
    resuming = Resuming()
    options: tuple[Option, ...] = (Option(name="model", what="the model, by a name that the program knows"),)
    rules: tuple[str, ...] = ("words_of_trouble", "exit_code", "left_work", "left_nothing", *FROM_OUTSIDE)
    variables: tuple[str, ...] = (
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "OPENAI_BASE_URL",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
    )

    def command(self, request: AgentRequest) -> AgentCommand | AgentRefused:
        """The prompt from its file, plain text out, nothing in its worktree but what it was asked for."""
        values = read_options(request.words, self.options)
        if isinstance(values, UnfitWords):
            return AgentRefused(message=values.message, hint=values.hint)
        given, model = dict(request.variables), values["model"]
        address = given.pop("OPENAI_BASE_URL", "")
        if address:
            given["OPENAI_API_BASE"] = address
            model = f"openai/{model}" if model and "/" not in model else model
        histories = (word for name, file in HISTORIES for word in (name, f"{request.home}/{file}"))
        git_config = led_home(request.user_home, files=(XDG_FILE, HOME_FILE), first=NOBODY)
        prompt = () if request.prompt_file is None else ("--message-file", request.prompt_file)
        return AgentCommand(
            argv=("aider", *SWITCHES, *histories, *(("--model", model) if model else ()), *prompt),
            env={**given, "HOME": request.home, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            io="pipes",
            files=(PRICES, AgentFile(path=HOME_FILE, content=git_config)),
        )

    def reader(self) -> Reader | None:
        """Whole lines of its own; what its model says may look like one, and costs a wrong word in the log."""
        return AiderReader()

    def channel(self, _request: AgentRequest) -> Channel | None:
        """One prompt for each process."""
        return None

    def reach(self, _words: tuple[str, ...]) -> Reach:
        """One process for each turn: what it does on a SIGINT it tells nobody."""
        return Reach()

    def verdict(self, end: End) -> Verdict:
        """What it told of trouble, then what it left: its exit code says nothing."""
        outside = ended_from_outside(end)
        if outside is not None:
            return outside
        trouble, work = end.said.last_trouble, end.work
        if trouble is not None:
            return Verdict(
                outcome="failed",
                failure=trouble.failure,
                rule="words_of_trouble",
                evidence=f"no answer of its model came after {_name_of(trouble)}",
            )
        if end.code != 0:
            evidence = f"it exited with {end.code}"
            failure = FailureClass.EXIT_NONZERO
            return Verdict(outcome="failed", failure=failure, rule="exit_code", evidence=evidence)
        if work is not None and (work.has_changes or work.has_commits):
            evidence = "it told of no trouble and left changes"
            return Verdict(outcome="succeeded", rule="left_work", evidence=evidence)
        looked = "nobody looked what it did" if work is None else "it changed nothing"
        return Verdict(
            outcome="unclear", rule="left_nothing", evidence=f"it told of no trouble, and {looked}"
        )


class AiderReader:
    """An answer of its model is a turn. It remembers whether one is on, and how many files were edited."""

    def __init__(self) -> None:
        self._is_in_turn = False
        self._edits = 0

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one line says; nothing where it is none of those that it writes by itself."""
        text = line.decode("utf-8", "replace")[:LINE_MAX].rstrip("\r")
        if text.startswith("Aider v"):
            return self._begun()
        if found := ERROR.match(text):
            failure = ERRORS.get(found[1]) or failure_of_words(text)
            return *self._begun(), TroubleSeen(failure=failure, message=text[:REASON_MAX])
        if found := ANSWERED.match(text):
            begun, self._is_in_turn = self._begun(), False
            return *begun, _usage(found, text), TurnEnded(how="done")
        if found := EDITED.fullmatch(text):
            return self._edited(found[1])
        if GAVE_UP.match(text):
            return (TroubleSeen(failure=FailureClass.INVALID_OUTPUT, message=text[:REASON_MAX]),)
        return ()

    def _begun(self) -> tuple[Heard, ...]:
        if self._is_in_turn:
            return ()
        self._is_in_turn = True
        return (TurnBegan(),)

    def _edited(self, path: str) -> tuple[Heard, ...]:
        self._edits += 1
        call_id, touched = f"edit {self._edits}", path[:TOUCHED_MAX]
        called = ToolCalled(call_id=call_id, tool="edit", arguments_digest=digest_of(path), paths=(touched,))
        return called, ToolEnded(call_id=call_id, how="done")


def _name_of(trouble: TroubleSeen) -> str:
    """Its words stay in the recording: they may hold a key, and the log is for ever."""
    found = ERROR.match(trouble.message)
    return f"litellm.{found[1]}" if found and found[1] in ERRORS else trouble.failure.value


def _usage(found: re.Match[str], text: str) -> UsageReported:
    """As it rounds: above a thousand it tells hundreds."""
    cost = COST.search(text)
    return UsageReported(
        input_tokens=_count(found[1], found[2]),
        output_tokens=_count(found[3], found[4]),
        cost_micros=_amount(cost[1], 1_000_000) if cost else None,
    )


def _count(number: str, thousands: str) -> int:
    return _amount(number, 1_000 if thousands else 1)


def _amount(number: str, times: int) -> int:
    try:
        return min(round(float(number) * times), COUNT_MAX)
    except (ValueError, OverflowError):  # two points, or more digits than there are numbers
        return 0
