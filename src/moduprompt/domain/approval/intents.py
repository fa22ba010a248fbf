"""What is decided about a program's question is told to the program."""

from moduprompt.domain.approval.state import ApprovalState
from moduprompt.domain.decider import Intent, World
from moduprompt.domain.run.events import RunExited, RunLost
from moduprompt.domain.run.state import RunState
from moduprompt.protocol import ApprovalId, RunId


class AnswerPermission(Intent, frozen=True, kw_only=True):
    """The program gets this answer to its question, once. `option`: one that it offered, by its id.

    `tool` and `arguments_digest`: what was shown to whoever decided. A program may give two questions one name.
    """

    run_id: RunId
    approval_id: ApprovalId
    request_id: str
    tool: str
    arguments_digest: str
    option: str


def woken_by(event: RunExited | RunLost, world: World) -> tuple[str, ...]:
    """Nobody is left to be told."""
    return tuple(approval.approval_id for approval in world.related(ApprovalState, event.run_id))


def intents(own: ApprovalState, world: World) -> tuple[Intent, ...]:
    """What is wanted and not known to be done."""
    asked = own.question
    if asked is None or asked.chosen is None or asked.answered is not None:
        return ()
    run = world.find(RunState, asked.run_id)
    if run is None or not run.is_live():
        return ()
    return (
        AnswerPermission(
            name=f"approval/{own.approval_id}/answer",
            workspace_id=world.workspace_id,
            run_id=asked.run_id,
            approval_id=own.approval_id,
            request_id=asked.request_id,
            tool=asked.tool,
            arguments_digest=asked.arguments_digest,
            option=asked.chosen,
        ),
    )
