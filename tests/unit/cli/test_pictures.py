"""A picture that is drawn once: it is of the moment in which somebody looks."""

import pytest

from moduprompt.cli.live.spans import to_plain
from moduprompt.cli.live.story import Story
from moduprompt.cli.live.waiting import draw_waiting
from moduprompt.cli.pictures import has_colours, seen_at
from moduprompt.protocol import SECOND, Micros, to_micros
from moduprompt.views.board import Board
from tests.support.demo_history import demo_history


def waiting_board() -> Board:
    """The demo's, in the moment when a person has to decide."""
    story = Story()
    for envelope in demo_history().envelopes:
        story.tell(envelope)
        if envelope.event_type == "approval.requested":
            break
    return story.scene().board


def told(board: Board) -> str:
    return "\n".join(to_plain(line) for line in draw_waiting(board, width=100, rows_max=None))


def test_what_waits_has_waited_until_somebody_looks() -> None:
    board = waiting_board()
    later = Micros(to_micros(board.at) + 125 * SECOND)

    assert "owner · 0.0 s" in told(board)
    assert "owner · 2m05s" in told(seen_at(board, now=later))


def test_a_clock_behind_the_log_changes_nothing() -> None:
    board = waiting_board()

    assert seen_at(board, now=Micros(to_micros(board.at) - SECOND)) == board


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
        ({}, False),
    ],
)
def test_a_dumb_terminal_and_one_that_wants_none_get_no_colours(
    environ: dict[str, str], is_coloured: bool
) -> None:
    assert has_colours(environ, is_terminal=True) is is_coloured
    assert not has_colours(environ, is_terminal=False)
