"""A run's row says what it was last seen doing, and what before."""

from __future__ import annotations

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Stamp
from moduprompt.domain.run.events import RunRequested, RunStatusObserved
from moduprompt.domain.run.view import SEEN_EVIDENCE_MAX, SEEN_SHOWN, RunItem, fold
from moduprompt.domain.session.commands import Agent
from moduprompt.protocol import Actor, ProjectId, RunId, SessionId, WorkspaceId
from moduprompt.views.memory import MemoryRows

ID = "00000000-0000-7000-8000-0000000000a1"
REQUESTED = RunRequested(
    run_id=RunId(ID),
    session_id=SessionId(ID),
    project_id=ProjectId(ID),
    agent=Agent(adapter="command"),
    ordinal=1,
    token_sha256="0" * 64,
    rows=40,
    cols=120,
)


def observed(number: int, *, evidence: str = "a line") -> RunStatusObserved:
    return RunStatusObserved(
        run_id=RunId(ID), status="working", rule=f"rule{number}", rule_version=number, evidence=evidence
    )


def folded(*events: Event) -> RunItem:
    rows = MemoryRows()
    for number, event in enumerate(events, 1):
        stamp = Stamp(
            workspace_id=WorkspaceId(ID),
            seq=number,
            version=number,
            timestamp=f"at {number}",
            actor=Actor(kind="system", id="kernel"),
        )
        fold(rows, event, stamp)
    row = rows.get(RunItem, ID)
    assert row is not None
    return row


def test_the_last_observations_stand_in_order_with_time_rule_and_version() -> None:
    row = folded(REQUESTED, *(observed(number) for number in range(1, SEEN_SHOWN + 3)))

    assert [each.rule_version for each in row.seen] == list(range(3, SEEN_SHOWN + 3))
    assert (row.seen[-1].at, row.seen[-1].rule) == (f"at {SEEN_SHOWN + 3}", f"rule{SEEN_SHOWN + 2}")
    assert (row.rule, row.rule_version) == (row.seen[-1].rule, row.seen[-1].rule_version)


def test_evidence_is_cut_in_what_was_before_and_whole_in_what_is_now() -> None:
    row = folded(REQUESTED, observed(1, evidence="x" * 900))

    assert len(row.seen[0].evidence) == SEEN_EVIDENCE_MAX
    assert row.evidence == "x" * 900
