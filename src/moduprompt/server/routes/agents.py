"""The agent programs that the daemon knows, and what it finds of them on its machine."""

from starlette.requests import Request
from starlette.responses import Response

from moduprompt.server.desk import desk_of, user_of
from moduprompt.server.replies import to_json
from moduprompt.server.routes.parameters import check_names, choice


async def agents(request: Request) -> Response:
    """`GET /v1/agents`; with `versions=1` their programs are asked. For users: it names paths and variables."""
    hint = "ask the workspace's owner: mpctl agents list"
    await user_of(request, "which programs this machine has is for users", hint=hint)
    check_names(request, "versions")
    return to_json(
        await desk_of(request).programs.look(with_versions=choice(request, "versions", "0", "1") == "1")
    )
