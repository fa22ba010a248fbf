"""`mpctl run`: start and stop programs, read what their terminals printed, watch that again."""

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from moduprompt.cli import leave_key, limits
from moduprompt.cli.attaching import Attached, check_terminal
from moduprompt.cli.call import Call
from moduprompt.cli.faults import misused
from moduprompt.cli.lookup import find_item, find_own, workspace_of
from moduprompt.cli.outcomes import evidence_told, outcome_told, program_told, rule_told
from moduprompt.cli.printing import print_bytes, print_text
from moduprompt.cli.prompting import silent_keeper, status_told, waits_to_start
from moduprompt.cli.recordings import (
    LINE_CHARS_MAX,
    LastLines,
    Shown,
    fetched,
    lines_of,
    to_moment_us,
    wall_clock,
)
from moduprompt.cli.replay import replay
from moduprompt.cli.spending import turns_told, usage_told
from moduprompt.cli.sums import TURNS
from moduprompt.cli.tables import Column, to_paragraph
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.terminal_text import Cleaner, to_text
from moduprompt.cli.typed import text_or_input
from moduprompt.cli.verbs import Verb, from_one, positive, whole
from moduprompt.client import Client, Unreachable, first_event
from moduprompt.config import AGENTS_NOT_CONFINED
from moduprompt.domain.run.commands import ResizeRun, StartRun, StopRun
from moduprompt.domain.run.events import RunRequested
from moduprompt.domain.run.state import ENDED
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.view import SessionItem
from moduprompt.effects.runner.asciicast import to_asciicast
from moduprompt.effects.runner.moments import moment_at
from moduprompt.effects.runner.recording import Stderr
from moduprompt.effects.screen.painting import paint_lines
from moduprompt.protocol import RunId, SessionId, encode
from moduprompt.views.board_rows import short

if TYPE_CHECKING:
    from moduprompt.client.sockets import Socket

MINE: Final = "MP_RUN"
TAIL_LINES: Final = 20  # a screenful, nearly
CONNECT_S: Final = (
    15.0  # a daemon that runs answers at once, but for a keeper that does not: that takes its time
)
DRAWN_BYTES: Final = (
    8 * 1024 * 1024
)  # of output before a moment: a second or two of drawing, and surely enough
LOOK_S: Final = 0.2  # between two looks at a run whose output broke off
COLUMNS: Final[tuple[Column[RunItem], ...]] = (
    ("ID", lambda item: item.id),
    ("SESSION", lambda item: short(item.session_id)),
    ("NO", lambda item: item.ordinal),
    ("STATUS", status_told),
    ("SEEN", lambda item: item.observed),
    ("CODE", lambda item: item.code),
    ("OUTCOME", lambda item: item.outcome),
    ("PROGRAM", program_told),
)


async def _start(call: Call) -> None:
    session = await find_item(call, SessionItem, call.words.text("session"))
    prompt = call.words.maybe("prompt")
    command = StartRun(
        workspace_id=session.workspace_id,
        session_id=SessionId(session.id),
        resume=call.words.is_set("resume"),
        prompt=None if prompt is None else text_or_input(prompt),
    )
    accepted = await call.submit(command)
    made = first_event(accepted, RunRequested)
    call.answer(accepted, f"run {made.run_id} of {session.name}")


async def _stop(call: Call) -> None:
    item = await _named(call)
    command = StopRun(
        workspace_id=item.workspace_id, run_id=RunId(item.id), reason=call.words.maybe("reason")
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


async def _list(call: Call) -> None:
    of = await workspace_of(call)
    await call.show_list(RunItem, COLUMNS, of=of, empty="no run yet: a session brings its own")


async def _show(call: Call) -> None:
    item = await find_own(call, RunItem, call.words.maybe("run"), variable=MINE)
    facts = [
        ("id", item.id),
        ("session", item.session_id),
        ("status", item.status),
        ("waits", waits_to_start(item)),
        ("keeper", silent_keeper(item)),
        ("seen", item.observed),
        ("rule", rule_told(item)),
        ("evidence", evidence_told(item)),
        ("agent", " ".join((item.adapter, *item.argv))),
        ("carries on", f"run {item.resumes}" if item.resumes else None),
        ("begun", f"{item.begun.replace('_', ' ')}: {item.begun_why}" if item.begun else None),
        ("conversation", item.conversation),
        ("turns", turns_told(item)),
        ("used", usage_told(item.usage)),
        ("trouble", item.trouble),
        ("pid", str(item.pid) if item.pid is not None else None),
        ("caught by", item.caught_by),
        ("limits", limits.told_of(item)),
        ("terminal", f"{item.cols} columns, {item.rows} rows"),
        ("ended", item.how),
        ("code", str(item.code) if item.code is not None else None),
        ("signal", str(item.signal) if item.signal is not None else None),
        ("outcome", outcome_told(item)),
        ("failure", item.failure),
        ("reason", item.reason),
        ("output", f"{item.output_bytes} bytes" if item.output_bytes is not None else None),
        ("left over", f"{item.leftovers} processes" if item.leftovers else None),
        ("recording", item.recording),
        ("confined", AGENTS_NOT_CONFINED if item.status in ("requested", "started") else None),
    ]
    await call.show_item(item, to_paragraph(f"run {item.ordinal}", facts))


async def _resize(call: Call) -> None:
    item = await _named(call)
    command = ResizeRun(
        workspace_id=item.workspace_id,
        run_id=RunId(item.id),
        rows=call.words.number("rows"),
        cols=call.words.number("cols"),
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


async def _output(call: Call) -> None:
    item = await _named(call)
    client = await call.client()
    start = call.words.number("start")
    if call.is_json:
        whole_output = await _read(client, item, start)
        answer = {"run_id": item.id, "from": start, "bytes": len(whole_output), "text": to_text(whole_output)}
        call.show(encode(answer), "")
        return
    printer = _Printer(is_raw=call.words.is_set("raw") or not sys.stdout.isatty())
    if call.words.is_set("follow"):
        await _follow(client, item, printer, start=start)
    else:
        printer.put(await _read(client, item, start))
    printer.finish()


async def _tail(call: Call) -> None:
    item = await _named(call)
    client = await call.client()
    last = LastLines(call.words.number("lines"))
    if call.words.is_set("stderr"):
        await _take_errors(call, item, last)
    else:
        pieces = client.run_output(RunId(item.id), from_=0, workspace_id=item.workspace_id)
        async with aclosing(pieces):
            async for piece in pieces:
                last.feed(piece)
    lines = last.finish()
    call.show(encode({"run_id": item.id, "lines": lines}), "\n".join(lines))
    if call.words.is_set("follow"):
        printer = _Printer(is_raw=False)
        await _follow(client, item, printer, start=last.taken_bytes)
        printer.finish()


async def _take_errors(call: Call, item: RunItem, last: LastLines) -> None:
    if call.words.is_set("follow"):
        raise misused("standard error can't be followed", hint="ask again, or follow the output")
    async with fetched(await _recording(call, item)) as reader:
        for frame in reader.frames():
            if isinstance(frame, Stderr):
                last.feed(frame.data)


async def _replay(call: Call) -> None:
    item = await _named(call)
    client = await call.client()
    await replay(
        client.run_recording(RunId(item.id), workspace_id=item.workspace_id),
        speed=None if call.words.is_set("no_wait") else call.words.real("speed") or 1.0,
    )


async def _attach(call: Call) -> None:
    from moduprompt.client.sockets import open_socket  # only here: nobody else waits for it to load

    check_terminal()
    item = await _named(call)
    await call.client()  # starts a daemon where none runs
    watch = "1" if call.words.is_set("watch") else "0"

    async def connect(offset: int | None) -> "Socket":
        query = {"workspace_id": item.workspace_id, "watch": watch}
        if offset is not None:
            query["from"] = str(offset)
        target = f"/v1/runs/{item.id}/terminal?{urlencode(query)}"
        return await open_socket(await call.endpoint(), target, timeout_s=CONNECT_S)

    def tell(sentence: str) -> None:
        sys.stderr.write(f"\r\n[{sentence}]\r\n")
        sys.stderr.flush()

    greeting = f"attached to run {item.id}; {leave_key.NAME} leaves, and it goes on"
    ending = await Attached(connect, tell=tell, greeting=greeting if sys.stderr.isatty() else None).stay()
    sys.stderr.write(f"[{'the run has ended' if ending == 'ended' else 'detached; the run goes on'}]\n")


async def _screen(call: Call) -> None:
    item = await _named(call)
    async with fetched(await _recording(call, item)) as reader:
        wanted = call.words.maybe("at")
        until_us = None if wanted is None else to_moment_us(wanted, started_us=reader.started_us)
        moment = moment_at(reader, until_us, drawn_bytes=DRAWN_BYTES)
        screen = moment.screen
        shown = Shown(
            run_id=item.id,
            at=wall_clock(reader, moment.time_us if until_us is None else until_us),
            rows=screen.rows,
            cols=screen.cols,
            cursor=screen.cursor,
            title=screen.title,
            is_alternate=screen.is_alternate,
            lines=screen.text(),
        )
    lines = paint_lines(screen) if sys.stdout.isatty() else shown.lines
    call.show(encode(shown), "\n".join(lines))


async def _grep(call: Call) -> None:
    item = await _named(call)
    try:
        pattern = re.compile(
            call.words.text("pattern"), re.IGNORECASE if call.words.is_set("any_case") else 0
        )
    except re.error as fault:
        raise misused(f"no pattern: {fault}", hint="it is a regular expression of Python's") from fault
    async with fetched(await _recording(call, item)) as reader:
        found = [line for line in lines_of(reader) if pattern.search(line.text[:LINE_CHARS_MAX])]
    call.show(
        encode({"run_id": item.id, "lines": found}),
        "\n".join(f"{line.at}  {line.text}" for line in found) or "no line matches",
    )


async def _export(call: Call) -> None:
    item = await _named(call)
    async with fetched(await _recording(call, item)) as reader:
        title = " ".join((item.adapter, *item.argv))
        for line in to_asciicast(reader, title=title):
            sys.stdout.buffer.write(line.encode())
        sys.stdout.buffer.flush()


async def _recording(call: Call, item: RunItem) -> AsyncGenerator[bytes]:
    client = await call.client()
    return client.run_recording(RunId(item.id), workspace_id=item.workspace_id)


class _Printer:
    """Prints a terminal's output: the bytes themselves into a pipe, safe text on a screen."""

    def __init__(self, *, is_raw: bool) -> None:
        self._cleaner = None if is_raw else Cleaner()

    def put(self, data: bytes) -> None:
        """Some more of it."""
        if self._cleaner is None:
            print_bytes(data)
        else:
            print_text(self._cleaner.feed(data))

    def finish(self) -> None:
        """What was held back."""
        if self._cleaner is not None:
            print_text(self._cleaner.finish())


async def _read(client: Client, item: RunItem, start: int) -> bytes:
    pieces = client.run_output(RunId(item.id), from_=start, workspace_id=item.workspace_id)
    async with aclosing(pieces):
        return b"".join([piece async for piece in pieces])


async def _follow(client: Client, item: RunItem, printer: _Printer, *, start: int) -> None:
    """To the end of the run, over silences and daemons that come and go."""
    while True:
        has_ended = (await client.get(RunItem, item.id, workspace_id=item.workspace_id)).status in ENDED
        pieces, before = (
            client.follow_output(RunId(item.id), from_=start, workspace_id=item.workspace_id),
            start,
        )
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    printer.put(piece)
                    start += len(piece)
        except Unreachable:
            await asyncio.sleep(LOOK_S)  # a silent program, or a daemon that went: the next look tells
            continue
        if has_ended:
            return
        if start == before:  # nobody tells at this moment how it goes on
            await asyncio.sleep(LOOK_S)


async def _named(call: Call) -> RunItem:
    return await find_item(call, RunItem, call.words.text("run"))


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="id; or its session, for the newest")


def _maybe_one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", metavar="RUN", nargs="?", help="id; or its session, for the newest; inside a run: itself"
    )


def _started(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="id or name")
    parser.add_argument(
        "--resume", action="store_true", help="carry its conversation on, or tell it its capsules"
    )
    parser.add_argument("--prompt", metavar="TEXT", help="what this run is told; - reads standard input")


def _reasoned(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")


def _resized(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("rows", metavar="ROWS", type=from_one)
    parser.add_argument("cols", metavar="COLUMNS", type=from_one)


def _printed(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--follow", action="store_true", help="go on until the run ends")
    parser.add_argument(
        "--from", dest="start", metavar="BYTE", type=whole, default=0, help="from this byte on"
    )
    parser.add_argument("--raw", action="store_true", help="the bytes as they are, on a terminal too")


def _tailed(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument(
        "--stderr",
        action="store_true",
        help="of its standard error; on a terminal that is part of the output",
    )
    parser.add_argument("-n", "--lines", metavar="N", type=whole, default=TAIL_LINES, help="so many")
    parser.add_argument("--follow", action="store_true", help="go on until the run ends")


def _replayed(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--speed", metavar="X", type=positive, help="so many times as fast; default 1")
    parser.add_argument("--no-wait", action="store_true", help="all at once")


def _attached(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--watch", action="store_true", help="only watch, type nothing")


def _shown(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument(
        "--at", metavar="WHEN", help="seconds since the start (90, 1m30s), or a time; default: the end"
    )


def _searched(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", metavar="PATTERN", help="a regular expression")
    _one(parser)
    parser.add_argument("-i", "--any-case", action="store_true", help="large and small letters are equal")


def _exported(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--asciicast", action="store_true", required=True, help="as an asciicast, version 2")


VERBS: Final = (
    Verb("start", _start, summary="start a session's program once more", arguments=_started),
    Verb("stop", _stop, summary="end it and all it started", arguments=_reasoned),
    Verb("list", _list, summary="list the runs of the workspace", shows_past=True),
    Verb(
        "show",
        _show,
        summary="show one: what it was seen doing, how it ended",
        arguments=_maybe_one,
        shows_past=True,
    ),
    Verb("resize", _resize, summary="give its terminal another size", arguments=_resized),
    Verb(
        "output",
        _output,
        summary="print what its terminal printed",
        arguments=_printed,
        more="Into a pipe the bytes as they are; on a terminal as text that can't act on it.",
    ),
    Verb("tail", _tail, summary="print the last lines of it, as text", arguments=_tailed),
    Verb(
        "attach",
        _attach,
        summary=f"sit at its terminal; {leave_key.NAME} leaves and the run goes on",
        arguments=_attached,
        more="One person types at a time, the others watch. While a half-written line stands there, prompts wait.",
    ),
    TURNS,
    Verb("screen", _screen, summary="print its screen, as it is or as it was", arguments=_shown),
    Verb("grep", _grep, summary="print the lines that match, with their times", arguments=_searched),
    Verb("export", _export, summary="print its recording for other players", arguments=_exported),
    Verb("replay", _replay, summary="watch its terminal again, in its own time", arguments=_replayed),
)
