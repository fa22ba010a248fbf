"""What a run's terminal printed: as bytes, and as its recording with times."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse

from moduprompt.domain.artifact.state import ArtifactState
from moduprompt.domain.run.state import RunState
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.visibility import may_enter, may_see
from moduprompt.protocol import Refused, Subject, is_id, missing
from moduprompt.server.desk import Caller, Desk, caller_of, desk_of, is_still_known
from moduprompt.server.routes.artifacts import gone
from moduprompt.server.routes.parameters import check_names, choice, entered, number
from moduprompt.server.seats import SeatedResponse

OCTETS: Final = "application/octet-stream"
NOT_SNIFFED: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"}
RUNS: Final = "runs"


async def output(request: Request) -> Response:
    """`GET /v1/runs/{id}/output?from=<byte>`: what there is; with `follow=1` until the run ends."""
    caller, desk = await caller_of(request), desk_of(request)
    check_names(request, "workspace_id", "from", "follow")
    start, follow = number(request, "from", default=0), choice(request, "follow", "0", "1")
    run = await visible_run(request, caller)
    if follow == "1":
        return await _watched(caller, run, desk=desk, start=start)
    return _octets(desk.terminals.recorded(_recording(desk, run), start))


async def _watched(caller: Caller, run: RunState, *, desk: Desk, start: int) -> Response:
    desk.streams.take(caller.actor)
    with ExitStack() as undo:
        undo.callback(desk.streams.give_back, caller.actor)
        live = await desk.terminals.live(run.run_id, start)
        if live is None:
            body = desk.terminals.recorded(_recording(desk, run), start)
        else:
            body = _while_known(live, caller, desk=desk)
        undo.pop_all()  # the answer gives it back when it has ended
    return SeatedResponse(
        body, seats=desk.streams, actor=caller.actor, media_type=OCTETS, headers=NOT_SNIFFED
    )


async def recording(request: Request) -> Response:
    """`GET /v1/runs/{id}/recording`: the recording as it was written, as far as it has come.

    Without a length in the header: it may grow while it is sent.
    """
    caller, desk = await caller_of(request), desk_of(request)
    check_names(request, "workspace_id")
    return _octets(desk.terminals.raw(_recording(desk, await visible_run(request, caller))))


def _octets(body: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(body, media_type=OCTETS, headers=NOT_SNIFFED)


async def visible_run(request: HTTPConnection, caller: Caller) -> RunState:
    """The run in the path, when the caller may see it. Raises Refused (`not_found`)."""
    id_, desk = str(request.path_params["id"]), desk_of(request)
    if "workspace_id" in request.query_params:
        ledgers = [await entered(request, caller.actor)]
    else:
        ledgers = await _homes(desk, id_) if is_id(id_) else []
    for ledger in ledgers if is_id(id_) else []:
        run = ledger.find(RunState, id_) if may_enter(caller.actor, ledger) else None
        if run is not None and may_see(caller.actor, ledger, Subject(kind="run", id=id_)):
            erased = next(iter(ledger.related(ArtifactState, id_)), None)
            if erased is not None:
                raise Refused(await gone(request, ledger, erased.ref))
            return run
    raise Refused(missing("run", id_[:80]))


async def _homes(desk: Desk, run_id: str) -> list[Ledger]:
    """Where a run can be: where its row says, or in memory, where every live one is."""
    row = await desk.kernel.view_store.row(RUNS, run_id)
    home = await desk.kernel.look(row[0]) if row else None
    return [home] if home else desk.kernel.cabinet.ledgers()


def _recording(desk: Desk, run: RunState) -> Path:
    path = desk.terminals.recording(run.run_id)
    if path is None:
        raise Refused(missing("recording", run.run_id, hint="its program has printed nothing yet"))
    return path


async def _while_known(live: AsyncGenerator[bytes], caller: Caller, *, desk: Desk) -> AsyncGenerator[bytes]:
    """Live bytes until they end, the daemon drains or the caller's token is no more."""
    draining = asyncio.create_task(desk.draining.wait(), name="output-draining")
    async with aclosing(live):
        try:
            while is_still_known(caller, desk):
                reading = asyncio.ensure_future(anext(live, b""))
                try:
                    await asyncio.wait({reading, draining}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not reading.done():
                        reading.cancel()
                        await asyncio.gather(reading, return_exceptions=True)
                if reading.cancelled() or not (chunk := reading.result()):
                    return
                yield chunk
        finally:
            draining.cancel()
