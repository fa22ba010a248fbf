"""Walks along a state machine: by orders, from the beginning, breadth first, until nothing is new.

A walk begins with a scene and follows every order of an alphabet from every state that it
has not seen before, up to a depth. What it gives is the edges it went along, one a line:

    ready --worktree.delete_requested--> deleting

A state counts as seen when only ids, times and counters differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.artifact.state import ArtifactState
from moduprompt.domain.decider import Command, Event, State
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.project.state import ProjectState
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.domain.worktree.state import WorktreeState
from tests.support.domain import Scene

STATES_MAX = 30_000  # a walk that sees more has an alphabet that is too rich
_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_NUMBER = re.compile(rb"(?<=:)\d+")
_VARIES = re.compile(rb'"(token_sha256|retry_due|due_at)":"[^"]*"')

Orders = Callable[[Scene], Iterable[Command]]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """One walk: where it begins, what is ordered at each place, how far it goes.

    `beside`: another walk of the same noun, from a beginning that the first would need too many steps for.
    """

    noun: str
    begin: Callable[[], Scene]
    orders: Orders
    depth: int
    beside: Machine | None = None


def status_of(own: State | None) -> str:
    """The place of an aggregate in its drawing."""
    match own:
        case None:
            return "(none)"
        case TaskState():
            return own.status()
        case GateState():
            return "satisfied" if own.is_satisfied else "blocked"
        case WorkspaceState() | ProjectState() | SessionState() | RunState() | WorktreeState():
            return own.status
        case ApprovalState():
            return own.status
        case ArtifactState():
            return "erased"
        case _:
            return "active"


def edges(machine: Machine) -> list[str]:
    """Every edge of the machine's own aggregate that the walk went along, sorted."""
    found: set[str] = set()
    for each in (machine, machine.beside):
        for before, after in walk(each) if each is not None else ():
            found |= set(_edges_between(machine.noun, before, after))
    return sorted(found)


def walk(machine: Machine) -> Iterator[tuple[Scene, Scene]]:
    """Each step of the walk: the scene before an order and the one after it."""
    empty = Scene(machine.begin().world.workspace_id, views=())
    begun = machine.begin().copy()
    yield empty, begun
    frontier, seen = [begun], {_shape(begun)}
    for _ in range(machine.depth):
        following: list[Scene] = []
        for scene in frontier:
            for command in list(machine.orders(scene)):
                after = scene.copy()
                after.when(command)
                yield scene, after
                shape = _shape(after)
                if shape not in seen:
                    seen.add(shape)
                    following.append(after)
        assert len(seen) < STATES_MAX, f"the walk of {machine.noun} does not end"
        frontier = following


def _edges_between(noun: str, before: Scene, after: Scene) -> Iterator[str]:
    scene = before.copy()
    for event in after.history[len(before.history) :]:
        earlier = status_of(_own(scene, event))
        scene.given(event)
        if event.kind == noun:
            yield f"{earlier} --{event.wire}--> {status_of(_own(scene, event))}"


def _own(scene: Scene, event: Event) -> State | None:
    id_ = event.subject().id
    return next(
        (own for (kind, each), own in scene.world.states.items() if _is(kind, event, each, id_)), None
    )


def _is(kind: type[State], event: Event, each: str, id_: str) -> bool:
    return each == id_ and kind.__name__.lower() == f"{event.kind}state"


def _shape(scene: Scene) -> bytes:
    data = msgspec.json.encode([[type(own).__name__, own] for own in scene.world.states.values()])
    names: dict[bytes, bytes] = {}
    data = _ID.sub(lambda found: names.setdefault(found[0], b"#%d" % len(names)), data)
    return _NUMBER.sub(b"0", _VARIES.sub(b"", data))
