"""What a run's terminal printed: as bytes, and as its recording with times."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from moduprompt.domain.run.state import RunState
from moduprompt.kernel.visibility import may_enter, may_see
from moduprompt.protocol import Refused, Subject, missing
from moduprompt.server.desk import Desk, actor_of, desk_of
from moduprompt.server.routes.parameters import check_names, number

OCTETS = "application/octet-stream"


async def output(request: Request) -> Response:
    """`GET /v1/runs/{id}/output?from=<byte>`: what there is; with `follow=1` until the run ends."""
    check_names(request, "workspace_id", "from", "follow")
    desk, run = desk_of(request), await _run(request)
    start = number(request, "from", default=0)
    if request.query_params.get("follow") == "1":
        live = await desk.terminals.live(run.run_id, start)
        if live is not None:
            return StreamingResponse(live, media_type=OCTETS)
    recorded = desk.terminals.recorded(_recording(desk, run), start)
    return StreamingResponse(recorded, media_type=OCTETS)


async def recording(request: Request) -> Response:
    """`GET /v1/runs/{id}/recording`: the recording as it lies there."""
    check_names(request, "workspace_id")
    desk, run = desk_of(request), await _run(request)
    return FileResponse(_recording(desk, run), media_type=OCTETS)


async def _run(request: Request) -> RunState:
    actor = await actor_of(request)
    id_ = str(request.path_params["id"])
    for ledger in desk_of(request).kernel.cabinet.ledgers():
        run = ledger.find(RunState, id_) if may_enter(actor, ledger) else None
        if run is not None and may_see(actor, ledger, Subject(kind="run", id=id_)):
            return run
    raise Refused(missing("run", id_[:80]))


def _recording(desk: Desk, run: RunState) -> Path:
    path = desk.terminals.recording(run.run_id)
    if path is None:
        raise Refused(missing("recording", run.run_id, hint="its program has printed nothing yet"))
    return path
