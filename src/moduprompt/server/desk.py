"""What every route needs: the kernel, and who is asking.

A route gets an actor or answers `unauthorized`; the owner's token is compared in
constant time, a run's token is looked up by the ids it names and its SHA-256.
"""

import hmac
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec
from starlette.requests import Request

from moduprompt.domain.session.state import SessionState
from moduprompt.kernel.clock import token_sha256
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.visibility import run_of_token
from moduprompt.protocol import Actor, Code, Refused, RunId, WorkspaceId, is_id, refusal

RUN_TOKEN_PREFIX: Final = "mprun"  # noqa: S105 - the public part
TOKEN_MAX: Final = 512  # ours have less than 160 characters


class Terminals(Protocol):
    """Where what terminals printed is found."""

    def recording(self, run_id: str) -> Path | None:
        """Where the recording lies, if there is one."""
        ...

    def recorded(self, path: Path, start: int) -> AsyncIterator[bytes]:
        """Output from byte `start` on, as far as it is recorded."""
        ...

    async def live(self, run_id: str, start: int) -> AsyncIterator[bytes] | None:
        """Output from byte `start` on until the run ends; None where nobody keeps it any more."""
        ...


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes share."""

    kernel: Kernel
    terminals: Terminals
    owner_token: str
    version: str
    data_dir: str
    pid: int
    is_draining: Callable[[], bool]


def desk_of(request: Request) -> Desk:
    """The desk that the app was built with."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk), "BUG: the app is built with a desk"
    return desk


async def actor_of(request: Request) -> Actor:
    """Who is asking. Raises Refused (`unauthorized`)."""
    desk = desk_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > TOKEN_MAX:
        raise Refused(
            refusal(
                Code.UNAUTHORIZED,
                "this needs a bearer token",
                hint="send Authorization: Bearer <the token in daemon.json>",
            )
        )
    if hmac.compare_digest(token.encode(), desk.owner_token.encode()):
        return Actor(kind="user", id=desk.kernel.owner_id)
    actor = await _session_of(desk, token)
    if actor is None:
        raise Refused(
            refusal(
                Code.UNAUTHORIZED,
                "the token is not known, or its run has ended",
                hint="mpctl reads the right one from daemon.json; a restarted daemon has a new one",
            )
        )
    return actor


async def _session_of(desk: Desk, token: str) -> Actor | None:
    parts = token.split(".")
    if len(parts) != 4 or parts[0] != RUN_TOKEN_PREFIX or not (is_id(parts[1]) and is_id(parts[2])):
        return None
    ledger = await desk.kernel.find(WorkspaceId(parts[1]))
    run = run_of_token(ledger, RunId(parts[2]), token_sha256(token)) if ledger else None
    session = ledger.find(SessionState, run.session_id) if ledger and run else None
    return Actor(kind="session", id=session.session_id, label=session.name) if session else None
