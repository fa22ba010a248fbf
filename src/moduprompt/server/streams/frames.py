"""One connection that speaks in frames: commands, reads, and several subscriptions at once.

Each request is handed to the very routes that HTTP has, within the process and with the
connection's own token, so no check is written twice and none can be missed. Bounded: so many
requests at a time, so many subscriptions; a client that does not read stops being read from.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode

import msgspec
from starlette.types import ASGIApp, Message, Scope

from moduprompt.kernel.feed import Found
from moduprompt.protocol import (
    Code,
    ErrorObject,
    Rejection,
    Seq,
    WorkspaceId,
    decode,
    misfit,
    overloaded,
    refusal,
)
from moduprompt.protocol.framing.frames import End, Position
from moduprompt.protocol.framing.stdio import (
    FrameRequest,
    decode_request,
    error_bytes,
    pushed_bytes,
    pushed_head,
    pushed_tail,
    request_id_of,
    response_bytes,
)
from moduprompt.server.catalogue import operations_served
from moduprompt.server.wire import Wire

REQUESTS_MAX: Final = (
    32  # under way at once on one connection; the next one is read when one of them is answered
)
SUBSCRIPTIONS_MAX: Final = 64  # on one connection: a board of many panes
STREAM: Final = "/v1/events/stream-ndjson"
PUSHED: Final = "pushed"  # where the scope of a subscription's request says that it goes in frames
COMMANDS: Final[Mapping[str, str]] = {
    "command.submit": "/v1/commands/submit",
    "command.batch": "/v1/commands/batch",
}

Send: TypeAlias = Callable[[bytes], Awaitable[None]]


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Payload of `events.subscribe`: what the streams take as parameters."""

    workspace_id: WorkspaceId
    from_: Seq | str | None = msgspec.field(default=None, name="from")
    types: str | None = None
    project_id: str | None = None
    subject: str | None = None


class Unsubscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Payload of `events.unsubscribe`: the id of the request that began it."""

    request_id: str


class Auth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Payload of `auth`: the token that the connection was opened with."""

    token: str


class _Verdict(msgspec.Struct, frozen=True):
    accepted: bool | None = None


class _Collected:
    """A whole answer, as it comes. Without one it is a fault of ours."""

    def __init__(self) -> None:
        self.status = 500
        self.body = bytearray()

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self.body += message.get("body", b"")


class Pushed:
    """A subscription of a WebSocket: its own id, then what all of them share. Each event is a message."""

    def __init__(self, wire: Wire, request_id: str) -> None:
        self.wire = wire
        self._request_id = request_id
        self._head = pushed_head(request_id)

    def found_bytes(self, found: Found) -> bytes:
        """Messages."""
        messages = [self._message(each.framed(pushed_tail)) for each in found.events]
        if not found.events or found.events[-1].seq < found.looked_to:
            messages.append(_text(pushed_bytes(self._request_id, Position(seq=found.looked_to))))
        return messages[0] if len(messages) == 1 else b"".join(messages)

    def end_bytes(self, reason: str) -> bytes:
        """The subscription's last message."""
        return _text(pushed_bytes(self._request_id, End(reason=reason)))

    def _message(self, tail: bytes) -> bytes:
        return b"".join((_opening(len(self._head) + len(tail)), self._head, tail))


class FrameSession:
    """The requests of one connection. `end` it when the connection is gone."""

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        *,
        token: str,
        send: Send,
        noted: Callable[[Rejection], None],
        wire: Wire,
    ) -> None:
        self._app = app
        self._scope = scope
        self._token = token
        self._send = send
        self._noted = noted
        self._wire = wire
        self._room = asyncio.Semaphore(REQUESTS_MAX)
        self._answering: set[asyncio.Task[None]] = set()
        self._subscriptions: dict[str, asyncio.Task[None]] = {}

    async def take(self, data: bytes) -> None:
        """Begin with one request; returns when there is room for the next."""
        request = decode_request(data)
        if isinstance(request, Rejection):
            await self._refuse(request_id_of(data), request)
            return
        await self._room.acquire()
        task = asyncio.create_task(self._answer(request), name=request.type)
        self._answering.add(task)
        task.add_done_callback(self._answered)

    async def drained(self) -> None:
        """What is under way has been answered, and the subscriptions have said why they end."""
        under_way = {*self._answering, *self._subscriptions.values()}
        if under_way:
            await asyncio.wait(under_way)

    async def end(self) -> None:
        """Let go of everything; ending twice is fine."""
        under_way = [*self._answering, *self._subscriptions.values()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _refuse(self, request_id: str | None, rejection: Rejection) -> None:
        self._noted(rejection)
        await self._send(error_bytes(request_id, rejection))

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        self._room.release()

    async def _answer(self, request: FrameRequest) -> None:
        match request.type:
            case "auth":
                await self._send(self._authenticated(request))
            case "events.subscribe":
                await self._subscribe(request)
            case "events.unsubscribe":
                await self._unsubscribe(request)
            case _ if request.type in COMMANDS:
                await self._relay(
                    request, method="POST", path=COMMANDS[request.type], body=bytes(request.payload)
                )
            case _:
                await self._query(request)

    def _authenticated(self, request: FrameRequest) -> bytes:
        given = decode(request.payload, Auth)
        if isinstance(given, Rejection):
            return error_bytes(request.request_id, given)
        if given.token != self._token:
            rejection = refusal(
                Code.UNAUTHORIZED,
                "the connection belongs to another token",
                hint="open another connection for another actor",
            )
            return error_bytes(request.request_id, rejection)
        return response_bytes(request, b"{}")

    async def _query(self, request: FrameRequest) -> None:
        payload = decode(request.payload, dict[str, str | int])
        if isinstance(payload, Rejection):
            await self._send(error_bytes(request.request_id, payload))
            return
        path = path_of(request.type, payload)
        if path is None:
            known = ", ".join(sorted({"auth", *COMMANDS, "events.subscribe", "events.unsubscribe", *QUERIES}))
            rejection = misfit(
                "/type", "no such request, or not with these parameters", hint=f"known: {known}"
            )
            await self._send(error_bytes(request.request_id, rejection))
            return
        query = {name: value for name, value in payload.items() if f"{{{name}}}" not in path.template}
        await self._relay(request, method="GET", path=path.filled, query=query)

    async def _relay(
        self,
        request: FrameRequest,
        *,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        body: bytes = b"",
    ) -> None:
        status, answer = await self._ask(method, path, query=query or {}, body=body)
        verdict = decode(answer, _Verdict)
        is_answer = status == 200 or (not isinstance(verdict, Rejection) and verdict.accepted is not None)
        if is_answer:
            await self._send(response_bytes(request, answer))
        else:
            await self._send(error_bytes(request.request_id, to_error_object(answer)))

    async def _subscribe(self, request: FrameRequest) -> None:
        wanted, id_ = decode(request.payload, Subscribe), request.request_id
        rejection: Rejection | None = None
        if isinstance(wanted, Rejection):
            rejection = wanted
        elif id_ is None:
            rejection = misfit("/request_id", "is what a subscription's events carry; it must be there")
        elif id_ in self._subscriptions:
            rejection = misfit("/request_id", "is the id of another subscription of this connection")
        elif len(self._subscriptions) >= SUBSCRIPTIONS_MAX:
            rejection = overloaded(
                "subscriptions",
                f"a connection has at most {SUBSCRIPTIONS_MAX} subscriptions",
                hint="end one of them, or open another connection",
            )
        if rejection is not None or id_ is None or isinstance(wanted, Rejection):
            assert rejection is not None, "BUG: what is not taken has a reason"
            await self._refuse(id_, rejection)
            return
        query = msgspec.convert(msgspec.to_builtins(wanted), dict[str, str | int])
        task = asyncio.create_task(self._follow(request, id_, query=query), name=f"subscription {id_}")
        self._subscriptions[id_] = task
        task.add_done_callback(lambda _: self._subscriptions.pop(id_, None))

    async def _follow(self, request: FrameRequest, id_: str, *, query: Mapping[str, str | int]) -> None:
        """The route checks and opens it; then it writes its messages itself."""
        head = _Collected()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                head.status = 200
                await self._send(response_bytes(request, b"{}"))
            elif head.status != 200:
                head.take(message)

        scope = self._request("GET", STREAM, query=query, body=b"")
        scope["state"] = {**scope["state"], PUSHED: Pushed(self._wire, id_)}
        await self._run(scope, send=send)
        if head.status != 200:
            await self._send(error_bytes(id_, to_error_object(bytes(head.body))))

    async def _unsubscribe(self, request: FrameRequest) -> None:
        named = decode(request.payload, Unsubscribe)
        if isinstance(named, Rejection):
            await self._send(error_bytes(request.request_id, named))
            return
        task = self._subscriptions.pop(named.request_id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._send(response_bytes(request, b"{}"))

    async def _ask(
        self, method: str, path: str, *, query: Mapping[str, str | int], body: bytes
    ) -> tuple[int, bytes]:
        answer = _Collected()

        async def send(message: Message) -> None:
            answer.take(message)

        await self._run(self._request(method, path, query=query, body=body), body=body, send=send)
        return answer.status, bytes(answer.body)

    async def _run(
        self, scope: Scope, *, send: Callable[[Message], Awaitable[None]], body: bytes = b""
    ) -> None:
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if parts:
                return parts.pop()
            return await asyncio.get_running_loop().create_future()  # it never hangs up; it is cancelled

        running = asyncio.ensure_future(self._app(scope, receive, send))
        try:
            await asyncio.wait({running})  # a fault has been logged and answered by the app itself
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _request(self, method: str, path: str, *, query: Mapping[str, str | int], body: bytes) -> Scope:
        return {
            **self._scope,
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": urlencode(query).encode(),
            "headers": [
                (b"host", b"localhost"),
                (b"authorization", f"Bearer {self._token}".encode()),
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ],
        }


def _text(payload: bytes) -> bytes:
    """A whole message of text."""
    return _opening(len(payload)) + payload


def _opening(length: int) -> bytes:
    """How a text message of a server begins (RFC 6455, section 5.2): whole, without a mask."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


class Path(msgspec.Struct, frozen=True, kw_only=True):
    """A route, and the path with its places filled."""

    template: str
    filled: str


def path_of(type_: str, payload: Mapping[str, str | int]) -> Path | None:
    """The read that is meant: of those of one name the one whose places the payload fills."""
    for template, places in QUERIES.get(type_, ()):
        if all(place in payload for place in places):
            filled = template
            for place in places:
                filled = filled.replace(f"{{{place}}}", quote(str(payload[place]), safe=""))
            return Path(template=template, filled=filled)
    return None


def to_error_object(answer: bytes) -> ErrorObject:
    """What a route said no with."""
    error = decode(answer, ErrorObject)
    if isinstance(error, Rejection):
        return ErrorObject(
            code=Code.INTERNAL,
            message="a fault of the daemon's; its log says more",
            hint="mpctl daemon status says where that lies",
        )
    return error


def _queries() -> dict[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    """Every read that answers with JSON; those with the most places first."""
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for op in operations_served():
        if op.method != "get" or op.media_type != "application/json":
            continue
        steps = op.path.removeprefix("/v1/").split("/")
        places = tuple(step[1:-1] for step in steps if step.startswith("{"))
        name = ".".join(("query", *(step for step in steps if not step.startswith("{"))))
        found.setdefault(name, []).append((op.path, places))
    return {name: tuple(sorted(each, key=lambda one: -len(one[1]))) for name, each in found.items()}


QUERIES: Final = _queries()
