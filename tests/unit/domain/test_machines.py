"""The state machines: what orders really reach is what is promised, and what is drawn."""

from __future__ import annotations

import re
import sys

import pytest

from moduprompt.domain.registry import DECIDER_OF
from tests.support.golden import GOLDEN
from tests.support.machines import MACHINES
from tests.support.walks import Machine, edges

EDGE = re.compile(r"(?P<before>\S+) --(?P<fact>\S+)--> (?P<after>\S+)")
by_noun = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.noun)


def kept(noun: str) -> list[str]:
    return (GOLDEN / "machines" / f"{noun}.txt").read_text(encoding="utf-8").splitlines()


@by_noun
def test_orders_reach_the_edges_that_are_kept_and_no_others(machine: Machine) -> None:
    assert edges(machine) == kept(machine.noun)


@by_noun
def test_the_drawing_names_every_place_and_every_fact_that_leads_to_another_one(machine: Machine) -> None:
    drawing = sys.modules[DECIDER_OF[machine.noun].state.__module__].__doc__ or ""
    drawn = set(re.findall(r"[a-z_]+|\(none\)", drawing))
    moves = [found for found in map(EDGE.fullmatch, kept(machine.noun)) if found]
    wanted = {place for move in moves for place in (move["before"], move["after"])}
    wanted |= {
        move["fact"].partition(".")[2]
        for move in moves
        if move["before"] != move["after"] and move["fact"] != "task.attempt_failed"
    }
    assert wanted <= drawn


@by_noun
def test_the_drawing_shows_no_fact_that_leads_nowhere(machine: Machine) -> None:
    decider = DECIDER_OF[machine.noun]
    drawing = sys.modules[decider.state.__module__].__doc__ or ""
    drawn = set(re.findall(r"── ([a-z_| ]+) ─", drawing))
    facts = {word for label in drawn for word in re.findall(r"[a-z_]+", label)}
    reached = {found["fact"].partition(".")[2] for found in map(EDGE.fullmatch, kept(machine.noun)) if found}
    known = {event.wire.partition(".")[2] for event in decider.events}
    assert facts & known <= reached


def test_every_aggregate_is_walked() -> None:
    assert {machine.noun for machine in MACHINES} == set(DECIDER_OF)


@pytest.mark.parametrize("noun", sorted(DECIDER_OF))
def test_every_fact_of_an_aggregate_is_reached(noun: str) -> None:
    reached = {found["fact"] for found in map(EDGE.fullmatch, kept(noun)) if found}
    assert reached == {event.wire for event in DECIDER_OF[noun].events}
