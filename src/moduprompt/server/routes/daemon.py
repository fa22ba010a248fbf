"""Liveness, readiness, metrics."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from moduprompt.domain.run.state import RunState
from moduprompt.kernel.visibility import may_enter
from moduprompt.protocol import Ping, Ready, to_timestamp
from moduprompt.server.desk import actor_of, desk_of
from moduprompt.server.replies import to_json


async def ping(request: Request) -> Response:
    """`GET /v1/daemon/ping`: it lives, and which version it is. Needs no token."""
    desk = desk_of(request)
    return to_json(Ping(version=desk.version, timestamp=to_timestamp(desk.kernel.now())))


async def ready(request: Request) -> Response:
    """`GET /v1/daemon/ready`: it takes commands."""
    actor, desk = await actor_of(request), desk_of(request)
    ledgers = [each for each in desk.kernel.cabinet.ledgers() if may_enter(actor, each)]
    return to_json(
        Ready(
            status="draining" if desk.draining.is_set() else "ready",
            version=desk.version,
            owner_id=desk.kernel.owner_id,
            pid=desk.pid,
            data_dir=desk.data_dir,
            workspaces=len(ledgers),
            live_runs=sum(run.is_live() for each in ledgers for run in each.every(RunState)),
        )
    )


async def metrics(request: Request) -> Response:
    """`GET /v1/metrics`: Prometheus text exposition format 0.0.4."""
    actor, desk = await actor_of(request), desk_of(request)
    ledgers = [each for each in desk.kernel.cabinet.ledgers() if may_enter(actor, each)]
    lines = (
        "# HELP mp_workspaces Workspaces in memory that you may enter.",
        "# TYPE mp_workspaces gauge",
        f"mp_workspaces {len(ledgers)}",
        "# HELP mp_events_total Events in the log.",
        "# TYPE mp_events_total counter",
        f"mp_events_total {sum(each.seq for each in ledgers)}",
        "# HELP mp_inbox_orders Commands that wait for the writer.",
        "# TYPE mp_inbox_orders gauge",
        f"mp_inbox_orders {desk.kernel.waiting()}",
        "# HELP mp_runs_live Runs that may have a process.",
        "# TYPE mp_runs_live gauge",
        f"mp_runs_live {sum(run.is_live() for each in ledgers for run in each.every(RunState))}",
    )
    return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")
