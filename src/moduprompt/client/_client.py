"""The SDK: a daemon's commands, reads and streams as typed calls.

Exactly once: `submit` mints a key when none is given and sends the command again with
the same key after a lost connection or `unavailable`, so it is carried out once however
often it travels. At least once, in order, made exactly once here: `events`.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import uuid_utils

from moduprompt.client._answers import (
    ok_body,
    read_refusal,
    to_accepted,
    to_answer,
    to_answers,
    to_typed,
    to_value,
)
from moduprompt.client._channel import Channel, Limits, Reconnect, Reply
from moduprompt.client._collections import ItemPage, collection_of
from moduprompt.client._connection import Request
from moduprompt.client._endpoint import Endpoint
from moduprompt.client._stream import Transport, Wanted, follow
from moduprompt.domain.decider import Command
from moduprompt.domain.hit import SearchHit
from moduprompt.domain.item import Item
from moduprompt.protocol import (
    Accepted,
    AgentPrograms,
    Answer,
    ArtifactRef,
    CommandEnvelope,
    EventEnvelope,
    EventPage,
    Page,
    Ping,
    Ready,
    Recovery,
    RunId,
    Subject,
    ViewReport,
    ViewReports,
    WorkspaceId,
    decode_event,
    encode,
)
from moduprompt.protocol.framing.frames import EventFrame

ItemT = TypeVar("ItemT", bound=Item)  # the item's type
From: TypeAlias = int | Literal["head"]
AsOf: TypeAlias = int | str
"""A moment of the past: a sequence of the workspace, or a time of RFC 3339."""

PAGE_ITEMS: Final = 200  # of one request of `list`; small enough to answer at once
JSON: Final = {"Content-Type": "application/json"}
OCTETS: Final = {"Content-Type": "application/octet-stream"}


class LogHead(msgspec.Struct, frozen=True, kw_only=True):
    """Where a workspace's log stands, and the hashes of its last bytes and of what they fold to.

    A frozen one was imported and takes no order but `workspace.adopt`.
    """

    workspace_id: WorkspaceId
    seq: int
    head_hash: str
    state_hash: str
    is_frozen: bool = False


class Client:
    """One daemon, or its successors. Belongs to one event loop; an async context manager.

    Give `socket` (a path) or `addr` (`host:port`). `reconnect` says where the daemon is
    after it was lost, and may start one; without it the same place is tried again.
    Calls raise CommandRefused, RequestRefused, Unreachable or AnswerBroken.
    """

    def __init__(
        self,
        *,
        token: str,
        socket: str | None = None,
        addr: str | None = None,
        reconnect: Reconnect | None = None,
        limits: Limits | None = None,
    ) -> None:
        endpoint = Endpoint(token=token, socket=socket, addr=addr)
        self._channel = Channel(endpoint, reconnect=reconnect, limits=limits or Limits())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections; closing twice is fine."""
        await self._channel.close()

    async def submit(
        self,
        command: Command,
        *,
        key: str | None = None,
        expected_version: int | None = None,
        trace_id: str | None = None,
    ) -> Accepted:
        """Have a command carried out once, and wait until that is durable."""
        body = encode(to_envelope(command, key=key, expected_version=expected_version, trace_id=trace_id))
        return to_accepted(await self._submit(body))

    async def submit_raw(self, body: bytes) -> Answer:
        """Send bytes as they are, once. A refusal of the command is an answer too."""
        request = Request(method="POST", target="/v1/commands/submit", body=body, headers=JSON)
        return to_answer(await self._channel.ask_afresh(request))

    async def batch(self, commands: Sequence[CommandEnvelope]) -> tuple[Answer, ...]:
        """Up to 1,000 commands of one workspace, each judged on its own; answers in the same order.

        Make the envelopes with `to_envelope`; their keys make the whole safe to send again.
        """
        body = encode({"commands": commands})
        request = Request(method="POST", target="/v1/commands/batch", body=body, headers=JSON)
        return to_answers(await self._channel.ask(request))

    async def events(
        self,
        workspace_id: WorkspaceId,
        *,
        from_: From = 0,
        types: tuple[str, ...] = (),
        project_id: str | None = None,
        subject: Subject | None = None,
        transport: Transport = "sse",
    ) -> AsyncGenerator[EventEnvelope]:
        """The events behind `from_`, for ever, each once, over daemons that come and go."""
        wanted = Wanted(
            workspace_id=workspace_id,
            types=types,
            project_id=project_id,
            subject=subject,
            transport=transport,
        )
        async with aclosing(self.frames(wanted, from_=from_)) as frames:
            async for frame in frames:
                yield decode_event(frame.data)

    async def frames(self, wanted: Wanted, *, from_: From = 0) -> AsyncGenerator[EventFrame]:
        """As `events`, with the bytes as they were served."""
        after = await self.head(wanted.workspace_id) if from_ == "head" else from_
        async with aclosing(follow(self._channel, wanted, after=after)) as frames:
            async for frame in frames:
                yield frame

    async def read_events(
        self,
        workspace_id: WorkspaceId,
        *,
        from_: From = 0,
        limit: int = 500,
        raw: bool = False,
        as_of: AsOf | None = None,
    ) -> EventPage:
        """Some events behind `from_`; `raw` gives the stored bytes that the hash chain is made of."""
        query = {"workspace_id": workspace_id, "from": str(from_), "limit": str(limit), **_past(as_of)}
        return to_value(await self._get("/v1/events", {**query, "raw": "1"} if raw else query), EventPage)

    async def head(self, workspace_id: WorkspaceId) -> int:
        """The last sequence."""
        return (await self.read_events(workspace_id, from_="head", limit=1)).seq_global

    async def log_head(self, workspace_id: WorkspaceId, *, as_of: AsOf | None = None) -> LogHead:
        """The last sequence with its hashes."""
        query = {"workspace_id": workspace_id, **_past(as_of)}
        return to_value(await self._get("/v1/log/head", query), LogHead)

    async def export_log(self, workspace_id: WorkspaceId) -> AsyncGenerator[bytes]:
        """A workspace as a bundle: its log, its artifacts, their hashes."""
        async with aclosing(self._pieces("/v1/log/export", {}, workspace_id)) as pieces:
            async for piece in pieces:
                yield piece

    async def import_log(self, bundle: Path) -> LogHead:
        """Have a bundle imported, which is frozen then. Doing it twice is fine. Raises RequestRefused."""
        request = Request(method="POST", target="/v1/log/import", body=bundle, headers=OCTETS)
        return to_value(await self._channel.ask_afresh(request), LogHead)

    async def views(self) -> ViewReports:
        """How the daemon's read models stand."""
        return to_value(await self._get("/v1/views", {}), ViewReports)

    async def rebuild_view(self, name: str) -> ViewReport:
        """Have one folded again from the first event; `views` tells how it goes. Twice is once."""
        request = Request(method="POST", target=f"/v1/views/{quote(name, safe='')}/rebuild")
        return to_value(await self._channel.ask(request), ViewReport)

    async def list(
        self, kind: type[ItemT], *, workspace_id: WorkspaceId | None = None, as_of: AsOf | None = None
    ) -> tuple[ItemT, ...]:
        """All items of a kind that are visible, in the order they came to be."""
        items: list[ItemT] = []
        cursor: str | None = None
        while True:
            page = await self.page(kind, workspace_id=workspace_id, cursor=cursor, as_of=as_of)
            items += page.items
            cursor = page.next
            if cursor is None:
                return tuple(items)

    async def page(
        self,
        kind: type[ItemT],
        *,
        workspace_id: WorkspaceId | None = None,
        cursor: str | None = None,
        limit: int = PAGE_ITEMS,
        as_of: AsOf | None = None,
    ) -> ItemPage[ItemT]:
        """Some items of a kind."""
        page = await self.raw_page(kind, workspace_id=workspace_id, cursor=cursor, limit=limit, as_of=as_of)
        items = tuple(to_typed(each, kind) for each in page.items)
        return ItemPage(items=items, next=page.next, seq_global=page.seq_global)

    async def raw_page(
        self,
        kind: type[Item],
        *,
        workspace_id: WorkspaceId | None = None,
        cursor: str | None = None,
        limit: int = PAGE_ITEMS,
        as_of: AsOf | None = None,
    ) -> Page:
        """As `page`, with the items as they were served."""
        query = {"limit": str(limit), **_past(as_of)}
        if workspace_id is not None:
            query["workspace_id"] = workspace_id
        if cursor is not None:
            query["cursor"] = cursor
        return to_value(await self._get(f"/v1/{collection_of(kind)}", query), Page)

    async def get(
        self,
        kind: type[ItemT],
        id_: str,
        *,
        workspace_id: WorkspaceId | None = None,
        as_of: AsOf | None = None,
    ) -> ItemT:
        """One item. Raises RequestRefused with `not_found`."""
        scope = {} if workspace_id is None else {"workspace_id": str(workspace_id)}
        query = {**scope, **_past(as_of)}
        return to_value(await self._get(f"/v1/{collection_of(kind)}/{quote(id_, safe='')}", query), kind)

    async def search(
        self,
        words: str,
        *,
        workspace_id: WorkspaceId,
        kind: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_ITEMS,
        as_of: AsOf | None = None,
    ) -> ItemPage[SearchHit]:
        """What holds all these words, the best match first. Raises RequestRefused where there is no word."""
        query = {"workspace_id": str(workspace_id), "q": words, "limit": str(limit), **_past(as_of)}
        query |= {} if kind is None else {"kind": kind}
        query |= {} if cursor is None else {"cursor": cursor}
        page = to_value(await self._get("/v1/search", query), Page)
        items = tuple(to_typed(each, SearchHit) for each in page.items)
        return ItemPage(items=items, next=page.next, seq_global=page.seq_global)

    async def read(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Any read of the contract, as its bytes: `read("/v1/board", {"workspace_id": …})`."""
        return ok_body(await self._get(path, query or {}))

    async def artifact(self, ref: ArtifactRef, *, workspace_id: WorkspaceId | None = None) -> bytes:
        """The content of an artifact. Raises RequestRefused, with the reason `artifact_erased` where it was."""
        return await self.read(
            f"/v1/artifacts/{ref}", {} if workspace_id is None else {"workspace_id": workspace_id}
        )

    async def ping(self) -> Ping:
        """Whether a daemon answers there, at once: one try."""
        return to_value(await self._channel.ask_once(Request(target="/v1/daemon/ping")), Ping)

    async def ready(self) -> Ready:
        """Whether a daemon works there, at once: one try."""
        return to_value(await self._channel.ask_once(Request(target="/v1/daemon/ready")), Ready)

    async def agents(self, *, with_versions: bool = False) -> AgentPrograms:
        """The agent programs that the daemon knows; their versions take some seconds the first time."""
        query = {"versions": "1"} if with_versions else {}
        return to_value(await self._get("/v1/agents", query), AgentPrograms)

    async def recovery(self) -> Recovery:
        """What the daemon found when it started, and what it did about it."""
        return to_value(await self._get("/v1/recovery", {}), Recovery)

    async def run_output(
        self, run_id: RunId, *, from_: int = 0, workspace_id: WorkspaceId | None = None
    ) -> AsyncGenerator[bytes]:
        """What a run's terminal printed, from a byte on, as far as it has come."""
        query = {"from": str(from_)}
        async with aclosing(self._pieces(f"/v1/runs/{run_id}/output", query, workspace_id)) as pieces:
            async for piece in pieces:
                yield piece

    async def follow_output(
        self, run_id: RunId, *, from_: int = 0, workspace_id: WorkspaceId | None = None
    ) -> AsyncGenerator[bytes]:
        """As `run_output`, and on until the run ends. Raises Unreachable after a long silence: go on behind."""
        query = {"from": str(from_), "follow": "1"}
        async with aclosing(self._pieces(f"/v1/runs/{run_id}/output", query, workspace_id)) as pieces:
            async for piece in pieces:
                yield piece

    async def run_recording(
        self, run_id: RunId, *, workspace_id: WorkspaceId | None = None
    ) -> AsyncGenerator[bytes]:
        """A run's recording, as far as it has come."""
        async with aclosing(self._pieces(f"/v1/runs/{run_id}/recording", {}, workspace_id)) as pieces:
            async for piece in pieces:
                yield piece

    async def _submit(self, body: bytes) -> Answer:
        request = Request(method="POST", target="/v1/commands/submit", body=body, headers=JSON)
        return to_answer(await self._channel.ask(request))

    async def _get(self, path: str, query: Mapping[str, str]) -> Reply:
        return await self._channel.ask(_get_request(path, query))

    async def _pieces(
        self, path: str, query: Mapping[str, str], workspace_id: WorkspaceId | None
    ) -> AsyncGenerator[bytes]:
        scope = {} if workspace_id is None else {"workspace_id": workspace_id}
        async with self._channel.stream(_get_request(path, {**query, **scope})) as (head, pieces):
            if head.status != 200:
                raise await read_refusal(head.status, pieces)
            async for piece in pieces:
                yield piece


def to_envelope(
    command: Command,
    *,
    key: str | None = None,
    expected_version: int | None = None,
    trace_id: str | None = None,
) -> CommandEnvelope:
    """A command as it travels; a key and a trace are minted where none are given."""
    return CommandEnvelope(
        type=command.wire,
        schema_version=command.version,
        payload=msgspec.Raw(encode(command)),
        idempotency_key=key or str(uuid_utils.uuid7()),
        expected_version=expected_version,
        trace_id=trace_id or str(uuid_utils.uuid7()),
    )


def _past(as_of: AsOf | None) -> dict[str, str]:
    return {} if as_of is None else {"as_of": str(as_of)}


def _get_request(path: str, query: Mapping[str, str]) -> Request:
    return Request(target=f"{path}?{urlencode(query)}" if query else path)
