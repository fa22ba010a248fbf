"""What the daemon publishes about itself."""

from starlette.requests import Request
from starlette.responses import Response

from moduprompt.protocol import Refused, missing
from moduprompt.server.catalogue import listing, schema_of
from moduprompt.server.desk import actor_of, desk_of
from moduprompt.server.openapi import openapi
from moduprompt.server.replies import to_json


async def schemas(request: Request) -> Response:
    """`GET /v1/schemas`."""
    await actor_of(request)
    return to_json(listing())


async def schema(request: Request) -> Response:
    """`GET /v1/schemas/{commands,events}/{type}/{version}`."""
    await actor_of(request)
    family, wire = str(request.path_params["family"]), str(request.path_params["type"])
    version = str(request.path_params["version"])
    is_number = version.isascii() and version.isdigit() and len(version) < 4
    found = schema_of(family, wire, int(version)) if is_number else None
    if found is None:
        raise Refused(
            missing("schema", f"{family}/{wire}/{version}"[:120], hint="GET /v1/schemas lists them")
        )
    return to_json(found)


async def document(request: Request) -> Response:
    """`GET /v1/openapi.json`."""
    await actor_of(request)
    return to_json(openapi(desk_of(request).version))
