"""A command on its way through the gates, and the shelf they look things up on."""

from typing import Protocol

from moduprompt.domain.decider import Command
from moduprompt.kernel.ledger import Ledger
from moduprompt.protocol import Accepted, Actor, CommandEnvelope, CommandId, WorkspaceId
from moduprompt.storage.port import KeyRow


class Ticket:
    """What is known of a command so far. Each gate adds what it found.

    Mutable on purpose: it lives for one request and is seen by one task.
    """

    def __init__(
        self, envelope: CommandEnvelope, *, actor: Actor, command_id: CommandId, trace_id: str
    ) -> None:
        self.envelope = envelope
        self.actor = actor
        self.command_id = command_id
        self.trace_id = trace_id
        self.command: Command | None = None
        self.ledger: Ledger | None = None
        self.digest = b""
        self.relied_on: tuple[tuple[str, int], ...] = ()
        self.leaves_event = False

    def known_command(self) -> Command:
        """The typed command, from the schema gate on."""
        assert self.command is not None, "BUG: the schema gate comes first"
        return self.command

    def known_ledger(self) -> Ledger:
        """The workspace, from the visibility gate on."""
        assert self.ledger is not None, "BUG: the visibility gate comes before"
        return self.ledger


class Shelf(Protocol):
    """Where gates look things up."""

    async def find(self, workspace_id: WorkspaceId) -> Ledger | None:
        """The workspace, loaded; None where there is none."""
        ...

    async def find_key(self, workspace_id: WorkspaceId, *, actor: Actor, key: str) -> KeyRow | None:
        """The accepted use of a key."""
        ...

    async def answer_again(self, used: KeyRow) -> Accepted:
        """The answer that was given then, from the log."""
        ...
