"""The agent programs that there are: the one list."""

from moduprompt.effects.agents.acp import AcpAdapter
from moduprompt.effects.agents.aider import AiderAdapter
from moduprompt.effects.agents.claude import ClaudeAdapter
from moduprompt.effects.agents.codex import CodexAdapter
from moduprompt.effects.agents.command import CommandAdapter
from moduprompt.effects.agents.gemini import GeminiAdapter
from moduprompt.effects.agents.opencode import OpencodeAdapter
from moduprompt.effects.agents.pi import PiAdapter
from moduprompt.effects.agents.port import AgentAdapter
from moduprompt.effects.agents.scripted import ScriptedAdapter

ADAPTERS: tuple[AgentAdapter, ...] = (
    ScriptedAdapter(),
    CommandAdapter(),
    ClaudeAdapter(),
    CodexAdapter(),
    GeminiAdapter(),
    OpencodeAdapter(),
    PiAdapter(),
    AcpAdapter(),
    AiderAdapter(),
)


def adapter_named(name: str) -> AgentAdapter | None:
    """The adapter with this name."""
    return next((adapter for adapter in ADAPTERS if adapter.name == name), None)


def variables_known() -> frozenset[str]:
    """All that some adapter takes of the daemon's own environment. Each is given only what it names itself."""
    return frozenset(name for adapter in ADAPTERS for name in adapter.variables)
