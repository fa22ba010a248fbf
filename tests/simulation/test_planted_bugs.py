"""Every planted bug is caught, by the check and with the seed that the page of proofs names."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.support.simulation.faults import Planted
from tests.support.simulation.planted import PLANTED, Caught, caught_with

PAGE = Path(__file__).resolve().parents[2] / "docs" / "proofs.md"
ROW = re.compile(r"^\| (\w+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| (\d+) \|$", re.MULTILINE)
ROWS = {
    name: (what, harness, check, int(seed))
    for name, what, harness, check, seed in ROW.findall(PAGE.read_text())
}
PRINT = "python -m tests.support.simulation.planted"


def test_the_page_names_every_planted_bug() -> None:
    assert {name: row[0] for name, row in ROWS.items()} == {each.name: each.what for each in PLANTED}
    assert len(PLANTED) >= 12


@pytest.mark.parametrize("planted", PLANTED, ids=lambda each: each.name)
def test_a_planted_bug_is_caught(planted: Planted) -> None:
    _, harness, check, seed = ROWS[planted.name]

    caught = caught_with(planted, harness=harness, seed=seed)
    assert caught == Caught(harness=harness, check=check, seed=seed), f"{PRINT} tells how it is caught now"


def test_without_a_planted_bug_nothing_is_caught() -> None:
    """Also after all of them were planted and taken out again."""
    for planted in PLANTED:
        with planted.plant():
            pass
    sound = Planted(name="sound", what="nothing", plant=nullcontext)

    tries = {(row[1], row[3]) for row in ROWS.values()}
    assert {caught_with(sound, harness=harness, seed=seed) for harness, seed in tries} == {None}
