"""What people see of a run."""

from typing import Final

import msgspec

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View, revised
from moduprompt.domain.run.events import (
    RunConversationChosen,
    RunConversationNamed,
    RunEvent,
    RunExited,
    RunLost,
    RunOutputRecorded,
    RunRequested,
    RunResized,
    RunStarted,
    RunStatusObserved,
    RunStopRequested,
    RunToolCalled,
    RunTroubleObserved,
    RunTurnBegan,
    RunTurnEnded,
    RunUsageReported,
)
from moduprompt.domain.run.turn_items import TURN_FACTS, TurnItem, with_turn
from moduprompt.domain.run.usage import Usage, summed
from moduprompt.domain.session.limits import RunLimits

SEEN_SHOWN: Final = 8  # the last observations, to see how it came to this; the log has them all
SEEN_EVIDENCE_MAX: Final = 200  # characters of each; the newest one stands in full beside


class SeenItem(msgspec.Struct, frozen=True, kw_only=True):
    """What it was seen doing at a time, by which rule of which version, on what evidence."""

    at: str
    status: str
    rule: str
    rule_version: int
    evidence: str


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """It waits for room to start: its place in the queue, from 1 on, and why; `why` also says what unblocks it."""

    place: int
    since: str
    why: str


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """Its keeper lives and has not answered since then; what it says is told when it answers again."""

    since: str
    why: str


class RunItem(Item, frozen=True, kw_only=True):
    """A row of `/v1/runs`. `observed` is what it was last seen doing, with rule and evidence; `seen` the last ones.

    `conversation` to `trouble` are what its program told of itself; all of it stays empty for a program that tells
    nothing. `usage.unpriced` counts the reports that had no cost: with any, `cost_micros` is not the whole.
    `resumes` is the run whose conversation it was to carry on, `begun` what became of that, `begun_why` why.
    `waits` and `unanswered` are of the moment of the reading: no event holds them and no row, and a read of the past
    has none.
    """

    session_id: str
    project_id: str
    ordinal: int
    adapter: str
    argv: tuple[str, ...]
    status: str
    rows: int
    cols: int
    worktree_id: str | None = None
    pid: int | None = None
    start_time: int | None = None
    caught_by: str | None = None
    limits_held: tuple[str, ...] = ()
    limits: RunLimits | None = None
    observed: str = "unknown"
    rule: str | None = None
    rule_version: int | None = None
    evidence: str | None = None
    seen: tuple[SeenItem, ...] = ()
    stop_requested: bool = False
    how: str | None = None
    code: int | None = None
    signal: int | None = None
    failure: str | None = None
    reason: str | None = None
    output_bytes: int | None = None
    leftovers: int = 0
    recording: str | None = None
    outcome: str | None = None
    outcome_rule: str | None = None
    outcome_evidence: str | None = None
    conversation: str | None = None
    turns: int = 0
    is_in_turn: bool = False
    tools: int = 0
    usage: Usage = Usage()
    trouble: str | None = None
    last_turns: tuple[TurnItem, ...] = ()
    waits: Waits | None = None
    resumes: str | None = None
    begun: str | None = None
    begun_why: str | None = None
    unanswered: Unanswered | None = None


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    """One event into the rows."""
    if isinstance(event, RunRequested):
        rows.put(
            RunItem(
                id=event.run_id,
                workspace_id=stamp.workspace_id,
                version=stamp.version,
                created_at=stamp.timestamp,
                updated_at=stamp.timestamp,
                session_id=event.session_id,
                project_id=event.project_id,
                worktree_id=event.worktree_id,
                ordinal=event.ordinal,
                adapter=event.agent.adapter,
                argv=event.agent.argv,
                status="requested",
                rows=event.rows,
                cols=event.cols,
                resumes=event.resumes,
            )
        )
        return
    row = rows.get(RunItem, event.run_id) if isinstance(event, RunEvent) else None
    if row is not None:
        changes = {**_changes(event), **_told(row, event), **_seen(row, event, stamp)}
        if isinstance(event, TURN_FACTS):
            changes["last_turns"] = with_turn(row.last_turns, event, at=stamp.timestamp)
        rows.put(revised(row, stamp, **changes))


def _seen(row: RunItem, event: Event, stamp: Stamp) -> dict[str, object]:
    if not isinstance(event, RunStatusObserved):
        return {}
    now = SeenItem(
        at=stamp.timestamp,
        status=event.status,
        rule=event.rule,
        rule_version=event.rule_version,
        evidence=event.evidence[:SEEN_EVIDENCE_MAX],
    )
    return {"rule_version": event.rule_version, "seen": (*row.seen, now)[-SEEN_SHOWN:]}


def _told(row: RunItem, event: Event) -> dict[str, object]:
    match event:
        case RunConversationNamed():
            return {"conversation": event.conversation_id}
        case RunTurnBegan():
            return {"turns": event.turn, "is_in_turn": True, "trouble": None}
        case RunTurnEnded():
            return {"is_in_turn": False, "trouble": None if event.how == "done" else row.trouble}
        case RunToolCalled():
            return {"tools": row.tools + 1}
        case RunUsageReported():
            return {"usage": summed(row.usage, event)}
        case RunTroubleObserved():
            return {"trouble": event.failure.value}
        case RunExited() | RunLost():
            return {"is_in_turn": False}
        case _:
            return {}


def _changes(event: Event) -> dict[str, object]:
    match event:
        case RunConversationChosen():
            return {
                "begun": event.begun,
                "begun_why": event.why,
                "conversation": event.conversation_id,
            }
        case RunStarted():
            return {
                "status": "started",
                "pid": event.pid,
                "start_time": event.start_time,
                "caught_by": event.caught_by,
                "limits_held": event.limits_held,
                "limits": event.limits,
            }
        case RunStatusObserved():
            return {"observed": event.status, "rule": event.rule, "evidence": event.evidence}
        case RunResized():
            return {"rows": event.rows, "cols": event.cols}
        case RunStopRequested():
            return {"stop_requested": True}
        case RunOutputRecorded():
            return {"recording": event.recording, "output_bytes": event.output_bytes}
        case RunExited():
            return {
                "status": "exited",
                "observed": "exited",
                "how": event.how,
                "code": event.code,
                "signal": event.signal,
                "failure": event.failure.value if event.failure else None,
                "reason": event.reason,
                "output_bytes": event.output_bytes,
                "leftovers": event.leftovers,
                "outcome": event.outcome,
                "outcome_rule": event.rule,
                "outcome_evidence": event.evidence,
            }
        case RunLost():
            return {"status": "lost", "observed": "lost", "evidence": event.evidence}
        case _:
            return {}


VIEW = View(name="runs", version=7, collections=(("runs", RunItem),), fold=fold, takes=(RunEvent,))
