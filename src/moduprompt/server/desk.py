"""What every route needs: the kernel, and who is asking.

A route gets an actor or answers `unauthorized`; the owner's token is compared in
constant time, a run's token is looked up by the ids it names and its SHA-256. Through
a run's door that run's token is taken and no other.
"""

import asyncio
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Final, Protocol, Self

import msgspec
from starlette.requests import HTTPConnection

from moduprompt.domain.run.state import RunState
from moduprompt.domain.run.view import Unanswered, Waits
from moduprompt.domain.session.state import SessionState
from moduprompt.kernel.clock import token_sha256
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.visibility import may_enter, run_of_token
from moduprompt.protocol import (
    Actor,
    AgentPrograms,
    Code,
    Recovery,
    Refused,
    RunId,
    WorkspaceId,
    is_id,
    refusal,
)
from moduprompt.server.connection import Turnstile
from moduprompt.server.doors import RUN_OF_DOOR
from moduprompt.server.seats import Seats, read_seats, stream_seats, transfer_seats

RUN_TOKEN_PREFIX: Final = "mprun"  # noqa: S105 - the public part
TOKEN_MAX: Final = 512  # ours have less than 160 characters


class Picture(Protocol):
    """What stood on a screen after `offset` bytes of output, as bytes that draw it."""

    @property
    def offset(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def data(self) -> bytes: ...


class Seat(Protocol):
    """A place at a run's terminal. Leave it with `async with`."""

    has_lost_keeper: bool  # the output broke off since the keeper does not answer: the run may go on

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...

    def take_keyboard(self) -> str | None:
        """None where this seat types from now on; else the id of who does."""
        ...

    def output(self, start: int, *, is_typing: bool) -> AsyncGenerator[bytes]:
        """Every byte from `start` on, never an empty piece, until the run has ended or its keeper is gone."""
        ...

    async def type(self, keys: bytes) -> str | None:
        """Keys as they came; None when the terminal has them, else why not."""
        ...

    async def resize(self, *, rows: int, cols: int) -> None:
        """The window of whoever types has this size."""
        ...


class Terminals(Protocol):
    """Where what terminals printed is found."""

    def recording(self, run_id: str) -> Path | None:
        """Where the recording lies, if there is one."""
        ...

    def raw(self, path: Path) -> AsyncGenerator[bytes]:
        """The recording's bytes as they were written, whatever form they lie in."""
        ...

    def recorded(self, path: Path, start: int) -> AsyncIterator[bytes]:
        """Output from byte `start` on, as far as it is recorded."""
        ...

    async def live(self, run_id: str, start: int) -> AsyncGenerator[bytes] | None:
        """Output from byte `start` on until the run ends, never an empty piece; None where nobody keeps it."""
        ...

    async def picture(self, run_id: str) -> Picture:
        """What stands on its screen now."""
        ...

    async def attach(self, run_id: str, *, user_id: str) -> Seat | None:
        """A seat at its terminal; None where nobody keeps the run any more. Raises Refused while its keeper is silent."""
        ...


class Starts(Protocol):
    """Runs that wait for room to start."""

    def waits(self, run_id: RunId) -> Waits | None:
        """Where it stands in the queue at this moment; None where it does not wait."""
        ...


class NobodyWaits:
    """The `Starts` of a daemon that starts nothing."""

    def waits(self, run_id: RunId) -> None:
        """Never."""
        del run_id


class Keepers(Protocol):
    """Who keeps runs, and whether they answer."""

    def has_silent(self) -> bool:
        """Whether there is any keeper that does not answer."""
        ...

    def unanswered(self, run_id: RunId) -> Unanswered | None:
        """Since when this run's keeper has not answered; None where it does, or nobody has asked it."""
        ...


class NobodyKeeps:
    """The `Keepers` of a daemon that starts nothing."""

    def has_silent(self) -> bool:
        """None."""
        return False

    def unanswered(self, run_id: RunId) -> None:
        """Never."""
        del run_id


class StartReport(Protocol):
    """What this daemon found when it started."""

    def told(self) -> Recovery:
        """All of it, as far as it has come."""
        ...


class Programs(Protocol):
    """The agent programs of this machine."""

    async def look(self, *, with_versions: bool) -> AgentPrograms:
        """All that are known, and what is here of them; to learn versions, programs are started."""
        ...


class NoPrograms:
    """The `Programs` of a daemon that starts nothing."""

    async def look(self, *, with_versions: bool) -> AgentPrograms:
        """None."""
        del with_versions
        return AgentPrograms(items=())


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What the routes share."""

    kernel: Kernel
    terminals: Terminals
    start_report: StartReport
    owner_token: str
    version: str
    data_dir: str
    pid: int
    draining: asyncio.Event
    turnstile: Turnstile
    keeper_links: Callable[[], int]
    starts: Starts = NobodyWaits()
    keepers: Keepers = NobodyKeeps()
    programs: Programs = NoPrograms()
    reads: Seats = msgspec.field(default_factory=read_seats)
    streams: Seats = msgspec.field(default_factory=stream_seats)
    transfers: Seats = msgspec.field(default_factory=transfer_seats)


def desk_of(request: HTTPConnection) -> Desk:
    """The desk that the app was built with."""
    desk = request.app.state.desk
    assert isinstance(desk, Desk), "BUG: the app is built with a desk"
    return desk


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking, and for how long: a session's token ends with its run."""

    actor: Actor
    workspace_id: WorkspaceId | None = None
    run_id: RunId | None = None


async def actor_of(request: HTTPConnection) -> Actor:
    """Who is asking. Raises Refused (`unauthorized`)."""
    return (await caller_of(request)).actor


async def user_of(request: HTTPConnection, what: str, *, hint: str) -> Actor:
    """Who is asking for what is the daemon's own, or of a whole workspace. Raises Refused for whoever is no user."""
    actor = await actor_of(request)
    if actor.kind == "user":
        return actor
    raise Refused(refusal(Code.POLICY_DENIED, what, hint=hint, details={"decided_by": "default_rights"}))


def token_of(request: HTTPConnection) -> str:
    """The bearer token, good or not; empty where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


async def caller_of(request: HTTPConnection) -> Caller:
    """Who is asking. Raises Refused (`unauthorized`)."""
    desk = desk_of(request)
    token = token_of(request)
    if not token or len(token) > TOKEN_MAX:
        raise Refused(
            refusal(
                Code.UNAUTHORIZED,
                "this needs a bearer token",
                hint="send Authorization: Bearer <the token in daemon.json>",
            )
        )
    run_of_door = request.scope.get("state", {}).get(RUN_OF_DOOR)
    if run_of_door is None and hmac.compare_digest(token.encode(), desk.owner_token.encode()):
        return Caller(actor=Actor(kind="user", id=desk.kernel.owner_id))
    caller = await _session_of(desk, token)
    if caller is None or run_of_door not in (None, caller.run_id):
        raise Refused(
            refusal(
                Code.UNAUTHORIZED,
                "the token is not known here, or its run has ended",
                hint="a run uses its own MP_TOKEN on its own MP_SOCKET; everyone else what daemon.json says",
            )
        )
    return caller


def enterable(desk: Desk, actor: Actor) -> list[WorkspaceId]:
    """Workspaces that exist for this actor; nothing is loaded to tell.

    A session knows of its own alone, which has its live run and so is in memory; all of them are the owner's.
    """
    if actor.kind == "user":
        return desk.kernel.cabinet.known()
    return [each.workspace_id for each in entered_ledgers(desk, actor)]


def entered_ledgers(desk: Desk, actor: Actor) -> list[Ledger]:
    """Those of them that are in memory."""
    return [each for each in desk.kernel.cabinet.ledgers() if may_enter(actor, each)]


def is_still_known(caller: Caller, desk: Desk) -> bool:
    """Whether the caller's token is still good; asked again while a stream goes on."""
    if caller.workspace_id is None or caller.run_id is None:
        return True
    ledger = desk.kernel.cabinet.shown(caller.workspace_id)
    run = ledger.find(RunState, caller.run_id) if ledger else None
    return run is not None and run.is_live()


async def _session_of(desk: Desk, token: str) -> Caller | None:
    parts = token.split(".")
    if len(parts) != 4 or parts[0] != RUN_TOKEN_PREFIX or not (is_id(parts[1]) and is_id(parts[2])):
        return None
    ledger = await desk.kernel.look(WorkspaceId(parts[1]))
    run = run_of_token(ledger, RunId(parts[2]), token_sha256(token)) if ledger else None
    session = ledger.find(SessionState, run.session_id) if ledger and run else None
    if ledger is None or run is None or session is None:
        return None
    actor = Actor(kind="session", id=session.session_id, label=session.name)
    return Caller(actor=actor, workspace_id=ledger.workspace_id, run_id=run.run_id)
