"""A start in words."""

from __future__ import annotations

from msgspec.structs import replace

from moduprompt.cli.recovered import to_line, to_page
from moduprompt.protocol import MissingWorktree, RecoveredRun, Recovery, RunId, Stray, WorkspaceId, WorktreeId

QUIET = Recovery(version="1.2.3", began_at="2026-01-01T00:00:00.000000Z", took_ms=12)
LOST = RecoveredRun(
    run_id=RunId("r1"),
    workspace_id=WorkspaceId("w1"),
    fate="lost",
    entries=2,
    evidence="keeper 10 is not alive",
    swept=("tool (12)",),
)
STRAY = Stray(kind="run_folder", name="x\x1b[2J", why="no log knows this run")
MISSING = MissingWorktree(worktree_id=WorktreeId("t1"), workspace_id=WorkspaceId("w1"), path="/srv/t1")


def test_a_start_as_expected_needs_no_line() -> None:
    kept = RecoveredRun(run_id=RunId("r1"), workspace_id=WorkspaceId("w1"), fate="reattached")

    assert to_line(QUIET) is None
    assert to_line(replace(QUIET, runs=(kept,))) is None
    assert "re-attached" in to_page(replace(QUIET, runs=(kept,)))


def test_what_was_not_as_expected_is_one_line_that_says_where_to_look() -> None:
    found = replace(QUIET, runs=(LOST,), strays=(STRAY,), missing_worktrees=(MISSING,))

    assert to_line(found) == "1 lost; 1 left alone; 1 worktrees missing: mpctl recovery show"


def test_the_page_says_all_of_it_and_no_name_acts_on_the_terminal() -> None:
    page = to_page(replace(QUIET, runs=(LOST,), strays=(STRAY,), missing_worktrees=(MISSING,), left_out=4))

    assert "run r1: lost; 2 journal entries taken; keeper 10 is not alive" in page
    assert "ended what was left: tool (12)" in page
    assert "/srv/t1 is missing" in page
    assert "and 4 more" in page
    assert "\x1b" not in page


def test_a_start_that_still_looks_says_so() -> None:
    assert "still looking" in to_page(replace(QUIET, took_ms=None))
