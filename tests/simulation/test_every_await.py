"""A short history, ended after every turn of the loop and in every write and sync of it: nothing promised is lost."""

import pytest

from tests.support.simulation.seeds import fresh_seed
from tests.support.simulation.sweep import End, Moment, sweep

SEED = 3  # a history with projects, sessions, tasks and refusals
MOMENTS_MIN = 60  # of a history worth the name, its first boot included


@pytest.mark.parametrize("end", ["power", "kill"])
@pytest.mark.parametrize("moment", ["turn", "operation"])
def test_whenever_it_ends_what_was_promised_is_there(moment: Moment, end: End) -> None:
    moments, promised = sweep(SEED, moment=moment, end=end)

    assert moments >= MOMENTS_MIN
    assert promised > 0


@pytest.mark.parametrize(("moment", "end"), [("turn", "kill"), ("operation", "power")])
def test_whenever_a_history_that_nobody_has_tried_ends(moment: Moment, end: End) -> None:
    sweep(fresh_seed(), moment=moment, end=end)
