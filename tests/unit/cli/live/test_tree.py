"""How a session stands in the tree: its glyph and its words are those of what is known, never better."""

import pytest

from moduprompt.cli.live.spans import to_plain
from moduprompt.cli.live.tree import draw_tree
from moduprompt.protocol import WorkspaceId
from moduprompt.views.board import Board
from moduprompt.views.board_rows import BoardNode, RunFacts, SessionFacts

AT = "2026-11-23T00:00:00.000000Z"
ID = "01935450-0000-7000-8000-000000000001"


def drawn(status: str, *, outcome: str | None, code: int = 0) -> str:
    run = RunFacts(
        run_id=ID,
        ordinal=1,
        since=AT,
        status="exited",
        how="exited",
        code=code,
        failure="network",
        outcome=outcome,
    )
    facts = SessionFacts(adapter="claude", argv=(), path=(ID,), place="none", run=run)
    node = BoardNode(
        id=ID,
        workspace_id=WorkspaceId(ID),
        version=1,
        created_at=AT,
        updated_at=AT,
        kind="session",
        title="painter",
        status=status,
        since=AT,
        facts=facts,
    )
    board = Board(seq=1, at=AT, title="", nodes=(node,), edges=(), lanes=(), waiting=(), counts={})
    (line,) = draw_tree(board, width=100)
    return to_plain(line)


@pytest.mark.parametrize(
    ("status", "outcome", "code", "told"),
    [
        ("exited", "succeeded", 0, "✓ painter  exited 0 "),
        ("exited", None, 0, "✓ painter  exited 0 "),
        ("failed", "failed", 0, "✗ painter  exited 0, failed (network) "),
        ("failed", "failed", 3, "✗ painter  exited 3 "),
        ("unclear", "unclear", 0, "? painter  exited 0, unclear "),
        ("parked", "failed", 1, "◇ painter  parked "),
    ],
)
def test_an_exit_code_of_0_does_not_hide_that_the_work_failed(
    status: str, outcome: str | None, code: int, told: str
) -> None:
    assert told in drawn(status, outcome=outcome, code=code)
