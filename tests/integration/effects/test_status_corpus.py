"""The rules against recordings of the real programs, whose labels the scripted model has given.

No program runs here: the same recordings and the same rules give the same figures on every machine.
"""

from __future__ import annotations

import pytest

from tests.support.source_tree import ROOT
from tests.support.status.corpus import MADE_ON, scenes
from tests.support.status.report import Figure, figures, report, tables
from tests.support.status.truth import Event, Kind, Label, Mislabelled, to_labels

PROMISED = ("waiting_input", "blocked_on_permission")
PARTS = {"made on": (0.99, 0.98), "held back": (0.90, 0.90)}  # recall and precision at least
PAGE = ROOT / "docs" / "status.md"


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Figure]]:
    return {name: {each.state: each for each in figures(table)} for name, table in tables(scenes()).items()}


def test_programs_are_in_both_parts() -> None:
    programs = {each.program for each in scenes()}

    assert programs.issuperset(MADE_ON)
    assert len(programs - set(MADE_ON)) >= 2


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("state", PROMISED)
def test_who_waits_and_who_is_blocked_is_seen_within_two_seconds(
    found: dict[str, dict[str, Figure]], part: str, state: str
) -> None:
    recall, precision = PARTS[part]
    figure = found[part][state]

    assert figure.samples > 50
    assert figure.recall is not None
    assert figure.precision is not None
    assert figure.recall >= recall
    assert figure.precision >= precision


@pytest.mark.parametrize("program", MADE_ON)
def test_a_program_whose_screens_were_studied_is_never_unknown_while_it_works(
    found: dict[str, dict[str, Figure]], program: str
) -> None:
    (own,) = (states for name, states in found.items() if name.startswith(f"{program} "))

    assert own["working"].recall == 1.0


def test_the_page_holds_these_figures() -> None:
    assert report() in PAGE.read_text("utf-8"), "make status-report, and put the table into docs/status.md"


def labels(*events: tuple[float, Kind]) -> tuple[Label, ...]:
    return to_labels([Event(at_s=at_s, kind=kind) for at_s, kind in events], started_us=1_000_000)


def test_the_truth_is_what_the_model_and_the_driver_know() -> None:
    told = labels(
        (2, "ready"),
        (4, "typed"),
        (5, "asked"),
        (6, "limited"),
        (8, "asked"),
        (9, "called"),
        (12, "allowed"),
        (13, "asked"),
        (14, "answered"),
        (20, "over"),
    )

    assert [(each.from_ms, each.to_ms, each.status) for each in told] == [
        (1_000, 3_000, "waiting_input"),
        (4_000, 5_000, "working"),
        (5_000, 7_000, "rate_limited"),
        (7_000, 8_000, "working"),
        (8_000, 11_000, "blocked_on_permission"),
        (11_000, 13_000, "working"),
        (13_000, 19_000, "waiting_input"),
    ]


@pytest.mark.parametrize("events", [((1, "called"), (2, "asked")), ((1, "limited"), (2, "answered"))])
def test_what_did_not_go_as_its_script_says_teaches_nothing(events: tuple[tuple[float, Kind], ...]) -> None:
    with pytest.raises(Mislabelled):
        labels(*events)
