"""Read models as such: how they stand, and having one made again while the old rows serve."""

from starlette.requests import Request
from starlette.responses import Response

from moduprompt.protocol import Refused, ViewReport, ViewReports, missing
from moduprompt.server.desk import Desk, desk_of, user_of
from moduprompt.server.replies import to_json
from moduprompt.server.routes.parameters import check_names


async def views(request: Request) -> Response:
    """`GET /v1/views`."""
    await _require_user(request)
    check_names(request)
    return to_json(ViewReports(items=await _reports(desk_of(request))))


async def rebuild(request: Request) -> Response:
    """`POST /v1/views/{name}/rebuild`: begins at once and answers how it stands; `GET /v1/views` tells how it goes."""
    await _require_user(request)
    check_names(request)
    name, desk = str(request.path_params["name"]), desk_of(request)
    track = desk.kernel.projector.tracks.named(name)
    if track is None:
        raise Refused(missing("view", name[:80], hint="mpctl views list"))
    desk.kernel.projector.rebuilds.ask_for((track,))
    (report,) = [each for each in await _reports(desk) if each.name == name]
    return to_json(report)


async def _reports(desk: Desk) -> tuple[ViewReport, ...]:
    return await desk.kernel.projector.reports()


async def _require_user(request: Request) -> None:
    what = "read models belong to the whole daemon and are looked after by its users"
    await user_of(request, what, hint="ask the workspace's owner: mpctl views list")
