"""The tree of sessions: who came from whom, what each does now and for how long.

    ├─ ● planner                   works 3.2 s      mp/planner  2 commits
    │  └─ ◆ tester                 waits for input  mp/tester
    └╌ ✓ variant, fork of planner  exited 0         mp/variant  1 commit, merged

Children hang below their parent; a fork stands beside the session it is an alternative
to, on a dashed branch.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from moduprompt.cli.live.spans import Line, Span, Style, cut, line_cells
from moduprompt.cli.live.spells import spell
from moduprompt.cli.live.text import cells, pad, plain, without_ids
from moduprompt.views.board import Board
from moduprompt.views.board_rows import BoardNode, RunFacts, SessionFacts, WorktreeFacts, short

NAME_SHARE: Final = 2  # names take at most this part of the width: one in two
GAP: Final = "  "
ANY_PROGRAM: Final = "command"  # the adapter that runs whatever it is given

_LOOKS: Final[dict[str, tuple[str, Style, str]]] = {
    "opening": ("◌", "faint", "opens"),
    "starting": ("◌", "busy", "starts"),
    "running": ("●", "busy", "runs"),
    "working": ("●", "busy", "works"),
    "waiting_input": ("◆", "wait", "waits for input"),
    "blocked_on_permission": ("◆", "wait", "waits for permission"),
    "rate_limited": ("◇", "wait", "rate limited"),
    "parked": ("◇", "wait", "parked"),
    "idle": ("○", "text", "idle"),
    "stopping": ("◌", "wait", "stops"),
    "stopped": ("■", "faint", "stopped"),
    "exited": ("✓", "good", "exited"),
    "failed": ("✗", "bad", "failed"),
    "unclear": ("?", "wait", "unclear"),
    "lost": ("✗", "bad", "lost"),
    "closed": ("■", "faint", "closed"),
}
_RESTS: Final = frozenset(
    {"stopped", "exited", "failed", "unclear", "lost", "closed"}
)  # how long does not matter


class Twig(msgspec.Struct, frozen=True, kw_only=True):
    """A session at its place in the tree. `stem` is what is drawn in front of it."""

    node: BoardNode
    facts: SessionFacts
    stem: str


def draw_tree(board: Board, *, width: int) -> list[Line]:
    """One line a session, in columns; where the width ends, the last columns give way."""
    twigs = list(_grown(board))
    names = {node.id: plain(node.title) for node in board.nodes}
    heads = [_head(twig, names) for twig in twigs]
    doings = [_doing(twig, board.at) for twig in twigs]
    head_cells = min(max((line_cells(head) for head in heads), default=0), width // NAME_SHARE)
    doing_cells = max((line_cells(doing) for doing in doings), default=0)
    places = _places(board)
    branch_cells = max((cells(plain(twig.facts.branch or "")) for twig in twigs), default=0)
    return [
        cut(
            (
                *_column(head, head_cells),
                *_column(doing, doing_cells),
                *_rest(twig, places.get(twig.facts.worktree_id or ""), branch_cells=branch_cells),
            ),
            width,
        )
        for twig, head, doing in zip(twigs, heads, doings, strict=True)
    ]


def _grown(board: Board) -> Iterator[Twig]:
    sessions = {n.id: (n, n.facts) for n in board.nodes if isinstance(n.facts, SessionFacts)}
    below: dict[str | None, list[str]] = {}
    for id_, (_, facts) in sessions.items():
        parent = facts.parent_session_id if facts.parent_session_id in sessions else None
        below.setdefault(parent, []).append(id_)
    forks = {id_: facts.fork_of for id_, (_, facts) in sessions.items() if facts.fork_of in sessions}

    def grow(parent: str | None, indent: str) -> Iterator[Twig]:
        row = list(_beside(below.get(parent, []), forks))
        for place, id_ in enumerate(row):
            node, facts = sessions[id_]
            is_last = place == len(row) - 1
            joint = ("└" if is_last else "├") + ("╌ " if facts.fork_of else "─ ")
            yield Twig(node=node, facts=facts, stem=indent + joint)
            yield from grow(id_, indent + ("   " if is_last else "│  "))

    return grow(None, "")


def _beside(row: list[str], forks: dict[str, str]) -> Iterator[str]:
    """Siblings in the order they came to be, but each fork right after its source."""
    siblings = set(row)
    of_source: dict[str, list[str]] = {}
    for id_ in row:
        if forks.get(id_) in siblings:
            of_source.setdefault(forks[id_], []).append(id_)
    for id_ in row:
        if forks.get(id_) in siblings:
            continue
        coming = [id_]  # a stack, not recursion: forks of forks may go on for long
        while coming:
            source = coming.pop()
            yield source
            coming.extend(reversed(of_source.get(source, [])))


def _head(twig: Twig, names: dict[str, str]) -> Line:
    glyph, style, _ = _LOOKS.get(twig.node.status, ("?", "text", ""))
    head = (Span(twig.stem, "faint"), Span(f"{glyph} ", style), Span(plain(twig.node.title), "title"))
    fork_of = twig.facts.fork_of
    if fork_of is None:
        return head
    return (*head, Span(f", fork of {names.get(fork_of, short(fork_of))}", "mark"))


def _doing(twig: Twig, at: str) -> Line:
    status = twig.node.status
    _, style, word = _LOOKS.get(status, ("?", "text", status))
    if status in _RESTS:
        return (Span(_ending(twig.facts.run) or word, style),)
    return (Span(word, style), Span(f" {spell(twig.node.since, at)}", "faint"))


def _ending(run: RunFacts | None) -> str:
    if run is None or run.status != "exited":
        return ""
    if run.how == "exited":
        outcome = {"failed": f", failed ({run.failure})", "unclear": ", unclear"}.get(run.outcome or "", "")
        return f"exited {run.code}{'' if run.code else outcome}"
    if run.how == "signalled":
        return f"signal {run.signal}"
    return {"timed_out": "timed out", "not_started": "not started"}.get(run.how or "", "")


def _places(board: Board) -> dict[str, WorktreeFacts]:
    return {n.id: n.facts for n in board.nodes if isinstance(n.facts, WorktreeFacts)}


def _rest(twig: Twig, place: WorktreeFacts | None, *, branch_cells: int) -> Line:
    branch = plain(twig.facts.branch or "")
    made = _made(place)
    about = GAP.join(word for word in (_agent(twig.facts), _evidence(twig)) if word)
    return (
        Span(pad(branch, branch_cells), "faint"),
        Span(f"{GAP}{made}" if made else "", "good"),
        Span(GAP + about, "faint"),
    )


def _agent(facts: SessionFacts) -> str:
    """The agent's name; that of its program where the adapter is for any program."""
    program = facts.argv[0].rpartition("/")[2] if facts.argv else ""
    return plain(program if facts.adapter == ANY_PROGRAM and program else facts.adapter)


def _evidence(twig: Twig) -> str:
    """Why it is said to do what it does. What it waits for stands in the box instead."""
    run = twig.facts.run
    if run is None or twig.node.waits or twig.node.status in _RESTS:
        return ""
    return without_ids(run.evidence or "")


def _made(place: WorktreeFacts | None) -> str:
    if place is None or not place.commits:
        return ""
    made = f"{len(place.commits)} commit{'' if len(place.commits) == 1 else 's'}"
    return made if place.merged_as is None else f"{made}, merged"


def _column(line: Line, width: int) -> Line:
    kept = cut(line, width)
    return (*kept, Span(" " * (width - line_cells(kept)) + GAP))
