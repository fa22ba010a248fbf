"""`mpctl capsule`: what sessions say of themselves, to be read before their transcripts."""

import argparse
from typing import Final, get_args

import msgspec

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed, misused
from moduprompt.cli.live.text import plain
from moduprompt.cli.lookup import find_own, workspace_of
from moduprompt.cli.tables import Column
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.typed import text_or_input
from moduprompt.cli.verbs import Verb
from moduprompt.client import Client
from moduprompt.domain.capsule.commands import CHARS_MAX, CapsuleKind, WriteCapsule
from moduprompt.domain.capsule.view import CapsuleItem
from moduprompt.domain.session.view import SessionItem
from moduprompt.protocol import ArtifactRef, Code, SessionId, encode
from moduprompt.views.board_rows import short

MINE: Final = "MP_SESSION"
KINDS: Final[dict[str, CapsuleKind]] = {kind: kind for kind in get_args(CapsuleKind)}
COLUMNS: Final[tuple[Column[CapsuleItem], ...]] = (
    ("SESSION", lambda item: short(item.session_id)),
    ("KIND", lambda item: item.capsule_kind),
    ("CHARS", lambda item: item.chars),
    ("WRITTEN", lambda item: item.updated_at[:19]),
    ("BY", lambda item: _author(item.written_by)),
)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A capsule with its text."""

    kind: str
    updated_at: str
    written_by: str
    text: str


async def _write(call: Call) -> None:
    session = await _session(call)
    text = text_or_input(call.words.text("text"))
    if not text:
        raise misused("there is nothing to write", hint="mpctl capsule write KIND TEXT, or - to read it")
    command = WriteCapsule(
        workspace_id=session.workspace_id,
        session_id=SessionId(session.id),
        capsule_kind=KINDS[call.words.text("kind")],
        account=text,
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted))


async def _list(call: Call) -> None:
    named = call.words.maybe("session")
    only = None if named is None else (await _session(call)).id
    await call.show_list(
        CapsuleItem,
        COLUMNS,
        of=await workspace_of(call),
        empty="no session has given an account of itself: mpctl capsule write KIND TEXT",
        keep=lambda item: only is None or item.session_id == only,
    )


async def _show(call: Call) -> None:
    """One of the session's capsules, or all of them, with their texts."""
    session, kind = await _session(call), call.words.maybe("kind")
    items = await call.list(CapsuleItem, of=session.workspace_id)
    own = [each for each in items if each.session_id == session.id and kind in (None, each.capsule_kind)]
    if not own:
        what = "capsule" if kind is None else f"{kind} capsule"
        raise failed(
            Code.NOT_FOUND,
            f"session {session.id} has no {what}",
            hint=f"mpctl capsule write {kind or 'status'} TEXT --session {short(session.id)}",
        )
    own.sort(key=lambda each: list(KINDS).index(each.capsule_kind))
    client = await call.client()
    told = [
        Told(
            kind=each.capsule_kind,
            updated_at=each.updated_at,
            written_by=each.written_by,
            text=await _text_of(client, each),
        )
        for each in own
    ]
    call.show(encode(told), "\n\n".join(map(_paragraph, told)))


async def _text_of(client: Client, item: CapsuleItem) -> str:
    text = await client.artifact(ArtifactRef(item.text), workspace_id=item.workspace_id)
    return text.decode("utf-8", "replace")


def _paragraph(told: Told) -> str:
    lines = "\n".join(map(plain, told.text.splitlines()))
    return f"{told.kind}, {told.updated_at[:19]} by {_author(told.written_by)}\n\n{lines}"


async def _session(call: Call) -> SessionItem:
    return await find_own(call, SessionItem, call.words.maybe("session"), variable=MINE)


def _author(written_by: str) -> str:
    kind, _, id_ = written_by.partition(":")
    return f"{kind} {short(id_)}" if kind == "session" else kind


def _of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--session", metavar="SESSION", help="id or name; inside a run: its own")


def _written(parser: argparse.ArgumentParser) -> None:
    limits = ", ".join(f"{kind} {chars:,}" for kind, chars in CHARS_MAX.items())
    parser.add_argument("kind", choices=tuple(KINDS), help=f"characters at most: {limits}")
    parser.add_argument("text", metavar="TEXT", help="the account; - reads standard input")
    _of(parser)


def _shown(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=tuple(KINDS), nargs="?", help="only this one")
    _of(parser)


VERBS: Final = (
    Verb(
        "write",
        _write,
        summary="give a session's account; it takes the place of the last",
        arguments=_written,
    ),
    Verb("list", _list, summary="list the capsules of the workspace", arguments=_of, shows_past=True),
    Verb("show", _show, summary="print what a session says of itself", arguments=_shown, shows_past=True),
)
