"""`mpctl session show` says whose conversation an alternative carries on, or why it began fresh."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from moduprompt.cli.waiting_out import begun_told
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.view import SessionItem
from tests.support.domain import an_id
from tests.support.samples import least

FORK = replace(least(SessionItem), fork_of=an_id(0xABCDEF))
RUN = replace(least(RunItem), resumes=None, begun=None, begun_why=None)


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ((), "not begun"),
        ((replace(RUN, resumes=an_id(0x1234)),), "not begun"),
        ((RUN,), "fresh: session 00abcdef had said nothing by then"),
        (
            (replace(RUN, resumes=an_id(0x1234), begun="fresh", begun_why="nothing of it was saved"),),
            "fresh: nothing of it was saved",
        ),
        (
            (replace(RUN, resumes=an_id(0x1234), begun="carried_on", begun_why="as a copy"), RUN),
            "carried on from run 00001234 of session 00abcdef, as a copy",
        ),
    ],
)
def test_it_is_told_by_its_first_run(runs: tuple[RunItem, ...], told: str) -> None:
    assert begun_told(FORK, runs) == told


def test_what_is_no_fork_has_begun_as_it_was_ordered() -> None:
    assert begun_told(replace(FORK, fork_of=None), (RUN,)) is None
