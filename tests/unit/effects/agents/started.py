"""How adapters start their programs, for tests of adapters."""

import msgspec

from moduprompt.effects.agents.port import AgentCommand, AgentRequest
from tests.support.transcripts import adapter_of

RUN = "01920000-0000-7000-8000-000000000001"


def started(name: str, **request: object) -> AgentCommand:
    """The command for a request that fits."""
    asked = msgspec.convert({"run_id": RUN, "home": "/home", **request}, AgentRequest)
    command = adapter_of(name).command(asked)
    assert isinstance(command, AgentCommand)
    return command
