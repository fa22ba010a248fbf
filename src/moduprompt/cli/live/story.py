"""What the live view knows: the board and the last changes, folded from events alone.

Events may come twice (delivery is at least once) and are told once. Nothing here reads a
clock, so the same events give the same scene at the same sequence, live or played back.
"""

from collections import Counter, deque
from typing import Final

import msgspec

from moduprompt.cli.live.lines import Change, to_change
from moduprompt.cli.live.names import Names
from moduprompt.domain.item import Stamp
from moduprompt.domain.registry import known_event
from moduprompt.protocol import EventEnvelope
from moduprompt.views import board
from moduprompt.views.board import Board
from moduprompt.views.memory import MemoryRows

CHANGES_KEPT: Final = 200  # more lines than a tall terminal shows


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one picture is drawn from."""

    board: Board
    changes: tuple[Change, ...]


class Story:
    """Takes a workspace's events one after another."""

    def __init__(self) -> None:
        self.seq = 0
        self._at = ""
        self._rows = MemoryRows()
        self._names = Names(self._rows)
        self._untyped: Counter[str] = Counter()
        self._changes: deque[Change] = deque(maxlen=CHANGES_KEPT)

    def tell(self, envelope: EventEnvelope) -> Change | None:
        """The event as it is told; None for one that was told before."""
        if envelope.seq_global <= self.seq:
            return None
        self.seq, self._at = envelope.seq_global, envelope.timestamp
        event = known_event(envelope)
        if event is None:
            self._untyped[envelope.event_type] += 1
        else:
            board.fold(self._rows, event, to_stamp(envelope))
        change = to_change(envelope, event, self._names)
        self._changes.append(change)
        return change

    def scene(self) -> Scene:
        """How things stand after the last event."""
        stands = board.board_snapshot(self._rows, seq=self.seq)
        counts = dict(sorted((stands.counts | self._untyped).items()))
        whole = msgspec.structs.replace(stands, at=self._at, counts=counts)
        return Scene(board=whole, changes=tuple(self._changes))


def to_stamp(envelope: EventEnvelope) -> Stamp:
    """What a view is told of the envelope."""
    return Stamp(
        workspace_id=envelope.workspace_id,
        seq=envelope.seq_global,
        version=envelope.seq_stream,
        timestamp=envelope.timestamp,
        actor=envelope.actor,
    )
