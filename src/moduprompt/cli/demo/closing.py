"""How the demo ends: what came of it, where it lies, and what to type next."""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from moduprompt.cli.demo.follower import Follower
from moduprompt.cli.demo.play import Cast, Outcome
from moduprompt.cli.live.spans import to_plain
from moduprompt.cli.live.text import plain
from moduprompt.cli.live.tree import draw_tree
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.worktree.view import WorktreeItem
from moduprompt.views.board import Board
from moduprompt.views.board_rows import short

WIDTH = 100  # of the session tree in a report, where no terminal is narrower
INDENT = "  "
EVENT_CELLS = 27  # the longest name of an event that a demo makes


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that the demo's agents made."""

    session: str
    id: str
    title: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `mpctl demo --json` prints."""

    workspace_id: str
    project_id: str
    task_id: str
    session_ids: tuple[str, ...]
    run_ids: tuple[str, ...]
    commits: tuple[Commit, ...]
    merge_commit: str | None
    merged_into: str
    repository: str
    events: dict[str, int]
    data_dir: str
    recorded_events: str
    next: tuple[str, ...]


async def to_report(
    follower: Follower,
    outcome: Outcome,
    *,
    cast: Cast,
    counts: dict[str, int],
    data_dir: Path,
    recorded: Path,
) -> Report:
    """Everything that is told at the end."""
    runs = [run for run in follower.every(RunItem) if run.session_id in outcome.session_ids]
    first = runs[0].id if runs else ""
    return Report(
        workspace_id=cast.workspace_id,
        project_id=cast.project_id,
        task_id=outcome.task_id,
        session_ids=outcome.session_ids,
        run_ids=tuple(run.id for run in runs),
        commits=await _commits(follower, outcome, repository=cast.ground.path),
        merge_commit=outcome.merge_commit,
        merged_into=cast.ground.branch,
        repository=cast.ground.path,
        events=counts,
        data_dir=str(data_dir),
        recorded_events=str(recorded),
        next=tuple(
            f"{our_mpctl()} {words} -w {short(cast.workspace_id)}"
            for words in (f"run replay {short(first)}", "session tree", "board", "log verify")
        ),
    )


def to_text(report: Report, board: Board) -> str:
    """The report as people read it."""
    merged = (
        f"{report.merge_commit[:12]} on {report.merged_into}" if report.merge_commit else "nothing to merge"
    )
    parts: list[Sequence[str]] = [
        ("", "Sessions", *(f"{INDENT}{to_plain(line)}" for line in draw_tree(board, width=_tree_columns()))),
        ("", "Commits", *_commit_lines(report), f"  merged as {merged}"),
        ("", "Events", *_event_lines(report.events)),
        ("", "Where it lies"),
        (f"  repository  {report.repository}", f"  data        {report.data_dir}"),
        (f"  events      {report.recorded_events}",),
        ("", "Watch a run again", f"  {report.next[0]}"),
        ("", "Next", *(f"  {command}" for command in report.next[1:])),
        ("", "The daemon goes on until", f"  {our_mpctl()} daemon stop"),
    ]
    return "\n".join(line.rstrip() for part in parts for line in part)


def our_mpctl() -> str:
    """How to call this very `mpctl` from here: by its name where the shell finds it so."""
    own = Path(sys.executable).parent / "mpctl"
    found = shutil.which("mpctl")
    if found is not None and Path(found).resolve() == own.resolve():
        return "mpctl"
    try:
        return str(own.relative_to(Path.cwd()))
    except ValueError:
        return str(own)


def _commit_lines(report: Report) -> list[str]:
    return [f"  {each.id[:12]}  {each.session:<10} {plain(each.title)}" for each in report.commits]


def _tree_columns() -> int:
    columns = shutil.get_terminal_size((WIDTH, 0)).columns if sys.stdout.isatty() else WIDTH
    return min(WIDTH, columns) - len(INDENT)


def _event_lines(counts: dict[str, int]) -> list[str]:
    """By type, in two columns: the rest of the report shall stay on the screen."""
    told = [f"  {count:4d}  {name:<{EVENT_CELLS}}" for name, count in sorted(counts.items())]
    half = (len(told) + 1) // 2
    return [left + right for left, right in zip_longest(told[:half], told[half:], fillvalue="")]


async def _commits(follower: Follower, outcome: Outcome, *, repository: str) -> tuple[Commit, ...]:
    found: list[Commit] = []
    for session_id in outcome.session_ids:
        session = follower.find(SessionItem, session_id)
        tree = follower.find(WorktreeItem, session.worktree_id or "") if session else None
        if session is None or tree is None:
            continue
        for commit in tree.commits:
            title = await _title(repository, commit)
            found.append(Commit(session=session.name, id=commit, title=title))
    return tuple(found)


async def _title(repository: str, commit: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "git",
        "-C",
        repository,
        "log",
        "-1",
        "--format=%s",
        commit,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    return said.decode("utf-8", "replace").strip()
