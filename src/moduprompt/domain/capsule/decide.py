"""Which orders about a capsule are taken. There is one of each kind in a session; it is enforced how long."""

from moduprompt.domain.capsule.commands import CHARS_MAX, CapsuleKind, WriteCapsule
from moduprompt.domain.capsule.events import CapsuleUpdated
from moduprompt.domain.capsule.state import CapsuleState
from moduprompt.domain.decider import Context, Decision, World
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import CapsuleId, SessionId, invalid, missing


def decide(command: WriteCapsule, _own: CapsuleState | None, world: World, context: Context) -> Decision:
    """Facts, or why not. The same text again is a wish fulfilled."""
    if world.find(SessionState, command.session_id) is None:
        return missing("session", command.session_id)
    kind, text = command.capsule_kind, context.stored_text()
    if text.chars > CHARS_MAX[kind]:
        return invalid(
            "capsule_too_long",
            f"a {kind} capsule has at most {CHARS_MAX[kind]:,} characters, this text has {text.chars:,}",
            hint="a capsule is read instead of the transcript: leave out what can be looked up",
            chars=text.chars,
            chars_max=CHARS_MAX[kind],
        )
    before = capsule_of(command.session_id, kind, world)
    if before is not None and before.text == text:
        return []
    return [
        CapsuleUpdated(
            capsule_id=context.mint(CapsuleId) if before is None else before.capsule_id,
            session_id=command.session_id,
            capsule_kind=kind,
            text=text,
        )
    ]


def capsule_of(session_id: SessionId, kind: CapsuleKind, world: World) -> CapsuleState | None:
    """The session's capsule of this kind, if it has one."""
    return next((each for each in world.related(CapsuleState, session_id) if each.capsule_kind == kind), None)
