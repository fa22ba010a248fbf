"""Workspaces as files: out of this daemon, and into it. Users only: a bundle holds all there is."""

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import BinaryIO, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.safe_mode import safe_mode
from moduprompt.protocol import Actor, Refused, too_large
from moduprompt.server.desk import Desk, desk_of, user_of
from moduprompt.server.replies import BodyTooLarge, head_of, to_json
from moduprompt.server.routes.parameters import check_names, entered
from moduprompt.server.seats import SeatedResponse

BUNDLE_BYTES_MAX: Final = (
    8 * 1024**3
)  # what one entry of a bundle can hold; a larger one needs another format
CHUNK: Final = 1024 * 1024  # of a bundle on its way
TAR: Final = "application/x-tar"


async def export_log(request: Request) -> Response:
    """`GET /v1/log/export?workspace_id=`: written whole before the first byte is sent, so it is never cut short."""
    actor = await _enter_as_user(request)
    check_names(request, "workspace_id")
    desk = desk_of(request)
    ledger = await entered(request, actor)
    desk.transfers.take(actor)
    with ExitStack() as undo:
        undo.callback(desk.transfers.give_back, actor)
        response = await _exported(ledger, desk=desk, actor=actor)
        undo.pop_all()  # the answer gives it back when it has been sent
    return response


async def _exported(ledger: Ledger, *, desk: Desk, actor: Actor) -> Response:
    with ExitStack() as undo:
        body = undo.enter_context(TemporaryFile(dir=desk.data_dir))
        seq = desk.kernel.feed.head(ledger.workspace_id)
        bundled = await desk.kernel.transfer.export(ledger.workspace_id, seq=seq, body=body)
        size = len(bundled.head) + body.tell()
        undo.pop_all()  # it lives as long as the answer
    headers = {"Content-Length": str(size), "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    sent = _sent(bundled.head, body)
    return SeatedResponse(sent, seats=desk.transfers, actor=actor, media_type=TAR, headers=headers)


async def import_log(request: Request) -> Response:
    """`POST /v1/log/import`: checked to its last byte before anything of it is written."""
    actor = await _enter_as_user(request)
    check_names(request)
    desk = desk_of(request)
    if desk.kernel.damages:
        raise Refused(safe_mode(desk.kernel.damages))
    with desk.transfers.held(actor), TemporaryFile(dir=desk.data_dir) as file:
        await _receive(request, file)
        ledger = await desk.kernel.transfer.take_in(file)
    return to_json(await head_of(ledger))


async def _enter_as_user(request: Request) -> Actor:
    hint = "ask the workspace's owner: mpctl log export"
    return await user_of(request, "whole workspaces are moved by users only", hint=hint)


async def _receive(request: Request, file: BinaryIO) -> None:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BUNDLE_BYTES_MAX:
            raise BodyTooLarge(too_large(size, BUNDLE_BYTES_MAX, limit="bundle_bytes"))
        await run_in_threadpool(file.write, chunk)
    file.flush()


async def _sent(head: bytes, body: BinaryIO) -> AsyncGenerator[bytes]:
    with body:
        yield head
        body.seek(0)
        while data := await run_in_threadpool(body.read, CHUNK):
            yield data
