"""Prompts into the real programs, each in its terminal: every one is told to their model, once, whole and in order."""

import os

import pytest

from tests.support.programs import IN_CI, need
from tests.support.zoo.real import tell

PROMPTS = int(os.environ.get("ZOO_PROMPTS_REAL") or 8)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", IN_CI)
async def test_every_prompt_is_told_to_the_model_once_whole_and_in_order(name: str) -> None:
    need(name)
    tally = await tell(name, prompts=PROMPTS, seed=1)

    assert tally.is_clean, tally
    assert tally.submitted + len(tally.uncertain) == PROMPTS
    assert tally.submitted, tally  # on a machine that is far too busy one may be uncertain
