"""Since when a run does what it does, and how it is told what became of it."""

import pytest
from msgspec.structs import replace

from moduprompt.cli.outcomes import UNSEEN, evidence_told, outcome_told, program_told, rule_told, since_when
from moduprompt.domain.run.view import RunItem, SeenItem
from moduprompt.protocol import WorkspaceId

ID = "01935450-0000-7000-8000-000000000001"
NOON, ONE, TWO, THREE = (f"2026-11-23T{hour}:00:00.000000Z" for hour in (12, 13, 14, 15))


def seen(at: str, status: str) -> SeenItem:
    return SeenItem(at=at, status=status, rule="a_rule", rule_version=1, evidence="it is so")


def run(*looks: SeenItem, status: str = "started") -> RunItem:
    return RunItem(
        id=ID, workspace_id=WorkspaceId(ID), version=9, created_at=NOON, updated_at=THREE, session_id=ID, project_id=ID, ordinal=1,
        adapter="claude", argv=(), status=status, rows=24, cols=80, seen=looks, observed=looks[-1].status,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("of", "since"),
    [
        (run(seen(NOON, "working"), seen(ONE, "blocked_on_permission")), ONE),
        (run(seen(NOON, "working"), seen(ONE, "idle"), seen(TWO, "idle")), ONE),
        (run(seen(NOON, "working"), status="exited"), THREE),
    ],
)
def test_it_does_it_since_it_was_first_seen_doing_it_and_not_since_it_was_last_told_of(
    of: RunItem, since: str
) -> None:
    assert since_when(of) == since


def test_an_outcome_is_told_with_its_rule_and_evidence() -> None:
    ended = replace(
        run(seen(NOON, "working"), status="exited"),
        outcome="failed",
        outcome_rule="turn_failed",
        outcome_evidence="its turn failed",
    )

    assert outcome_told(ended) == "failed: its turn failed (rule turn_failed)"
    assert outcome_told(run(seen(NOON, "working"))) is None


def test_what_has_ended_is_not_told_by_what_was_seen_before() -> None:
    works = replace(
        run(seen(NOON, "working")), rule="prompt_submitted", rule_version=1, evidence="it was typed"
    )
    assert (rule_told(works), evidence_told(works)) == ("prompt_submitted (version 1)", "it was typed")
    ended = replace(works, status="exited", observed="exited")
    assert (rule_told(ended), evidence_told(ended)) == (None, None)
    lost = replace(works, status="lost", observed="lost", evidence="no keeper")
    assert (rule_told(lost), evidence_told(lost)) == (None, "no keeper")


def test_what_nobody_has_known_from_the_beginning_is_told_so() -> None:
    begun = replace(run(seen(NOON, "unknown")), seen=(), observed="unknown")
    assert (rule_told(begun), evidence_told(begun)) == (None, UNSEEN)
    known = replace(
        begun, rule="generic/no_rule", rule_version=4, evidence="none of 10 rules fits the screen"
    )
    assert evidence_told(known) == "none of 10 rules fits the screen"


@pytest.mark.parametrize(
    ("adapter", "argv", "told"),
    [
        ("claude", (), "claude"),
        ("claude", ("--turns", "many"), "claude --turns many"),
        ("acp", ("gemini",), "acp gemini"),
        ("command", ("bash", "-l"), "bash -l"),
        ("scripted", ("/greet.toml",), "/greet.toml"),
    ],
)
def test_a_program_is_told_with_its_name(adapter: str, argv: tuple[str, ...], told: str) -> None:
    assert program_told(replace(run(seen(NOON, "working")), adapter=adapter, argv=argv)) == told
