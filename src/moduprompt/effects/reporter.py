"""How a hand says what it found: by command, under a key that the intent's name gives."""

from typing import Protocol

from moduprompt.domain.decider import Command
from moduprompt.protocol import Accepted, Answer, Refused


class Reporter(Protocol):
    """Takes the kernel's own commands."""

    async def execute(self, command: Command, *, key: str) -> Answer:
        """Durable when it returns; the same key again answers the same."""
        ...


async def report(to: Reporter, command: Command, *, key: str) -> Accepted:
    """Report, and raise Refused where the kernel could not take it."""
    answer = await to.execute(command, key=key)
    if not isinstance(answer, Accepted):
        raise Refused(answer.rejection)
    return answer
