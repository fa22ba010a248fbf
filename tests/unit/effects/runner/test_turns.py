"""That a prompt has reached its program is seen, and never concluded from what the terminal itself does."""

import pytest
from msgspec.structs import replace

from moduprompt.effects.runner import port
from moduprompt.effects.runner.turns import taken_by
from tests.support.fake_runner import WAITING, WORKING

READ = replace(WORKING, unread_bytes=0, output_bytes=50)
RAW = replace(READ, canonical=False)


@pytest.mark.parametrize(
    ("reply", "rule"),
    [
        (READ, "line_read"),
        (replace(READ, output_bytes=40), "line_read"),
        (replace(READ, unread_bytes=3), None),
        (replace(READ, input_waiting_bytes=3), None),
        (replace(READ, unread_bytes=None), None),
        (replace(READ, state="exited"), None),
        (WAITING, None),
        (RAW, "read_and_answered"),
        (replace(RAW, output_bytes=40), None),
        (replace(RAW, unread_bytes=1), None),
    ],
)
def test_a_turn_has_begun_when_the_program_has_read_what_was_typed(
    reply: port.StatusReply, rule: str | None
) -> None:
    taken = taken_by(reply, output_bytes=40)
    assert (taken.rule if taken else None) == rule
