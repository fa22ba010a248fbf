"""Which orders about a capsule are taken. There is one of each kind in a session; it is enforced how long."""

from moduprompt.domain.capsule.commands import (
    CHARS_MAX,
    CapsuleCommand,
    CapsuleKind,
    ReportMade,
    WriteCapsule,
)
from moduprompt.domain.capsule.events import CapsuleUpdated
from moduprompt.domain.capsule.state import CapsuleState
from moduprompt.domain.decider import CapsuleFacts, Context, Decision, World
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import ArtifactRef, CapsuleId, SessionId, TextRef, invalid, missing


def decide(command: CapsuleCommand, _own: CapsuleState | None, world: World, context: Context) -> Decision:
    """Facts, or why not. Neither has a key: a capsule is found by its session and kind."""
    return (
        _write(command, world, context)
        if isinstance(command, WriteCapsule)
        else _make(command, world, context)
    )


def _make(command: ReportMade, world: World, context: Context) -> Decision:
    """What somebody wrote stands, and a session that is closed is spoken of no more."""
    session = world.find(SessionState, command.session_id)
    before = capsule_of(command.session_id, "status", world)
    is_written = before is not None and before.made_for is None
    if session is None or session.status == "closed" or is_written:
        return []
    text = TextRef(ref=ArtifactRef(command.account), chars=command.chars)
    if before is not None and before.text == text:
        return []
    return [
        CapsuleUpdated(
            capsule_id=context.mint(CapsuleId) if before is None else before.capsule_id,
            session_id=command.session_id,
            capsule_kind="status",
            text=text,
            made_for=command.run_id,
        )
    ]


def _write(command: WriteCapsule, world: World, context: Context) -> Decision:
    """The same text again is a wish fulfilled; one that the kernel made becomes the session's own."""
    if world.find(SessionState, command.session_id) is None:
        return missing("session", command.session_id)
    kind, text = command.capsule_kind, context.stored_text()
    observed = context.observed
    chars_max = observed.chars_max if isinstance(observed, CapsuleFacts) else CHARS_MAX[kind]
    if text.chars > chars_max:
        return invalid(
            "capsule_too_long",
            f"a {kind} capsule has at most {chars_max:,} characters, this text has {text.chars:,}",
            hint="a capsule is read instead of the transcript: leave out what can be looked up",
            chars=text.chars,
            chars_max=chars_max,
        )
    before = capsule_of(command.session_id, kind, world)
    if before is not None and before.text == text and before.made_for is None:
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
