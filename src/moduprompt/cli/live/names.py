"""Names for people in the place of ids: who did it, and what it was done to."""

import msgspec

from moduprompt.cli.live.text import plain
from moduprompt.domain.item import Rows
from moduprompt.protocol import Actor, EventEnvelope
from moduprompt.views.board_rows import BoardNode, BoardPart, short


class Names(msgspec.Struct, frozen=True):
    """Looks names up in the rows of a board. An id without a name stays its short form."""

    rows: Rows

    def of(self, id_: str) -> str:
        """`planner`, `planner’s run 1`, `Add a greeting’s gate to merge`."""
        part = self.rows.get(BoardPart, id_)
        node = self.rows.get(BoardNode, part.node_id if part is not None else id_)
        if node is None:
            return short(id_) if part is None else part.label
        title = plain(node.title)
        return title if part is None else f"{title}’s {part.label}"

    def subject(self, envelope: EventEnvelope) -> str:
        """The name of what an event is about, and its short id."""
        id_ = envelope.subject.id
        name = self.of(id_)
        name = envelope.subject.kind if name == short(id_) else name
        return f"{name} [{short(id_)}]"

    def actor(self, actor: Actor) -> str:
        """Who did it."""
        if actor.kind == "session":
            return self.of(actor.id)
        return plain(actor.label) if actor.label else actor.kind
