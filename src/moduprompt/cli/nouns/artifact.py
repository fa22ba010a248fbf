"""`mpctl artifact`: the texts and recordings of a workspace, and how they are destroyed."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed
from moduprompt.cli.lookup import PART_MIN, workspace_of
from moduprompt.cli.tables import Column, to_paragraph
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.verbs import Verb
from moduprompt.domain.artifact.commands import EraseArtifact
from moduprompt.domain.artifact.view import ArtifactItem
from moduprompt.protocol import ArtifactRef, Code, WorkspaceId, missing
from moduprompt.views.board_rows import short

HASH: Final = "blake3:"
COLUMNS: Final[tuple[Column[ArtifactItem], ...]] = (
    ("ARTIFACT", lambda item: item.ref[-16:]),
    ("KIND", lambda item: item.kind),
    ("CHARS", lambda item: item.chars),
    ("STATUS", lambda item: item.status),
    ("FROM", lambda item: f"{item.from_kind} {short(item.from_id)}"),
    ("SINCE", lambda item: item.created_at[:19]),
)


async def _list(call: Call) -> None:
    only = call.words.maybe("of")
    await call.show_list(
        ArtifactItem,
        COLUMNS,
        of=await workspace_of(call),
        empty="no text and no recording yet",
        keep=lambda item: only is None or item.from_id.endswith(only),
    )


async def _show(call: Call) -> None:
    of = await workspace_of(call)
    item = await _named(call, of)
    if call.is_json:
        moment = await call.moment(of)
        past = {} if moment is None else {"as_of": str(moment.seq)}
        client = await call.client()
        raw = await client.read(f"/v1/artifacts/{item.ref}/about", {"workspace_id": of, **past})
        call.show(raw, "")
        return
    facts = [
        ("kind", item.kind),
        ("characters", str(item.chars) if item.chars is not None else None),
        ("status", item.status),
        ("from", f"{item.from_kind} {item.from_id}"),
        ("since", item.created_at),
        ("erased by", item.erased_by),
        ("erased at", item.updated_at if item.status == "erased" else None),
        ("because", item.reason),
    ]
    call.show(b"", to_paragraph(item.ref, facts))


async def _erase(call: Call) -> None:
    of = await workspace_of(call)
    item = await _named(call, of)
    accepted = await call.submit(
        EraseArtifact(workspace_id=of, ref=ArtifactRef(item.ref), reason=call.words.text("reason"))
    )
    call.answer(accepted, *to_sentences(accepted))


async def _named(call: Call, of: WorkspaceId) -> ArtifactItem:
    """By its whole name, or four or more characters of its hash's beginning or end."""
    typed = call.words.text("artifact").removeprefix(HASH)
    found = [
        item
        for item in await call.list(ArtifactItem, of=of)
        if len(typed) >= PART_MIN
        and (item.ref.endswith(typed) or item.ref.removeprefix(HASH).startswith(typed))
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        refused = missing("artifact", typed[:80])
        raise failed(refused.code, refused.message, hint=refused.hint, details=refused.details)
    raise failed(
        Code.VALIDATION_FAILED,
        f"{typed!r} could be any of {len(found)} artifacts",
        hint="type more of its hash",
        details={"reason": "ambiguous", "candidates": [item.ref for item in found]},
    )


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("artifact", metavar="ARTIFACT", help="its hash, or the beginning or end of it")


def _listed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--of", metavar="ID", help="only those of this session, task or run: the end of its id"
    )


def _erased(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why, for the log")


VERBS: Final = (
    Verb(
        "list",
        _list,
        summary="list the texts and recordings of the workspace",
        arguments=_listed,
        shows_past=True,
    ),
    Verb(
        "show", _show, summary="show where one comes from, or who erased it", arguments=_one, shows_past=True
    ),
    Verb(
        "erase",
        _erase,
        summary="destroy its bytes for ever; the log goes on naming them",
        arguments=_erased,
        more="There is no way back, and the same text is not taken again in this workspace.",
    ),
)
