"""`mpctl log`: the stored bytes themselves, the proof that they hold, and their way to another machine."""

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed
from moduprompt.cli.file_proof import prove_file, refuse_faults
from moduprompt.cli.lookup import workspace_of
from moduprompt.cli.printing import print_bytes, print_json
from moduprompt.cli.progress import waiting_for
from moduprompt.cli.proof import PAGE, LogBroken, Proof, Verified, verify_log
from moduprompt.cli.verbs import Verb, whole
from moduprompt.protocol import SYSTEM_WORKSPACE, Code, Damage, WorkspaceId, decode_event, encode


async def _verify(call: Call) -> None:
    # With --db the file itself is meant: what is wrong with it may keep a daemon from starting.
    named = call.words.maybe("file") or call.words.maybe("db")
    proof = await prove_file(Path(named)) if named else await _verify_daemon(call)
    lines = [
        f"{each.name}: {_counted(each.seq, 'event')}, chain and state hold ({each.head_hash})"
        + (f"; so does the snapshot at {each.snapshot_seq}" if each.snapshot_seq else "")
        for each in proof.verified
    ]
    lines += [str(each) for each in proof.faults]
    if proof.faults and not call.is_json:
        call.show(b"", "\n".join(lines))
    refuse_faults(proof)
    total = sum(each.seq for each in proof.verified)
    holds = f"the log holds: {_counted(total, 'event')} in {_counted(len(proof.verified), 'workspace')}"
    call.show(encode({"verified": proof.verified}), "\n".join([*lines, holds]))


async def _verify_daemon(call: Call) -> Proof:
    if call.is_in_run:
        raise failed(
            Code.POLICY_DENIED,
            "a session sees its lineage's part of the log, and a part proves nothing",
            hint="ask the workspace's owner: mpctl log verify",
            details={"decided_by": "default_rights"},
        )
    client = await call.client()
    named = {SYSTEM_WORKSPACE: "system"}
    named |= {WorkspaceId(each.id): each.name for each in await call.workspaces()}
    if call.words.maybe("workspace") or call.environ.get("MP_WORKSPACE"):
        only = await workspace_of(call)
        named = {only: named.get(only, only)}
    verified: list[Verified] = []
    faults: list[Damage] = []
    for workspace_id, name in named.items():
        async with waiting_for(f"reading the log of {name}"):
            try:
                verified.append(await verify_log(client, workspace_id, name=name))
            except LogBroken as fault:
                faults.append(fault.damage)
    return Proof(verified=tuple(verified), faults=tuple(faults))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


async def _show(call: Call) -> None:
    client = await call.client()
    workspace_id = await workspace_of(call)
    is_pretty = call.words.is_set("pretty")
    after, left = call.words.number("start"), call.words.number("limit")
    moment = await call.moment(workspace_id)
    until = None if moment is None else moment.seq
    while left > 0:
        page = await client.read_events(
            workspace_id, from_=after, limit=min(PAGE, left), raw=True, as_of=until
        )
        for data in page.items:
            if is_pretty:
                print_bytes(msgspec.json.format(bytes(data), indent=2) + b"\n")
            else:
                print_json(bytes(data))
        if not page.items:
            return
        left -= len(page.items)
        after = decode_event(page.items[-1]).seq_global


async def _export(call: Call) -> None:
    if call.words.is_set("whole"):
        from moduprompt.cli.saving import save_whole  # what it needs is loaded for it alone

        await save_whole(call)
        return
    client, workspace_id = await call.client(), await workspace_of(call)
    path = Path(call.words.text("file"))
    async with waiting_for("exporting"), aclosing(client.export_log(workspace_id)) as pieces:
        size = await _write_whole(path, pieces)
    (bundled,) = (await prove_file(path)).verified
    told = {"file": str(path), "bytes": size, "verified": [bundled]}
    call.show(
        encode(told), f"{bundled.name}: {bundled.seq} events and their artifacts are in {path} ({size} bytes)"
    )


async def _import(call: Call) -> None:
    path = _existing(call.words.text("file"))
    client = await call.client()
    async with waiting_for("importing"):
        head = await client.import_log(path)
    call.show(
        encode(head),
        f"workspace {head.workspace_id} is here with {head.seq} events, and frozen\n"
        f"next: mpctl workspace adopt {head.workspace_id}",
    )


def _existing(text: str) -> Path:
    if not Path(text).is_file():
        raise failed(Code.NOT_FOUND, f"{text} is no file", hint="name what `mpctl log export` wrote")
    return Path(text)


async def _write_whole(path: Path, pieces: AsyncIterator[bytes]) -> int:
    """The file appears when all of it is there; only its owner may read it. Gives its size."""
    part, size = path.with_name(f"{path.name}.part"), 0
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            async for piece in pieces:
                size += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as fault:
        raise failed(
            Code.VALIDATION_FAILED,
            f"{path} can't be written: {fault.strerror or fault}",
            hint="name a file in a folder of yours",
            details={"reason": "not_writable", "path": str(path)},
        ) from fault
    finally:
        part.unlink(missing_ok=True)
    return size


def _shown(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="start", metavar="N", type=whole, default=0, help="after this sequence; default 0"
    )
    parser.add_argument("--limit", metavar="N", type=whole, default=1_000_000, help="at most so many")
    parser.add_argument(
        "--pretty", action="store_true", help="indented, for people; the hashes are of the bytes"
    )


def _written(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the bundle to write; with --whole a folder")
    parser.add_argument(
        "--whole", action="store_true", help="every workspace, as far as it is whole, from the file itself"
    )


def _read(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the bundle to read")


def _verified(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="a bundle, a log.sqlite or the data folder; no daemon is asked",
    )


VERBS: Final = (
    Verb(
        "verify",
        _verify,
        summary="replay every log from its first event and compare hashes and state",
        arguments=_verified,
        more="Without --workspace: all workspaces, the system's too. With FILE or --db: that file, as it "
        "lies there, also against the snapshots beside it; every fault is named, not the first alone.",
    ),
    Verb(
        "export",
        _export,
        summary="write a workspace into a file for another machine",
        arguments=_written,
        more="A tar archive: its events as they are stored, its artifacts, and what they must hash to. With "
        "--whole no daemon is asked: from a damaged store whatever is whole is saved, and what is cut short is named so.",
    ),
    Verb(
        "import",
        _import,
        summary="take in a workspace that was exported",
        arguments=_read,
        more="It is frozen until it is adopted. A file that does not hold is refused whole.",
    ),
    Verb(
        "show", _show, summary="print the stored bytes, one event a line", arguments=_shown, shows_past=True
    ),
)
