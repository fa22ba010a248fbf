"""What `mpctl events` makes of its words."""

from __future__ import annotations

import pytest

from moduprompt.cli.nouns.events import unknown_types


@pytest.mark.parametrize("known", ["*", "task.*", "run.exited", "command.rejected", "command.*"])
def test_a_type_that_some_event_fits_is_known(known: str) -> None:
    assert unknown_types((known,)) == ()


@pytest.mark.parametrize("unknown", ["taks.*", "task", "run.exitted", "*.exited", "Task.*"])
def test_a_type_that_no_event_fits_is_named(unknown: str) -> None:
    assert unknown_types(("task.*", unknown)) == (unknown,)
