"""No order leads to a state in which something waits for ever."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moduprompt.domain.approval.view import ApprovalItem
from moduprompt.domain.gate.view import GateItem
from moduprompt.domain.project.view import ProjectItem
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.view import TaskItem
from moduprompt.domain.worktree.view import WorktreeItem
from moduprompt.protocol import Rejection
from tests.support.domain import KERNEL, OTHER, OWNER, Folded, Scene
from tests.support.invariants import broken
from tests.support.machines import MACHINES
from tests.support.walks import Machine, status_of, walk

ROWS = (ProjectItem, SessionItem, WorktreeItem, RunItem, ApprovalItem, GateItem, TaskItem)
LIVELY = ("session", "worktree", "run", "gate", "task")

choices = st.lists(st.integers(0, 10_000), max_size=40)


def told(machine: Machine, numbers: list[int]) -> Scene:
    """A story: each number chooses the next order among those of the alphabet."""
    scene = machine.begin()
    for number in numbers:
        orders = list(machine.orders(scene))
        actor = (OWNER, OTHER)[number % 2]
        scene.when(orders[number // 2 % len(orders)], actor=actor, seed=number)
        assert broken(scene.world) == []
    return scene


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.noun)
def test_nothing_waits_for_ever_anywhere_on_the_walk(machine: Machine) -> None:
    for before, after in walk(machine):
        assert broken(after.world) == [], [event.wire for event in after.history[len(before.history) :]]


def machine_of(noun: str) -> Machine:
    return next(each for each in MACHINES if each.noun == noun)


@given(noun=st.sampled_from(LIVELY), numbers=choices)
@settings(max_examples=150, deadline=None)
def test_nothing_waits_for_ever_in_long_stories(noun: str, numbers: list[int]) -> None:
    told(machine_of(noun), numbers)


@given(noun=st.sampled_from(LIVELY), numbers=choices)
@settings(max_examples=60, deadline=None)
def test_a_log_read_back_folds_to_the_same_state(noun: str, numbers: list[int]) -> None:
    scene = told(machine_of(noun), numbers)
    again = Folded(scene.world.workspace_id)
    for event in scene.history:
        stored = msgspec.json.encode(event)
        decoded = msgspec.json.decode(stored, type=type(event))
        assert decoded == event
        assert msgspec.json.encode(decoded) == stored
        again.record(decoded)
    assert again.states == scene.world.states


@given(noun=st.sampled_from(LIVELY), numbers=choices)
@settings(max_examples=60, deadline=None)
def test_the_same_order_in_the_same_state_decides_the_same(noun: str, numbers: list[int]) -> None:
    scene = told(machine_of(noun), numbers)
    for command in machine_of(noun).orders(scene):
        one, other = scene.copy(), scene.copy()
        first = one.decide(command, one.context(text=command.text()))
        assert first == other.decide(command, other.context(text=command.text()))
        assert one.world.states == scene.world.states, "a decision changes nothing by itself"


@given(noun=st.sampled_from(LIVELY), numbers=choices)
@settings(max_examples=60, deadline=None)
def test_an_order_that_was_carried_out_can_be_repeated_without_a_fault(noun: str, numbers: list[int]) -> None:
    scene = told(machine_of(noun), numbers)
    for command in list(machine_of(noun).orders(scene)):
        after = scene.copy()
        after.when(command)
        repeated = after.when(command, actor=KERNEL)
        assert isinstance(repeated.rejection, Rejection | None)
        assert broken(after.world) == []


@given(noun=st.sampled_from(LIVELY), numbers=choices)
@settings(max_examples=60, deadline=None)
def test_what_people_see_is_what_is_decided_upon(noun: str, numbers: list[int]) -> None:
    scene = told(machine_of(noun), numbers)
    shown = {row.id: row for kind in ROWS for row in scene.rows.every(kind)}
    for (_, id_), own in scene.world.states.items():
        assert shown[id_].status == status_of(own)
        assert shown[id_].version == sum(event.subject().id == id_ for event in scene.history)
