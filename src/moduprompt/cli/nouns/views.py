"""`mpctl views`: the read models, and making them again."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed, misused
from moduprompt.cli.progress import CLEAR, QUIET_S
from moduprompt.cli.tables import Column, to_table
from moduprompt.cli.verbs import Verb
from moduprompt.client import Client
from moduprompt.protocol import Code, ViewReport, ViewReports, encode

LOOK_S: Final = 0.1  # between two looks at a rebuild: short beside what a person notices

COLUMNS: Final[tuple[Column[ViewReport], ...]] = (
    ("NAME", lambda view: view.name),
    ("VERSION", lambda view: view.version),
    ("STATE", lambda view: view.state),
    ("POSITION", lambda view: f"{view.position} of {view.head}"),
    ("ROWS", lambda view: view.rows),
    ("NOTE", lambda view: _note(view)),
)


async def _list(call: Call) -> None:
    reports = await (await call.client()).views()
    call.show(encode(reports), to_table(reports.items, COLUMNS))


async def _rebuild(call: Call) -> None:
    client = await call.client()
    names = await _wanted(call, client)
    for name in names:
        await client.rebuild_view(name)
    reports = await _ready(client, names)
    for view in reports.items:
        if view.failure is not None or view.state == "stopped":
            raise failed(
                Code.UNAVAILABLE,
                f"view {view.name} was not rebuilt: {view.failure or _note(view)}",
                hint="the rows that were there go on serving; the daemon's log says more",
                details={"view": view.name},
            )
    lines = [f"{view.name}: {view.rows} rows from {view.position} events" for view in reports.items]
    call.show(encode(reports), "\n".join(lines))


async def _wanted(call: Call, client: Client) -> tuple[str, ...]:
    named = call.words.texts("names")
    if bool(named) == call.words.is_set("all"):
        raise misused("name the views to rebuild, or say --all", hint="mpctl views list")
    return named or tuple(view.name for view in (await client.views()).items)


async def _ready(client: Client, names: Sequence[str]) -> ViewReports:
    """When none of them is being made any more; a person at a terminal is told how it goes."""
    begun = time.monotonic()
    is_shown = False
    try:
        while True:
            reports = (await client.views()).items
            mine = tuple(view for view in reports if view.name in names)
            if not any(view.state == "rebuilding" for view in mine):
                return ViewReports(items=mine)
            passed_s = time.monotonic() - begun
            if passed_s > QUIET_S and sys.stderr.isatty():
                is_shown = True
                sys.stderr.write(f"{CLEAR}{_progress(mine, passed_s)}")
                sys.stderr.flush()
            await asyncio.sleep(LOOK_S)
    finally:
        if is_shown:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()


def _progress(reports: Sequence[ViewReport], passed_s: float) -> str:
    under_way = [view for view in reports if view.rebuilt is not None]
    done = min((view.rebuilt or 0 for view in under_way), default=0)
    total = max((view.head for view in under_way), default=0)
    percent = 100 * done // total if total else 0
    return f"rebuilding … {percent} %, {done / passed_s:,.0f} events/s"


def _note(view: ViewReport) -> str | None:
    if view.stops:
        stop = view.stops[0]
        return f"can't take event {stop.seq} ({stop.event_id}) of {stop.workspace_id}"
    if view.rebuilt is not None:
        return f"{view.rebuilt} of {view.head} events are folded again"
    return view.failure


def _named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="views, as `views list` calls them")
    parser.add_argument("--all", action="store_true", help="all of them, in one pass over the log")


VERBS: Final = (
    Verb("list", _list, summary="list the read models and how far each has come"),
    Verb(
        "rebuild",
        _rebuild,
        summary="fold read models from the first event again",
        arguments=_named,
        more="The old rows serve until the new ones are ready and take their place at once.",
    ),
)
