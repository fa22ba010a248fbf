"""What an erased artifact needs done: it is wanted gone for ever, so each start looks again.

A backup that is put back, or a crash between the event and the deletion, changes nothing.
"""

from moduprompt.domain.artifact.state import ArtifactState
from moduprompt.domain.decider import Intent, World
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import ArtifactRef, RunId


class EraseBytes(Intent, frozen=True, kw_only=True):
    """The bytes are nowhere in the workspace, nor in what its runs keep of them."""

    ref: ArtifactRef
    recording_of: RunId | None
    prompt_of: tuple[RunId, ...]


def intents(own: ArtifactState, world: World) -> tuple[Intent, ...]:
    """What is wanted and not known to be done."""
    told = {
        each.session_id for each in world.every(SessionState) if each.prompt and each.prompt.ref == own.ref
    }
    runs = [run.run_id for id_ in sorted(told) for run in world.related(RunState, id_)]
    erase = EraseBytes(
        name=f"artifact/{world.workspace_id}/{own.ref}/erase",
        workspace_id=world.workspace_id,
        ref=own.ref,
        recording_of=own.run_id,
        prompt_of=tuple(runs),
    )
    return (erase,)
