"""`mpctl events`: what happened, as lines for people or as envelopes for programs."""

import argparse
import sys
from contextlib import aclosing
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.faults import misused
from moduprompt.cli.live.lines import to_line
from moduprompt.cli.live.story import Story
from moduprompt.cli.lookup import workspace_of
from moduprompt.cli.printing import print_json, print_text
from moduprompt.cli.verbs import Verb, whole
from moduprompt.client import Client, From, Transport, Wanted, to_typed
from moduprompt.domain.registry import EVENTS
from moduprompt.protocol import COMMAND_REJECTED, EventPage, Subject, WorkspaceId, decode_event

PAGE: Final = 500  # of one request; small enough to be answered at once
TRANSPORTS: Final[dict[str, Transport]] = {"sse": "sse", "ndjson": "ndjson"}
HEAD: Final = "head"


async def _watch(call: Call) -> None:
    wanted = await _wanted(call)
    client = await call.client()
    start = _start(call)
    story = Story()
    if start != 0 and not call.is_json:
        start = await _recall(client, wanted.workspace_id, story=story, until=start)
    async with aclosing(client.frames(wanted, from_=start)) as frames:
        async for frame in frames:
            _print(frame.data, story, is_json=call.is_json)


async def _list(call: Call) -> None:
    wanted = await _wanted(call)
    client = await call.client()
    start, left = _start(call), call.words.number("limit")
    moment = await call.moment(wanted.workspace_id)
    until = None if moment is None else moment.seq
    if moment is not None and not call.is_json:
        print_text(f"{moment.heading()}\n")
    story = Story()
    if start != 0 and not call.is_json:
        start = await _recall(client, wanted.workspace_id, story=story, until=start)
    while left > 0:
        page = await _page(client, wanted, start, limit=min(PAGE, left), as_of=until)
        for data in page.items:
            _print(bytes(data), story, is_json=call.is_json)
        if len(page.items) < min(PAGE, left):
            return
        left -= len(page.items)
        start = decode_event(page.items[-1]).seq_global


async def _wanted(call: Call) -> Wanted:
    words = call.words
    types = tuple(each.strip() for each in (words.maybe("types") or "").split(",") if each.strip())
    for each in unknown_types(types):
        sys.stderr.write(
            f"note: mpctl knows no type of event like {each!r}; task.* and run.exited are some\n"
        )
    return Wanted(
        workspace_id=await workspace_of(call),
        types=types,
        subject=_subject(words.maybe("subject")),
        transport=TRANSPORTS[words.maybe("transport") or "sse"],
    )


def unknown_types(types: tuple[str, ...]) -> tuple[str, ...]:
    """Those that no event fits that this mpctl knows. A newer daemon may have more, so it is only a word."""
    known = {wire for wire, _ in EVENTS} | {COMMAND_REJECTED}
    return tuple(each for each in types if not any(_fits(wire, each) for wire in known))


def _fits(wire: str, pattern: str) -> bool:
    return wire.startswith(pattern[:-1]) if pattern.endswith("*") else wire == pattern


async def _page(client: Client, wanted: Wanted, start: From, *, limit: int, as_of: int | None) -> EventPage:
    query = {"workspace_id": str(wanted.workspace_id), "from": str(start), "limit": str(limit)}
    past = {} if as_of is None else {"as_of": str(as_of)}
    return to_typed(await client.read("/v1/events", {**query, **past, **wanted.filters()}), EventPage)


async def _recall(client: Client, workspace_id: WorkspaceId, *, story: Story, until: From) -> int:
    """Take in what was before, without a word: people want names, and those were given then."""
    last = await client.head(workspace_id) if until == HEAD else until
    while story.seq < last:
        page = await client.read_events(workspace_id, from_=story.seq, limit=min(PAGE, last - story.seq))
        if not page.items:
            break
        for data in page.items:
            story.tell(decode_event(data))
    return last


def _print(data: bytes, story: Story, *, is_json: bool) -> None:
    if is_json:
        print_json(data)
        return
    change = story.tell(decode_event(data))
    if change is not None:
        print_text(to_line(change) + "\n")


def _start(call: Call) -> From:
    typed = call.words.maybe("start") or "0"
    if typed == HEAD:
        return HEAD
    if not typed.isascii() or not typed.isdigit() or len(typed) > 16:
        raise misused(f"--from {typed}: is no sequence", hint="a whole number, or head")
    return int(typed)


def _subject(typed: str | None) -> Subject | None:
    if typed is None:
        return None
    kind, _, id_ = typed.partition(":")
    if not kind or not id_:
        raise misused(f"--subject {typed}: must be kind:id", hint="for example task:01900000-…")
    return Subject(kind=kind, id=id_)


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="start", metavar="N", help="after this sequence, or head; default 0")
    parser.add_argument("--types", metavar="TYPES", help="only these, as in task.*,run.exited")
    parser.add_argument("--subject", metavar="KIND:ID", help="only what happened to this")


def _watched(parser: argparse.ArgumentParser) -> None:
    _words(parser)
    parser.add_argument("--transport", choices=tuple(TRANSPORTS), help="how they travel; default sse")


def _listed(parser: argparse.ArgumentParser) -> None:
    _words(parser)
    parser.add_argument("--limit", metavar="N", type=whole, default=1_000_000, help="at most so many")


VERBS: Final = (
    Verb(
        "watch",
        _watch,
        summary="print events as they happen, over daemons that come and go",
        arguments=_watched,
        more="With --json one envelope a line.",
    ),
    Verb(
        "list",
        _list,
        summary="print the events there are",
        arguments=_listed,
        more="With --json one envelope a line.",
        shows_past=True,
    ),
)
