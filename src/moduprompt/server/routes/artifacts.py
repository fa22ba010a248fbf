"""Artifacts by their hash. Only a user may fetch one: a hash does not say whose text it is."""

import re

from starlette.requests import Request
from starlette.responses import Response

from moduprompt.protocol import REF_PATTERN, ArtifactRef, Code, Refused, missing, refusal
from moduprompt.server.desk import actor_of, desk_of

_REF = re.compile(REF_PATTERN)


async def artifact(request: Request) -> Response:
    """`GET /v1/artifacts/{ref}`."""
    actor = await actor_of(request)
    ref = str(request.path_params["ref"])
    if actor.kind != "user":
        raise Refused(
            refusal(
                Code.POLICY_DENIED,
                "artifacts are open to users only",
                details={"decided_by": "default_rights"},
            )
        )
    found = await desk_of(request).kernel.artifacts.get(ArtifactRef(ref)) if _REF.fullmatch(ref) else None
    if found is None:
        raise Refused(missing("artifact", ref[:80], hint="events name artifacts: mpctl events list --json"))
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, immutable"}
    return Response(found, media_type="application/octet-stream", headers=headers)
