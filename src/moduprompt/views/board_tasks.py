"""Tasks on the board, each with its gates and approvals folded in as what it waits for."""

from functools import lru_cache
from typing import Final

from msgspec.structs import replace

from moduprompt.domain.approval.events import ApprovalEvent, ApprovalRequested
from moduprompt.domain.gate.events import GateBlocked, GateFact
from moduprompt.domain.item import Rows, Stamp
from moduprompt.domain.task.events import (
    AttemptFailed,
    TaskAssigned,
    TaskCreated,
    TaskEvent,
    TaskFact,
    TaskFailed,
    TaskStarted,
)
from moduprompt.domain.task.state import TaskState, evolve
from moduprompt.views.board_changes import changed, draw_edge, erase_edge, make_part, new_node, node_of
from moduprompt.views.board_rows import (
    ApprovalFacts,
    BoardNode,
    GateFacts,
    StageCard,
    StageMark,
    TaskFacts,
    Wait,
    short,
)

CARDS_KEPT: Final = 1_000  # stages are few, and their names repeat in every task: one card serves them all


def fold_task(rows: Rows, event: TaskEvent, stamp: Stamp) -> None:
    """An event of a task into its node and edges."""
    if isinstance(event, TaskCreated):
        facts = TaskFacts(state=evolve(None, event))
        node = new_node(event, stamp, kind="task", title=event.title, facts=facts)
        rows.put(_settled(node, event, stamp, facts=facts))
        return
    node = rows.get(BoardNode, event.task_id)  # a task is a node itself, and never a part of one
    if node is None or not isinstance(node.facts, TaskFacts):
        return
    if isinstance(event, TaskAssigned):
        _reassign(rows, event, stamp, before=node.facts.state.session_id)
    fact: TaskFact = event  # type: ignore[assignment]  # every TaskEvent is one of the union
    facts = replace(node.facts, state=evolve(node.facts.state, fact), failure=_failure(node.facts, event))
    rows.put(_settled(node, event, stamp, facts=facts))


def fold_gate(rows: Rows, event: GateFact, stamp: Stamp) -> None:
    """A gate closes or opens in front of one of the task's stages."""
    if isinstance(event, GateBlocked):
        make_part(rows, event, stamp, node_id=event.task_id, label=f"gate to {event.stage}")
    node = node_of(rows, event.gate_id)
    if node is None or not isinstance(node.facts, TaskFacts):
        return
    gates = node.facts.gates
    if not isinstance(event, GateBlocked):
        after = tuple(replace(g, is_open=True) if g.gate_id == event.gate_id else g for g in gates)
    else:
        closed = GateFacts(
            gate_id=event.gate_id,
            stage=event.stage,
            gate_kind=event.gate_kind,
            since=stamp.timestamp,
            approvals_needed=event.approvals_needed,
        )
        after = (*(g for g in gates if g.gate_id != event.gate_id), closed)
    rows.put(_settled(node, event, stamp, facts=replace(node.facts, gates=after)))


def fold_approval(rows: Rows, event: ApprovalEvent, stamp: Stamp) -> None:
    """A word is asked for, given, refused or taken back."""
    if isinstance(event, ApprovalRequested):
        make_part(rows, event, stamp, node_id=event.task_id, label=f"approval to enter {event.stage}")
    node = node_of(rows, event.approval_id)
    if node is None or not isinstance(node.facts, TaskFacts):
        return
    approvals = node.facts.approvals
    if isinstance(event, ApprovalRequested):
        asked = ApprovalFacts(
            approval_id=event.approval_id, gate_id=event.gate_id, stage=event.stage, since=stamp.timestamp
        )
        after = (*approvals, asked)
    else:
        status = event.wire.partition(".")[2]
        after = tuple(
            replace(a, status=status) if a.approval_id == event.approval_id else a for a in approvals
        )
    rows.put(_settled(node, event, stamp, facts=replace(node.facts, approvals=after)))


def _reassign(rows: Rows, event: TaskAssigned, stamp: Stamp, *, before: str | None) -> None:
    if before is not None:
        erase_edge(rows, "assignment", source=event.task_id, target=before)
    draw_edge(rows, stamp, "assignment", source=event.task_id, target=event.session_id)


def _failure(facts: TaskFacts, event: TaskEvent) -> str | None:
    if isinstance(event, AttemptFailed | TaskFailed):
        return f"{event.failure.value}: {event.reason}" if event.reason else event.failure.value
    return None if isinstance(event, TaskStarted) else facts.failure


def _settled(
    node: BoardNode, event: TaskEvent | GateFact | ApprovalEvent, stamp: Stamp, *, facts: TaskFacts
) -> BoardNode:
    status = facts.state.status()
    since = stamp.timestamp if status != node.status else node.since
    return changed(
        node,
        event,
        stamp,
        facts=facts,
        status=status,
        lane=facts.state.stage,
        stages=_cards(facts.state),
        detail=_detail(facts),
        waits=_waits(node, facts, since=since),
    )


def _cards(state: TaskState) -> tuple[StageCard, ...]:
    here = state.place_of(state.stage)
    return tuple(
        [_card(stage.name, stage.kind, _mark(state, place, here)) for place, stage in enumerate(state.stages)]
    )


@lru_cache(maxsize=CARDS_KEPT)
def _card(name: str, kind: str, mark: StageMark) -> StageCard:
    return StageCard(name=name, kind=kind, mark=mark)


def _mark(state: TaskState, place: int, here: int) -> StageMark:
    if place < here or state.phase == "succeeded":
        return "passed"
    if place == here:
        return "failed" if state.phase in ("failed", "cancelled") else "here"
    if state.blocks and "approval" in state.blocks and place == state.place_of(state.proposed):
        return "held"
    return "ahead"


def _detail(facts: TaskFacts) -> tuple[str, ...]:
    state = facts.state
    lines = [f"attempt {state.attempt} of {state.retry.max_attempts}"] if state.attempt else []
    for gate in facts.gates:
        word, needed = "open" if gate.is_open else "closed", ""
        if gate.gate_kind == "manual_approval":
            granted = sum(a.gate_id == gate.gate_id and a.status == "granted" for a in facts.approvals)
            needed = f", {granted} of {gate.approvals_needed} approvals"
        lines.append(f"gate to {gate.stage} {word}{needed}")
    if state.deadline is not None:
        lines.append(f"due at {state.deadline}")
    if facts.failure is not None:
        lines.append(facts.failure)
    return tuple(lines)


def _waits(node: BoardNode, facts: TaskFacts, *, since: str) -> tuple[Wait, ...]:
    state = facts.state
    if not state.is_open():
        return ()
    asked = tuple(_on_owner(node.title, a) for a in facts.approvals if a.status == "requested")
    return (*asked, *_on_others(node, facts, since=since, is_asked=bool(asked)))


def _on_owner(title: str, asked: ApprovalFacts) -> Wait:
    return Wait(
        what=f"“{title}” may enter {asked.stage}?",
        on="owner",
        whom="the workspace's owner",
        since=asked.since,
        command=f"mpctl approval grant {short(asked.approval_id)}",
    )


def _on_others(node: BoardNode, facts: TaskFacts, *, since: str, is_asked: bool) -> tuple[Wait, ...]:
    state, id_ = facts.state, short(node.id)
    if state.phase == "paused":
        return (_on_person(f"“{node.title}” is paused", since, command=f"mpctl task resume {id_}"),)
    if state.phase == "queued" and state.retry_due is not None:
        what, due = f"attempt {state.attempt + 1} of “{node.title}” begins", state.retry_due
        return (Wait(what=what, on="clock", whom="the clock", since=since, until=due, note=facts.failure),)
    if state.phase == "queued":
        return (_on_person(f"“{node.title}” is not started", since, command=f"mpctl task start {id_}"),)
    if "approval" not in state.blocks or is_asked:
        return ()
    return _on_gates(node, facts, since=since)


def _on_gates(node: BoardNode, facts: TaskFacts, *, since: str) -> tuple[Wait, ...]:
    """It is held, and nobody is asked: a machine opens the gate, or somebody has to ask anew."""
    here, there = (facts.state.place_of(stage) for stage in (facts.state.stage, facts.state.proposed))
    on_the_way = [g for g in facts.gates if not g.is_open and here < facts.state.place_of(g.stage) <= there]
    machines = [g for g in on_the_way if g.gate_kind != "manual_approval"]
    if not machines:
        again = f"mpctl task advance {short(node.id)}"
        return (_on_person(f"nobody is asked to let “{node.title}” go on", since, command=again),)
    return tuple(
        Wait(
            what=f"“{node.title}” may enter {g.stage}?",
            on="gate",
            whom=f"its {g.gate_kind} gate",
            since=since,
        )
        for g in machines
    )


def _on_person(what: str, since: str, *, command: str) -> Wait:
    return Wait(what=what, on="person", whom="a person", since=since, command=command)
