"""Liveness, readiness, metrics."""

from starlette.requests import Request
from starlette.responses import Response

from moduprompt.domain.run.state import RunState
from moduprompt.protocol import SYSTEM_WORKSPACE, Ping, Ready, to_timestamp
from moduprompt.server.desk import actor_of, desk_of, enterable, entered_ledgers, user_of
from moduprompt.server.exposition import MEDIA_TYPE, to_text
from moduprompt.server.metrics import collect
from moduprompt.server.replies import to_json

DAMAGES_MAX = 100  # `mpctl log verify FILE` names them all


async def ping(request: Request) -> Response:
    """`GET /v1/daemon/ping`: it lives, and which version it is. Needs no token."""
    desk = desk_of(request)
    return to_json(Ping(version=desk.version, timestamp=to_timestamp(desk.kernel.now())))


async def ready(request: Request) -> Response:
    """`GET /v1/daemon/ready`: it takes commands, or says why not. What hinders it is told to users."""
    actor, desk = await actor_of(request), desk_of(request)
    damages = desk.kernel.damages
    ledgers = entered_ledgers(desk, actor)  # every one with a live run is in memory: it wants hands
    return to_json(
        Ready(
            status="draining" if desk.draining.is_set() else "safe_mode" if damages else "ready",
            version=desk.version,
            owner_id=desk.kernel.owner_id,
            pid=desk.pid,
            data_dir=desk.data_dir,
            workspaces=sum(each != SYSTEM_WORKSPACE for each in enterable(desk, actor)),
            live_runs=sum(run.is_live() for each in ledgers for run in each.every(RunState)),
            hindered=desk.kernel.hindrances() if actor.kind == "user" else {},
            damaged_store=damages[:DAMAGES_MAX] if actor.kind == "user" else (),
            damaged_workspaces=(
                tuple(desk.kernel.cabinet.damaged()[:DAMAGES_MAX]) if actor.kind == "user" else ()
            ),
        )
    )


async def recovery(request: Request) -> Response:
    """`GET /v1/recovery`: what this daemon found when it started. For users: it names processes and paths."""
    hint = "ask the workspace's owner: mpctl recovery show"
    await user_of(request, "what a daemon found when it started is for users", hint=hint)
    return to_json(desk_of(request).start_report.told())


async def metrics(request: Request) -> Response:
    """`GET /v1/metrics`: Prometheus text exposition format 0.0.4. For users: it counts what all sessions do."""
    hint = "a session sees its own with mpctl session show"
    user = await user_of(request, "metrics count what the whole daemon does, and are for users", hint=hint)
    return Response(to_text(collect(user, desk_of(request))), media_type=MEDIA_TYPE)
