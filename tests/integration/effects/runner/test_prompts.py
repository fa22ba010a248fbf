"""Prompts into the zoo: what each fake program got is what was told, whoever types, asks, or dies meanwhile."""

import os

import pytest

from tests.support.zoo.show import FAMILIES, Fates, show

PROMPTS = int(os.environ.get("ZOO_PROMPTS") or 180)
PROMPTS_OVER_DEATHS = PROMPTS * 3 // 4
EACH = 10  # to one animal: all families have their turn


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_every_prompt_reaches_its_program_once_and_no_question_and_no_draft_gets_any_of_it() -> None:
    tally = await show(PROMPTS, seed=1, each=EACH)

    assert tally.wrong == []
    assert tally.runs >= min(len(FAMILIES), PROMPTS // EACH)
    assert tally.submitted > tally.prompts // 2


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_whoever_dies_over_a_prompt_it_is_sent_once_or_uncertain_and_never_typed_again() -> None:
    tally = await show(PROMPTS_OVER_DEATHS, seed=2, each=EACH, fates=Fates(abandoned=0.5, keeper_killed=0.04))

    assert tally.wrong == []
    assert tally.abandoned > tally.prompts // 4
    assert tally.submitted > tally.prompts // 3
