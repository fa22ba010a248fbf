"""A daemon within the test's process: a real kernel on real SQLite files behind a real Unix socket.

    async with serve_in(tmp_path) as daemon:
        workspace = await daemon.make_workspace()
        reply = await daemon.ask("GET", "/v1/events", query={"workspace_id": workspace})

Nothing carries out intents unless hands are given, so a run stays requested: its token
is good, and no program is started.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import h11
import msgspec

from moduprompt.client import Client
from moduprompt.domain.decider import Command, Event, Observation, RepositoryFacts
from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.project.commands import AttachRepository, CreateProject
from moduprompt.domain.project.events import ProjectCreated
from moduprompt.domain.registry import UPCASTERS, Upcasters, read_event
from moduprompt.domain.run.events import RunRequested
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.commands import AgentSpec, SpawnSession
from moduprompt.domain.session.events import SessionSpawned
from moduprompt.domain.workspace.commands import CreateWorkspace
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.recovery.memory import StartMemory
from moduprompt.effects.runner.attachment import Picture, draw
from moduprompt.effects.runner.silences import Silences
from moduprompt.kernel.clock import SystemClock, SystemMint
from moduprompt.kernel.feed import POSITION_S
from moduprompt.kernel.kernel import Kernel
from moduprompt.kernel.ports import Hand
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Accepted,
    Answer,
    ProjectId,
    RunId,
    SessionId,
    WorkspaceId,
    decode_event,
    encode,
)
from moduprompt.server.app import build_app
from moduprompt.server.desk import Desk
from moduprompt.server.doors import Porter, bind_loopback, bind_unix
from moduprompt.server.guard import LoopbackGuard
from moduprompt.server.run_doors import RunDoors
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.views import SqliteViews
from moduprompt.views.board import VIEW as BOARD
from moduprompt.views.search import VIEW as SEARCH

TOKEN = "the-owner's-token"
SECRET = b"s" * 32
AGENT = AgentSpec(adapter="command", argv=("agent",))


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        return msgspec.json.decode(self.body, type=dict[str, object])

    @property
    def code(self) -> object:
        """The code of a refusal, in whichever of the forms."""
        found = msgspec.json.decode(self.body, type=_Refusal)
        return found.rejection.code if found.rejection else found.code


class _Code(msgspec.Struct, frozen=True):
    code: str | None = None


class _Refusal(_Code, frozen=True):
    rejection: _Code | None = None


class QuietTerminals:
    """Terminals whose recordings are files of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live_pieces: asyncio.Queue[bytes] | None = None

    def recording(self, run_id: str) -> Path | None:
        path = self.folder / run_id
        return path if path.is_file() else None

    async def raw(self, path: Path) -> AsyncGenerator[bytes]:
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, 65_536):
                yield piece

    async def recorded(self, path: Path, start: int) -> AsyncIterator[bytes]:
        yield (await asyncio.to_thread(path.read_bytes))[start:]

    async def live(self, run_id: str, start: int) -> AsyncGenerator[bytes] | None:  # noqa: ARG002 - its shape
        return None if self.live_pieces is None else self._live(self.live_pieces)

    async def picture(self, run_id: str) -> Picture:
        return await draw(self.recording(run_id))

    async def attach(self, run_id: str, *, user_id: str) -> None:  # noqa: ARG002 - its shape
        return None

    async def _live(self, pieces: asyncio.Queue[bytes]) -> AsyncGenerator[bytes]:
        while piece := await pieces.get():
            yield piece


class SeesWhatIsAsked:
    """An observer to whom every path is a repository and every program is there."""

    async def observe(self, command: Command) -> Observation:
        if isinstance(command, CreateProject | AttachRepository) and command.repository is not None:
            return RepositoryFacts(path=command.repository, branch="main", head="c0ffee", dirty=False)
        return None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A session with its run, and the token the run's program would have."""

    session_id: SessionId
    run_id: RunId
    token: str


class Served:
    """A daemon that answers."""

    def __init__(
        self, desk: Desk, *, folder: Path, mint: SystemMint, doors: RunDoors, silences: Silences
    ) -> None:
        self.desk = desk
        self.silences = silences
        self.kernel = desk.kernel
        self.socket = folder / "mpd.sock"
        self.mint = mint
        self.doors = doors
        self.port = 0

    def client(self, token: str = TOKEN) -> Client:
        return Client(socket=str(self.socket), token=token)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: bytes | None = None,
        token: str | None = TOKEN,
        headers: Mapping[str, str] | None = None,
        socket: Path | None = None,
    ) -> Reply:
        """One request on a connection of its own."""
        return await ask(
            socket or self.socket,
            method,
            f"{path}?{urlencode(query)}" if query else path,
            body=body,
            headers={**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})},
        )

    async def get(self, path: str, *, token: str | None = TOKEN, **query: object) -> Reply:
        return await self.ask("GET", path, query={k.rstrip("_"): v for k, v in query.items()}, token=token)

    async def submit(self, command: Command, *, token: str = TOKEN, **changes: object) -> Reply:
        """A command in its envelope, of which any field can be changed; None leaves it out."""
        return await self.ask(
            "POST", "/v1/commands/submit", body=encode(envelope(command, **changes)), token=token
        )

    async def accepted(self, command: Command, *, token: str = TOKEN) -> tuple[Event, ...]:
        """The events of a command that must be carried out."""
        reply = await self.submit(command, token=token)
        assert reply.status == 200, reply.body
        answer = msgspec.json.decode(reply.body, type=Accepted)
        known = (read_event(decode_event(each)) for each in answer.events)
        return tuple(each for each in known if each is not None)

    async def make_workspace(self, name: str = "here") -> WorkspaceId:
        (made,) = await self.accepted(CreateWorkspace(workspace_id=SYSTEM_WORKSPACE, name=name))
        return WorkspaceId(made.subject().id)

    async def make_project(self, workspace_id: WorkspaceId) -> ProjectId:
        made = await self.accepted(CreateProject(workspace_id=workspace_id, name="core"))
        return next(each.project_id for each in made if isinstance(each, ProjectCreated))

    async def make_session(
        self,
        workspace_id: WorkspaceId,
        project_id: ProjectId,
        *,
        name: str = "worker",
        parent: SessionId | None = None,
    ) -> Line:
        """A session without a worktree; its first run is requested at once."""
        made = await self.accepted(
            SpawnSession(
                workspace_id=workspace_id,
                project_id=project_id,
                name=name,
                agent=AGENT,
                place="none",
                parent_session_id=parent,
            )
        )
        session_id = next(each.session_id for each in made if isinstance(each, SessionSpawned))
        run_id = next(each.run_id for each in made if isinstance(each, RunRequested))
        return Line(session_id=session_id, run_id=run_id, token=self.mint.run_token(workspace_id, run_id))

    async def report(self, command: Command) -> Answer:
        """What a hand would report."""
        return await self.kernel.execute(command, key=str(uuid4()))

    def run(self, workspace_id: WorkspaceId, run_id: RunId) -> RunState:
        ledger = self.kernel.cabinet.get(workspace_id)
        found = ledger.find(RunState, run_id) if ledger else None
        assert found is not None, run_id
        return found


def envelope(command: Command, **changes: object) -> dict[str, object]:
    """The envelope of a command as plain values; None leaves a field out."""
    fields: dict[str, object] = {
        "type": command.wire,
        "schema_version": command.version,
        "payload": msgspec.to_builtins(command),
        "idempotency_key": str(uuid4()),
        "trace_id": "a-test",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


@asynccontextmanager
async def serve_in(
    folder: Path,
    *,
    hands: tuple[Hand, ...] = (),
    position_s: float = POSITION_S,
    listen: str | None = None,
    observer: SeesWhatIsAsked | None = None,
    upcasters: Upcasters = UPCASTERS,
) -> AsyncGenerator[Served]:
    """A daemon on the files of this folder; twice in a row it is the same one, restarted."""
    async with AsyncExitStack() as house:
        log = await SqliteLog.open(folder / "log.sqlite")
        house.push_async_callback(log.close)
        views = (*VIEWS, BOARD, SEARCH)
        store = await SqliteViews.open(folder / "views.sqlite", views=views)
        house.push_async_callback(store.close)
        mint = SystemMint(SECRET)
        kernel = Kernel(
            log,
            store,
            views=views,
            clock=SystemClock(),
            mint=mint,
            artifacts=FolderArtifacts(folder / "artifacts"),
            observer=observer or SeesWhatIsAsked(),
            position_s=position_s,
            upcasters=upcasters,
        )
        house.push_async_callback(kernel.stop)
        await kernel.start(owner_name="ada", hands=hands)
        porter = Porter(kernel.meters)
        silences = Silences(clock=SystemClock(), hindered=kernel.hindered)
        desk = Desk(
            kernel=kernel,
            terminals=QuietTerminals(folder),
            start_report=StartMemory(version="1.2.3", clock=SystemClock()),
            owner_token=TOKEN,
            version="1.2.3",
            data_dir=str(folder),
            pid=1,
            draining=asyncio.Event(),
            turnstile=porter.turnstile,
            keeper_links=lambda: 0,
            keepers=silences,
        )
        app = build_app(desk)
        doors = RunDoors(folder / "agents", porter=porter, app=app)
        doors.clear()
        served = Served(desk, folder=folder, mint=mint, doors=doors, silences=silences)
        house.push_async_callback(_drain, served, porter)
        await porter.open(bind_unix(served.socket), app)
        if listen is not None:
            tcp = bind_loopback(listen)
            served.port = tcp.getsockname()[1]
            await porter.open(tcp, LoopbackGuard(app))
        yield served


async def _drain(served: Served, porter: Porter) -> None:
    served.desk.draining.set()
    served.kernel.feed.drain()
    await porter.stop()


async def ask(
    where: Path | int, method: str, target: str, *, headers: Mapping[str, str], body: bytes | None = None
) -> Reply:
    """One request to a socket or to a port of 127.0.0.1."""
    reader, writer = await connect(where)
    try:
        http = h11.Connection(h11.CLIENT)
        named = {name.lower() for name in headers}
        host = {} if "host" in named else {"Host": "localhost"}
        length = {} if body is None or "content-length" in named else {"Content-Length": str(len(body))}
        head = h11.Request(method=method, target=target, headers=[*{**host, **length, **headers}.items()])
        writer.write(http.send(head) or b"")
        writer.write(b"" if body is None else http.send(h11.Data(data=body)) or b"")
        writer.write(http.send(h11.EndOfMessage()) or b"")
        return await read_reply(reader, http)
    finally:
        writer.close()


async def connect(where: Path | int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(where, int):
        return await asyncio.open_connection("127.0.0.1", where)
    return await asyncio.open_unix_connection(str(where))


async def read_reply(reader: asyncio.StreamReader, http: h11.Connection) -> Reply:
    """The next whole answer of a connection."""
    head: h11.Response | None = None
    body = bytearray()
    while True:
        match http.next_event():
            case h11.Response() as head:
                pass
            case h11.Data() as data:
                body += data.data
            case h11.EndOfMessage():
                assert head is not None, "an answer begins with its head"
                names = {name.decode(): value.decode() for name, value in head.headers}
                return Reply(status=head.status_code, headers=names, body=bytes(body))
            case h11.NEED_DATA:
                http.receive_data(await reader.read(65_536))
            case other:
                raise AssertionError(f"no answer: {other}")
