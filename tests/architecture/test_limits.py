"""Every bound of the code is in the table of limits with its reason, and the page is that table."""

from __future__ import annotations

from typing import Final

import pytest

from moduprompt.server.limits import LIMITS, Limit
from tests.integration.server.test_limits import EDGES
from tests.support.limits_page import PAGE, WAITS, bounds_in_code, page, reason_of, value_of

# Bounds in the code that no client meets as a refusal of their own, each with the reason.
ELSEWHERE: Final = {
    "BITE_MAX": "commands judged at one go: the others are judged in the next",
    "CURSOR_MAX": "a cursor is ours; a longer one is none",
    "DAMAGES_MAX": "of a damaged store that readiness lists: `mpctl log verify` names them all",
    "DIGITS_MAX": "a number beyond it is none",
    "EVENTS_MAX": "of one command: four times as many as adopting a thousand live runs takes",
    "FOLDS_MAX": "how many reads of the past fold at once: the next one waits",
    "KEYS_BYTES_MAX": "a terminal's socket is closed with the code that RFC 6455 has for it",
    "IN_FLIGHT_MAX": "of a batch: the next command is begun when the first is answered",
    "GATE_PASSES_MAX": "the client is asked to come again",
    "KEPT_MAX": "workspaces in memory: one is let go, and loaded again when it is needed",
    "LEDGERS_MAX": "of the past: the oldest one is forgotten",
    "LEDGER_STATES_MAX": "of the past: what is larger is not kept",
    "LINE_MAX": "of what a client reads",
    "SCENES_MAX": "of the past: the oldest one is forgotten",
    "SCENE_ROWS_MAX": "of the past: what is larger is not kept",
    "SEQ_MAX": "the largest number that every JSON reader holds",
    "SHOWN_MAX": "damages in a refusal: readiness lists more",
    "SKIPPED_MAX": "the contract's: then a position is said",
    "SLEEP_S_MAX": "between two looks of the timers",
    "SOCKETS_MAX": "that a service manager hands over",
    "TOKEN_MAX": "a longer token is none: unauthorized",
}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_a_limit_has_a_constant_with_a_reason_and_an_edge_that_is_tested(limit: Limit) -> None:
    assert limit.constants
    for constant in limit.constants:
        assert value_of(constant) > 0
        assert len(reason_of(constant)) > 10, constant
    assert limit.name in EDGES


def test_no_bound_of_the_code_is_missing_from_the_page() -> None:
    named = {each.partition(":")[2] for limit in (*LIMITS, *WAITS) for each in limit.constants}

    assert bounds_in_code() - named - ELSEWHERE.keys() == set(), "put it into the table, or say why not"
    assert ELSEWHERE.keys() - bounds_in_code() == set(), "gone from the code"


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text("utf-8") == page(), "make golden"
