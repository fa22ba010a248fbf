"""The board: what ties its nodes, what waits and who can end it, and that nothing but events makes it."""

import msgspec
import pytest

from moduprompt.domain.item import Item, Stamp
from moduprompt.domain.registry import known_event
from moduprompt.protocol import EventEnvelope
from moduprompt.views.board import Board, board_snapshot, fold, to_board
from moduprompt.views.board_rows import BoardCount, BoardEdge, BoardNode
from moduprompt.views.memory import MemoryRows
from tests.support.demo_history import DemoHistory
from tests.support.histories import SYSTEM, WORKSPACE
from tests.support.samples import SAMPLE_TIME, sample_events


class StoredRows(MemoryRows):
    """Rows that are bytes between two events, as in the daemon's store."""

    def put(self, row: Item) -> None:
        super().put(msgspec.json.decode(msgspec.json.encode(row), type=type(row)))


def folded(envelopes: list[EventEnvelope], rows: MemoryRows) -> MemoryRows:
    for envelope in envelopes:
        event = known_event(envelope)
        stamp = Stamp(
            workspace_id=envelope.workspace_id,
            seq=envelope.seq_global,
            version=envelope.seq_stream,
            timestamp=envelope.timestamp,
            actor=envelope.actor,
        )
        if event is not None:
            fold(rows, event, stamp)
    return rows


def board_at(demo: DemoHistory, seq: int | None = None) -> Board:
    envelopes = demo.log.envelopes[:seq]
    return board_snapshot(folded(envelopes, MemoryRows()), seq=len(envelopes))


@pytest.fixture
def demo() -> DemoHistory:
    written = DemoHistory()
    written.write()
    return written


def test_a_board_ties_children_forks_worktrees_and_tasks(demo: DemoHistory) -> None:
    ties = {(edge.kind, edge.source, edge.target) for edge in board_at(demo).edges}

    assert ties == {
        ("lineage", demo.planner, demo.tester),
        ("fork", demo.planner, demo.variant),
        ("assignment", demo.task, demo.planner),
        *(("attachment", session_id, tree_id) for session_id, tree_id in demo.trees.items()),
    }


def test_lanes_are_the_stages_of_the_tasks_and_hold_them(demo: DemoHistory) -> None:
    lanes = board_at(demo, 42).lanes

    assert [lane.name for lane in lanes] == ["plan", "implement", "test", "review", "merge"]
    assert [lane.name for lane in lanes if demo.task in lane.task_ids] == ["review"]


def test_stored_and_remembered_rows_give_the_same_board_at_every_event(demo: DemoHistory) -> None:
    remembered, stored = MemoryRows(), StoredRows()
    for envelope in demo.log.envelopes:
        folded([envelope], remembered)
        folded([envelope], stored)
        seq = envelope.seq_global
        assert board_snapshot(remembered, seq=seq) == board_snapshot(stored, seq=seq)


def test_the_order_in_which_rows_are_read_does_not_matter(demo: DemoHistory) -> None:
    rows = folded(demo.log.envelopes, MemoryRows())
    nodes, edges, counts = (list(rows.every(kind)) for kind in (BoardNode, BoardEdge, BoardCount))

    backwards = to_board(nodes[::-1], edges[::-1], counts=counts[::-1], seq=67)  # type: ignore[arg-type]

    assert backwards == board_snapshot(rows, seq=67)


def test_counts_are_those_of_the_typed_events(demo: DemoHistory) -> None:
    counts = board_at(demo).counts

    assert sum(counts.values()) == len(demo.log.envelopes) - 1  # a refusal belongs to no noun
    assert counts["session.spawned"] == 2
    assert counts["worktree.committed"] == 3


def test_a_nodes_version_is_that_of_its_own_subject(demo: DemoHistory) -> None:
    last = {envelope.subject.id: envelope.seq_stream for envelope in demo.log.envelopes}

    assert {node.id: node.version for node in board_at(demo).nodes} == {
        node.id: last[node.id] for node in board_at(demo).nodes
    }


def test_a_board_stands_at_the_time_of_its_last_event(demo: DemoHistory) -> None:
    assert board_at(demo).at == demo.log.envelopes[-1].timestamp
    assert board_snapshot(MemoryRows(), seq=0).at == ""


def test_nothing_waits_when_all_is_done(demo: DemoHistory) -> None:
    assert board_at(demo).waiting == ()


@pytest.mark.parametrize("event", sample_events(), ids=lambda event: event.wire)
def test_an_event_about_something_unseen_breaks_nothing(event: object) -> None:
    """A stream may begin in the middle: what came before is not known, and that is all."""
    rows = MemoryRows()
    stamp = Stamp(workspace_id=WORKSPACE, seq=9, version=4, timestamp=SAMPLE_TIME, actor=SYSTEM)

    fold(rows, event, stamp)  # type: ignore[arg-type]

    assert sum(board_snapshot(rows, seq=9).counts.values()) == 1
