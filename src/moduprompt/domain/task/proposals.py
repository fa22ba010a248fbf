"""Moving a task between stages: anyone with the right proposes, the gates decide.

Forward, every gate of every stage on the way must hold. Backward is free: work that is
taken up again needs nobody's leave. But each yes was for the work as it stood: whoever goes
back, or commits more, shuts every gate beyond again, and asks anew. Nobody moves a task while its branch is
being merged. A proposal that is held stays noted, and is carried
out by itself when the last gate opens, or when a pause that hid the opening ends.
"""

from moduprompt.domain.decider import Context, Decision, Event, World
from moduprompt.domain.gate.decide import approval_request, pending_approval, shut_again
from moduprompt.domain.gate.state import GateState
from moduprompt.domain.task.events import StageChanged, TaskBlocked, TaskUnblocked
from moduprompt.domain.task.merging import is_being_merged
from moduprompt.domain.task.state import TaskState
from moduprompt.protocol import GateId, invalid


def propose(own: TaskState, to: str | None, *, world: World, context: Context) -> Decision:
    """The move, or what holds it, or why it makes no sense."""
    if own.phase != "running":
        return invalid(
            "task_not_running",
            f"task {own.task_id} is {own.phase}",
            hint=f"mpctl task {'resume' if own.phase == 'paused' else 'start'} {own.task_id}",
            status=own.phase,
        )
    here = own.place_of(own.stage)
    there = here + 1 if to is None else own.place_of(to)
    if to is not None and there < 0:
        names = ", ".join(stage.name for stage in own.stages)
        return invalid(
            "no_such_stage",
            f"task {own.task_id} has no stage {to}; it has {names}",
            hint=f"mpctl task advance {own.task_id} goes to the next",
        )
    if there == here:
        return []
    if is_being_merged(own, world):
        return invalid(
            "merge_under_way",
            f"the branch of task {own.task_id} is being merged; it stays in {own.stage} until that is done",
            hint=f"mpctl task show {own.task_id}",
        )
    if there >= len(own.stages):
        return invalid(
            "last_stage",
            f"task {own.task_id} is in its last stage {own.stage}",
            hint=f"mpctl task complete {own.task_id}",
        )
    target = own.stages[there].name
    if there < here:
        return [*moved(own, target), *gates_shut_again(own, target, world)]
    return enter(own, target, world=world, context=context)


def enter(own: TaskState, target: str, *, world: World, context: Context) -> list[Event]:
    """The move where the gates hold; else the note that it is held, with the approvals it needs."""
    closed = closed_gates(own, target, world)
    if not closed:
        return moved(own, target)
    requests = missing_requests(closed, target, world=world, context=context)
    if own.proposed == target and "approval" in own.blocks:
        return requests
    ids: tuple[GateId, ...] = tuple(gate.gate_id for gate in closed)
    return [TaskBlocked(task_id=own.task_id, by="approval", stage=target, gate_ids=ids), *requests]


def closed_gates(own: TaskState, target: str, world: World) -> tuple[GateState, ...]:
    """The gates between here and there that are not open; of one stage alone where it is to be entered anew."""
    here, there = own.place_of(own.stage), own.place_of(target)
    way = own.stages[min(here + 1, there) : there + 1]
    gates = (world.find(GateState, gate_id) for stage in way for gate_id in stage.gate_ids)
    return tuple(gate for gate in gates if gate is not None and not gate.is_satisfied)


def gates_shut_again(own: TaskState, target: str, world: World) -> list[Event]:
    """Whatever was said about the stages beyond this one was said of work that is taken up again."""
    return _shut_from(own, own.place_of(target) + 1, world=world, reason=f"the task went back to {target}")


def gates_overtaken(own: TaskState, head: str, world: World) -> list[Event]:
    """Whatever was said about the stages to come was said of a branch that has more on it now.

    So it was of the merge that the task stands in, where git is not at it: it was refused, and is to be tried again.
    """
    first = own.place_of(own.stage) + 1
    if own.stage is not None and own.kind_of(own.stage) == "merge" and not is_being_merged(own, world):
        first -= 1
    return _shut_from(own, first, world=world, reason=f"its branch has more on it, and stands at {head}")


def _shut_from(own: TaskState, first: int, *, world: World, reason: str) -> list[Event]:
    gates = (world.find(GateState, gate_id) for stage in own.stages[first:] for gate_id in stage.gate_ids)
    return [fact for gate in gates if gate for fact in shut_again(gate, world, reason=reason)]


def moved(own: TaskState, target: str) -> list[Event]:
    """It stands there now; what held it is over."""
    facts: list[Event] = []
    if "approval" in own.blocks:
        facts.append(TaskUnblocked(task_id=own.task_id, by="approval"))
    return [*facts, StageChanged(task_id=own.task_id, stage=target, before=own.stage)]


def missing_requests(
    closed: tuple[GateState, ...], target: str, *, world: World, context: Context
) -> list[Event]:
    """The approvals that nobody is being asked for yet."""
    return [
        approval_request(gate, context, reason=f"the task wants to enter {target}")
        for gate in closed
        if gate.gate_kind == "manual_approval" and pending_approval(gate, world) is None
    ]
