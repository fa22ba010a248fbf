"""What a run's program says while questions of its are open: orders about runs, in view of approvals.

Whoever has asked something and got no word yet is blocked, whatever else it does meanwhile: somebody has to answer, and
would not look at one that works. A question that is taken back when it was decided already, or that never was one,
says nothing new: what became of its answer is told by that.
"""

from msgspec.structs import replace

from moduprompt.domain.approval.questions import open_questions
from moduprompt.domain.decider import Context, Decision, World
from moduprompt.domain.run import decide as runs
from moduprompt.domain.run.commands import ReportSaid, RunCommand, Sighting
from moduprompt.domain.run.said import PermissionAsked, PermissionWithdrawn, Said
from moduprompt.domain.run.saying import RULE_VERSION, SAID_PERMISSION
from moduprompt.domain.run.state import RunState


def decide(command: RunCommand, own: RunState | None, world: World, context: Context) -> Decision:
    """Facts, or why not: of every order about a run."""
    if isinstance(command, ReportSaid) and own is not None:
        command = _beside_questions(command, own, world)
    return runs.decide(command, own, world, context)


def _beside_questions(command: ReportSaid, own: RunState, world: World) -> ReportSaid:
    places = command.places or (command.upto,) * len(command.said)
    questions = (each.question for each in open_questions(own.run_id, world))
    asked = {each.request_id for each in questions if each is not None}
    fresh = [(at, said) for at, said in zip(places, command.said, strict=False) if at > own.said_upto]
    kept = [(at, said) for at, said in fresh if _says_something(said, asked)]
    return replace(
        command,
        said=tuple(said for _, said in kept),
        places=tuple(at for at, _ in kept),
        seen=_seen(command.seen, asked),
    )


def _says_something(said: Said, asked: set[str]) -> bool:
    """Keeps `asked`, the names of what is open, in step."""
    if isinstance(said, PermissionAsked):
        asked.add(said.request_id)
    if not isinstance(said, PermissionWithdrawn):
        return True
    is_open = said.request_id in asked
    asked.discard(said.request_id)
    return is_open


def _seen(seen: Sighting | None, asked: set[str]) -> Sighting | None:
    if seen is None or seen.status != "working" or not asked:
        return seen
    return Sighting(
        status="blocked_on_permission",
        rule=SAID_PERMISSION,
        rule_version=RULE_VERSION,
        evidence=f"{len(asked)} of its questions wait for an answer",
    )
