"""Artifacts by their hash: their bytes in chunks, and what is known of them. For users.

A session may read the texts of its lineage: what was said to it, and the capsules written there.

An artifact belongs to a workspace. Without `workspace_id` the bytes are looked for in every
workspace that the actor may enter. What was erased is `not_found` and says by whom and when.
"""

import re
from typing import Final

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse

from moduprompt.domain.artifact.state import ArtifactState
from moduprompt.domain.artifact.view import VIEW, ArtifactItem, artifact_id
from moduprompt.domain.scope import reads_text
from moduprompt.domain.session.state import SessionState
from moduprompt.kernel.judgement import ARTIFACT_ERASED
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.visibility import may_enter
from moduprompt.policy.rights import Right
from moduprompt.protocol import (
    REF_PATTERN,
    Actor,
    ArtifactRef,
    Code,
    Details,
    Refused,
    Rejection,
    missing,
    refusal,
)
from moduprompt.server.desk import actor_of, desk_of, user_of
from moduprompt.server.replies import to_json
from moduprompt.server.routes.moments import moment_of
from moduprompt.server.routes.parameters import check_names, entered
from moduprompt.server.routes.reads import await_view

OCTETS: Final = "application/octet-stream"
_REF = re.compile(REF_PATTERN)


async def artifact(request: Request) -> Response:
    """`GET /v1/artifacts/{ref}`: its bytes."""
    actor, ref = await actor_of(request), _ref(request)
    check_names(request, "workspace_id")
    homes, store = await _homes(request, actor, ref), desk_of(request).kernel.artifacts
    for ledger in homes:
        if ledger.find(ArtifactState, ref) is not None or not await _is_named(request, ledger, ref):
            continue
        opened = await store.open(ledger.workspace_id, ref)
        if opened is not None:
            headers = {
                "Content-Length": str(opened.size),
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, no-store",  # what is erased must not live on in a cache
            }
            return StreamingResponse(opened.chunks, media_type=OCTETS, headers=headers)
    erased_in = next((each for each in homes if each.find(ArtifactState, ref) is not None), None)
    raise Refused(_absent(ref) if erased_in is None else await gone(request, erased_in, ref))


async def about(request: Request) -> Response:
    """`GET /v1/artifacts/{ref}/about`: its row, now or as of a moment."""
    hint = "a session reads the texts of its lineage: mpctl capsule show"
    actor = await user_of(request, "what is known of artifacts is open to users only", hint=hint)
    ref = _ref(request)
    check_names(request, "workspace_id", "stale", "as_of")
    ledger, kernel = await entered(request, actor), desk_of(request).kernel
    home, seq = ledger.workspace_id, await moment_of(request, ledger)
    if seq is not None:
        found = (await kernel.past.scene(VIEW, home, seq=seq)).row(VIEW.name, artifact_id(home, ref))
    else:
        await await_view(request, home, of=(VIEW.name,))
        row = await kernel.view_store.row(VIEW.name, artifact_id(home, ref))
        found = None if row is None else row[1]
    if found is None:
        raise Refused(_absent(ref))
    return to_json(msgspec.Raw(found))


async def gone(request: HTTPConnection, ledger: Ledger, ref: ArtifactRef) -> Rejection:
    """What is said instead of bytes that were erased."""
    home, store = ledger.workspace_id, desk_of(request).kernel.view_store
    await await_view(request, home, of=(VIEW.name,))
    row = await store.row(VIEW.name, artifact_id(home, ref))
    details: Details = {"reason": ARTIFACT_ERASED, "ref": ref}
    if row is None:
        return refusal(
            Code.NOT_FOUND, f"artifact {ref} was erased", hint=f"mpctl artifact show {ref}", details=details
        )
    item = msgspec.json.decode(row[1], type=ArtifactItem)
    who: Details = {
        "erased_by": item.erased_by or "",
        "erased_at": item.updated_at,
        "because": item.reason or "",
    }
    return refusal(
        Code.NOT_FOUND,
        f"artifact {ref} was erased by {item.erased_by} at {item.updated_at}",
        hint=f"mpctl artifact show {ref} says why",
        details={**details, **who},
    )


async def _is_named(request: Request, ledger: Ledger, ref: ArtifactRef) -> bool:
    """Whether an event names it: the text of a refused command lies there, and is nobody's to read."""
    kernel, home = desk_of(request).kernel, ledger.workspace_id
    if kernel.damages:
        return True  # no read model moves in safe mode, and what can be saved must be
    await await_view(request, home, of=(VIEW.name,))
    return await kernel.view_store.row(VIEW.name, artifact_id(home, ref)) is not None


async def _homes(request: Request, actor: Actor, ref: ArtifactRef) -> list[Ledger]:
    if actor.kind != "user":
        ledger = await entered(request, actor)
        asker = ledger.find(SessionState, actor.id)
        if asker is None or Right.READ_LINEAGE not in asker.may or not reads_text(asker, ref, ledger):
            raise Refused(_absent(ref))  # what may not be seen does not exist
        return [ledger]
    if "workspace_id" in request.query_params:
        return [await entered(request, actor)]
    return [each for each in await desk_of(request).kernel.cabinet.every() if may_enter(actor, each)]


def _ref(request: Request) -> ArtifactRef:
    ref = str(request.path_params["ref"])
    if not _REF.fullmatch(ref):
        raise Refused(_absent(ref))
    return ArtifactRef(ref)


def _absent(ref: str) -> Rejection:
    return missing("artifact", ref[:80])
