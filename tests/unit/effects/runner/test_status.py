"""What one look at a run tells: never more than was seen."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from moduprompt.effects.runner.port import StatusReply
from moduprompt.effects.runner.status import QUIET_MS, observe
from tests.support.fake_runner import WAITING, WORKING


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (WORKING, "working"),
        (replace(WORKING, quiet_ms=3_600_000), "working"),  # silence is normal
        (WAITING, "waiting_input"),
        (replace(WAITING, quiet_ms=QUIET_MS), "waiting_input"),
        (replace(WAITING, quiet_ms=QUIET_MS - 1), None),  # it may still be printing its question
        (replace(WAITING, input_waiting_bytes=1), None),  # it has not read what was typed
        (replace(WAITING, canonical=False), "working"),  # a full-screen program always reads
        (replace(WORKING, state="stopping"), None),
        (replace(WAITING, state="exited"), None),
        (replace(WORKING, state="start_failed"), None),
    ],
)
def test_a_look_tells_what_is_seen(reply: StatusReply, status: str | None) -> None:
    seen = observe(reply)

    assert (seen.status if seen else None) == status


def test_an_observation_names_its_rule_and_its_evidence() -> None:
    seen = observe(WAITING)

    assert seen is not None
    assert (seen.rule, seen.rule_version, seen.evidence) == ("tty_read", 1, "blocked in read")
