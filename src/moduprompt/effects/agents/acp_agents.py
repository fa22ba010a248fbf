"""The agents of the Agent Client Protocol that we know by their program's name: what each needs to be started alone.

Each gets a folder of its session for its configuration and conversations, and of the daemon's variables those that its
vendor's own adapter takes. Nobody but people decides about permissions: the modes that each begins in ask.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Final

import msgspec

from moduprompt.effects.agents.claude import ClaudeAdapter
from moduprompt.effects.agents.codex import CodexAdapter, config_for
from moduprompt.effects.agents.gemini import SETTINGS, GeminiAdapter
from moduprompt.effects.agents.port import AgentFile, AgentRequest

# It asks before whatever it doesn't know to be harmless, and its tools can't write without.
CODEX_ASKS: Final = 'approval_policy = "untrusted"\nsandbox_mode = "read-only"\n'

# Around an agent that stays when its input is over: its group is told to end then, and when the agent ends first, so does the
# rest. Whoever is told so by us has not failed. The traps keep the shells; they are not inherited by what they start.
# A signal that comes before a side is ready is lost: the agent begins when the left one says that it is there, and is
# told again for as long as somebody reads.
ENDS_WITH_ITS_INPUT: Final = (
    'trap "" TERM; '
    '{ trap - TERM; echo; cat; trap "" TERM; '
    "for pause in .1 .3 1; do kill -TERM 0; sleep $pause; echo 2>/dev/null || exit; done; } | "
    '{ trap : TERM; read -r _; "$@"; code=$?; kill -TERM 0; [ $code = 143 ] && code=0; exit $code; }'
)


class KnownAgent(msgspec.Struct, frozen=True, kw_only=True):
    """`words`: those that make it speak the protocol. `home_in`: its own variable for its folder.

    `stays`: the end of its input is none of its concern.
    """

    program: str
    words: tuple[str, ...] = ()
    home_in: str
    env: Mapping[str, str] = {}
    variables: tuple[str, ...]
    stays: bool = False


KNOWN: Final = (
    KnownAgent(
        program="gemini",
        words=("--acp", "--skip-trust"),
        home_in="GEMINI_CLI_HOME",
        env={"GEMINI_CLI_NO_RELAUNCH": "true"},
        variables=GeminiAdapter.variables,
    ),
    KnownAgent(program="codex-acp", home_in="CODEX_HOME", variables=CodexAdapter.variables, stays=True),
    KnownAgent(
        program="claude-agent-acp",
        home_in="CLAUDE_CONFIG_DIR",
        env={
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",  # without it some modes are refused to root; it switches nothing else
        },
        variables=ClaudeAdapter.variables,
    ),
)


def known_agent(words: tuple[str, ...]) -> KnownAgent | None:
    """Who stands behind a command line; None where we don't know."""
    program = PurePath(words[0]).name if words else ""
    return next((known for known in KNOWN if known.program == program), None)


def command_line(known: KnownAgent, words: tuple[str, ...]) -> tuple[str, ...]:
    """The session's words, with those that make the agent speak the protocol."""
    program, *rest = words
    line = (program, *(word for word in known.words if word not in rest), *rest)
    return ("sh", "-c", ENDS_WITH_ITS_INPUT, "sh", *line) if known.stays else line


def surroundings(known: KnownAgent, request: AgentRequest) -> Mapping[str, str]:
    """Its variables: of the daemon's those that it may have, and where its folder is."""
    given = {name: value for name, value in request.variables.items() if name in known.variables}
    if known.program == "codex-acp":
        given.pop("OPENAI_BASE_URL", "")  # stands in its configuration
        given.setdefault("CODEX_API_KEY", given.get("OPENAI_API_KEY", ""))
    return {**given, **known.env, known.home_in: request.home}


def configuration(known: KnownAgent, request: AgentRequest) -> tuple[AgentFile, ...]:
    """The files of its folder."""
    match known.program:
        case "gemini":
            return (AgentFile(path=".gemini/settings.json", content=SETTINGS),)
        case "codex-acp":
            address = request.variables.get("OPENAI_BASE_URL", "")
            return (AgentFile(path="config.toml", content=config_for(address, asking=CODEX_ASKS)),)
        case _:
            return ()
