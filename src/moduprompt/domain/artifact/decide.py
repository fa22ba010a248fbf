"""Which orders about an artifact are taken."""

from moduprompt.domain.artifact.commands import EraseArtifact
from moduprompt.domain.artifact.events import ArtifactErased
from moduprompt.domain.artifact.state import ArtifactState
from moduprompt.domain.decider import ArtifactFacts, Context, Decision, World
from moduprompt.protocol import missing


def decide(command: EraseArtifact, own: ArtifactState | None, _world: World, context: Context) -> Decision:
    """Facts, or why not. What this workspace's events don't name does not exist in it, whoever else has it."""
    if own is not None:
        return []
    facts = context.observed
    if not isinstance(facts, ArtifactFacts):
        return missing("artifact", command.ref)
    return [ArtifactErased(ref=command.ref, reason=command.reason, run_id=facts.run_id)]
