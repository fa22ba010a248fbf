"""The board as a picture: as it stands now, or kept up to date by the stream of events.

A picture drawn once says how long each thing has lasted until somebody looked. A picture that is kept up to date
is drawn from the events alone, the first time when all that there are have been read, and its time is that of the
last one.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Final, Protocol

import msgspec

from moduprompt.cli.call import Call
from moduprompt.cli.faults import misused
from moduprompt.cli.live.picture import Size, draw, draw_sessions
from moduprompt.cli.live.shows import Show, open_show
from moduprompt.cli.live.spans import Line, to_ascii, to_coloured, to_plain
from moduprompt.cli.live.story import Scene, Story
from moduprompt.cli.live.tree import draw_tree
from moduprompt.cli.live.watch import watch
from moduprompt.cli.moments import Moment
from moduprompt.cli.progress import waiting_for
from moduprompt.client import AsOf, Client, to_typed
from moduprompt.protocol import EventEnvelope, Micros, WorkspaceId, decode_event, encode, to_timestamp
from moduprompt.views.board import Board

PIPE_COLUMNS: Final = 100  # of a picture that goes into a file or another program
EVENTS_AT_ONCE: Final = 1_000  # the longest page there is
IN_TREE: Final = frozenset({"session", "run", "worktree"})  # what a line of the tree is made of
NO_SESSIONS: Final = "no session yet: mpctl session spawn NAME --project PROJECT"


async def show_board(call: Call, of: WorkspaceId) -> None:
    """The whole picture, once."""
    raw = await _board(call, of)
    if call.is_json:
        call.show(raw, "")
        return
    size, board = Size(columns=_columns()), _seen(raw, await call.moment(of))
    call.show(raw, _to_text(draw(Scene(board=board, changes=()), size)))


async def show_tree(call: Call, of: WorkspaceId) -> None:
    """The tree of sessions, once; as JSON the board it is drawn from. A session is shown its lineage."""
    raw = await (_own_board(call, of) if call.is_in_run else _board(call, of))
    if call.is_json:
        call.show(raw, "")
        return
    lines = draw_tree(_seen(raw, await call.moment(of)), width=_columns())
    call.show(raw, _to_text(tuple(lines)) if lines else NO_SESSIONS)


def seen_at(board: Board, *, now: Micros) -> Board:
    """The board with the time of whoever looks; a clock that is behind the log's counts for nothing."""
    # The wire form of times sorts like the times.
    return msgspec.structs.replace(board, at=max(board.at, to_timestamp(now)))


async def watch_board(call: Call, of: WorkspaceId) -> None:
    """The picture, for as long as anybody looks; in a pipe a line a change, as JSON an event a line."""
    await _watch(call, of, lambda: open_show(sys.stdout, os.environ))


async def watch_tree(call: Call, of: WorkspaceId) -> None:
    """The tree of sessions, for as long as anybody looks; in a pipe a line for each thing that moved in it."""
    await _watch(call, of, lambda: open_show(sys.stdout, os.environ, drawing=draw_sessions, kinds=IN_TREE))


async def _watch(call: Call, of: WorkspaceId, opened: Callable[[], Show]) -> None:
    if call.words.maybe("as_of") is not None:
        raise misused("the past does not move: --watch and --as-of can't both be meant", hint="leave one out")
    client = await call.client()
    if call.is_json:
        async with aclosing(client.events(of)) as events:
            async for envelope in events:
                call.show(msgspec.json.encode(envelope), "")
        return
    show = opened()
    async with waiting_for("reading what has happened"):  # of which no picture is drawn
        after = await _tell_past(client, of, show)
    async with aclosing(client.events(of, from_=after)) as events:
        await watch(events, show)


async def _board(call: Call, of: WorkspaceId) -> bytes:
    client, moment = await call.client(), await call.moment(of)
    past = {} if moment is None else {"as_of": str(moment.seq)}
    async with waiting_for("reading the board" if moment is None else f"folding {moment.seq} events"):
        return await client.read("/v1/board", {"workspace_id": of, **past})


async def _own_board(call: Call, of: WorkspaceId) -> bytes:
    """The board as far as a session sees it: of the events that are shown to it."""
    client, moment, story = await call.client(), await call.moment(of), Story()
    await _tell_past(client, of, story, as_of=None if moment is None else moment.seq)
    return encode(story.scene().board)


class _Told(Protocol):
    def tell(self, envelope: EventEnvelope, /) -> object: ...


async def _tell_past(client: Client, of: WorkspaceId, told: _Told, *, as_of: AsOf | None = None) -> int:
    """All events there are, as far as the caller may see them; gives the last one's sequence."""
    after = 0
    while page := (await client.read_events(of, from_=after, limit=EVENTS_AT_ONCE, as_of=as_of)).items:
        for data in page:
            envelope = decode_event(data)
            told.tell(envelope)
            after = envelope.seq_global
    return after


def _seen(raw: bytes, moment: Moment | None) -> Board:
    """In the past a thing had lasted until the moment that was asked for, not until now."""
    board = to_typed(raw, Board)
    if moment is None:
        return seen_at(board, now=Micros(time.time_ns() // 1_000))
    return board if moment.at is None else msgspec.structs.replace(board, at=max(board.at, moment.at))


def _columns() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_COLUMNS


def has_colours(environ: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Whether a picture is coloured: on a terminal that is not dumb, unless its person says otherwise."""
    return is_terminal and not environ.get("NO_COLOR") and environ.get("TERM", "dumb") not in ("", "dumb")


def _to_text(lines: tuple[Line, ...]) -> str:
    is_coloured = has_colours(os.environ, is_terminal=sys.stdout.isatty())
    text = "\n".join(to_coloured(line) if is_coloured else to_plain(line) for line in lines)
    return text if (sys.stdout.encoding or "").lower().startswith("utf") else to_ascii(text)
