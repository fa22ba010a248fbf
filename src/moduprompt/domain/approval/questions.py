"""Which questions of a run's program wait for somebody's word: what is decided waits no more, whoever has heard of it."""

from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import World


def open_questions(run_id: str, world: World) -> list[ApprovalState]:
    """In the order they were asked."""
    return [each for each in world.related(ApprovalState, run_id) if each.status == "requested"]


def is_about(approval: ApprovalState, request_id: str) -> bool:
    """Whether it is the question that its program calls so."""
    return approval.question is not None and approval.question.request_id == request_id
