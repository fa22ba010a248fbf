"""The agent programs that the daemon knows, and what it finds of them on its machine."""

from starlette.requests import Request
from starlette.responses import Response

from moduprompt.protocol import Code, Refused, refusal
from moduprompt.server.desk import actor_of, desk_of
from moduprompt.server.replies import to_json
from moduprompt.server.routes.parameters import check_names, choice


async def agents(request: Request) -> Response:
    """`GET /v1/agents`; with `versions=1` their programs are asked. For users: it names paths and variables."""
    actor = await actor_of(request)
    check_names(request, "versions")
    if actor.kind != "user":
        raise Refused(
            refusal(
                Code.POLICY_DENIED,
                "which programs this machine has is for users",
                hint="ask the workspace's owner: mpctl agents list",
                details={"decided_by": "default_rights"},
            )
        )
    return to_json(
        await desk_of(request).programs.look(with_versions=choice(request, "versions", "0", "1") == "1")
    )
