"""What a verb gets: its words, the daemon, the workspace, and the two ways to answer.

Outside a run the daemon is found, or started, when a verb first asks for it. Inside a run
(`MP_TOKEN` with `MP_SOCKET`) the call speaks as the run's session, and starts nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Self, TypeVar

import msgspec

from moduprompt.cli.daemons import ensure, find
from moduprompt.cli.moments import Moment, find_moment, to_as_of
from moduprompt.cli.printing import print_json, print_text
from moduprompt.cli.progress import Doing, waiting_for
from moduprompt.cli.tables import Column, to_table
from moduprompt.cli.words import Words
from moduprompt.client import AsOf, Client, Endpoint, Loss, collection_of, to_typed
from moduprompt.config import Choices, Config, load_config
from moduprompt.domain.decider import Command
from moduprompt.domain.item import Item
from moduprompt.domain.workspace.view import WorkspaceItem
from moduprompt.protocol import SYSTEM_WORKSPACE, Accepted, Micros, Page, WorkspaceId, encode

ItemT = TypeVar("ItemT", bound=Item)  # the item's type


class _Row(msgspec.Struct, Generic[ItemT], frozen=True):
    item: ItemT
    raw: msgspec.Raw


class _Read(msgspec.Struct, Generic[ItemT], frozen=True):
    rows: tuple[_Row[ItemT], ...]
    seq_global: int


class Call:
    """One call of mpctl. An async context manager; leaving closes the connections."""

    def __init__(self, words: Words, environ: Mapping[str, str]) -> None:
        self.words = words
        self.environ = environ
        self._client: Client | None = None
        self._config: Config | None = None
        self._moments: dict[WorkspaceId, Moment] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.close()

    @property
    def is_json(self) -> bool:
        """Whether the daemon's JSON is wanted, and nothing else."""
        return self.words.is_set("json")

    @property
    def is_in_run(self) -> bool:
        """Whether this call is an agent's."""
        return bool(self.environ.get("MP_TOKEN") and self.environ.get("MP_SOCKET"))

    @property
    def may_start(self) -> bool:
        """Whether a daemon may be started for this call."""
        return not self.words.is_set("no_start") and not self.is_in_run

    @property
    def config(self) -> Config:
        """Where things lie. Raises ConfigRefused."""
        if self._config is None:
            self._config = load_config(to_choices(self.words), self.environ)
        return self._config

    async def client(self) -> Client:
        """The connection to the daemon, which is started where none answers and it may be."""
        if self._client is None:
            self._client = await self._connect()
        return self._client

    async def endpoint(self) -> Endpoint:
        """Where the daemon is, for what speaks to it over a socket of its own."""
        token, socket = self.environ.get("MP_TOKEN"), self.environ.get("MP_SOCKET")
        if token and socket:
            return Endpoint(token=token, socket=socket)
        return (await ensure(self.config, may_start=self.may_start)).endpoint

    async def workspaces(self) -> tuple[WorkspaceItem, ...]:
        """Those of people; the system's own is not among them."""
        client = await self.client()
        return tuple(each for each in await client.list(WorkspaceItem) if each.id != SYSTEM_WORKSPACE)

    async def submit(self, command: Command) -> Accepted:
        """Have a command carried out. Raises CommandRefused."""
        client = await self.client()
        async with waiting_for(command.wire):
            return await client.submit(command)

    @property
    def as_of(self) -> AsOf | None:
        """What `--as-of` says; None for the present. Raises CallFailed."""
        typed = self.words.maybe("as_of")
        return None if typed is None else to_as_of(typed, now=Micros(time.time_ns() // 1_000))

    async def moment(self, of: WorkspaceId) -> Moment | None:
        """The moment of this workspace that the call is about; None for the present."""
        if self.words.maybe("as_of") is None:
            return None
        if of not in self._moments:
            as_of = self.as_of
            assert as_of is not None, "BUG: it was typed"
            self._moments[of] = await find_moment(await self.client(), of, as_of)
        return self._moments[of]

    async def list(self, kind: type[ItemT], *, of: WorkspaceId | None) -> tuple[ItemT, ...]:
        """All items of a kind; of a workspace's own those of the call's moment."""
        moment = None if of is None else await self.moment(of)
        return tuple(row.item for row in (await self._rows(kind, of, moment.seq if moment else None)).rows)

    async def get(self, kind: type[ItemT], id_: str) -> ItemT:
        """One item by its id, at the call's moment."""
        client = await self.client()
        item = await client.get(kind, id_)
        moment = await self.moment(item.workspace_id)
        if moment is None:
            return item
        return await client.get(kind, id_, workspace_id=item.workspace_id, as_of=moment.seq)

    def answer(self, accepted: Accepted, *lines: str) -> None:
        """What a command did: its answer as JSON, or sentences for people."""
        self.show(encode(accepted), "\n".join(lines))

    def show(self, as_json: bytes, text: str) -> None:
        """One document, in the form that was asked for."""
        if self.is_json:
            print_json(as_json)
        elif text:
            print_text("".join(f"{line}\n" for line in (*self._headings(), text)))

    async def show_list(
        self,
        kind: type[ItemT],
        columns: Sequence[Column[ItemT]],
        *,
        of: WorkspaceId | None,
        empty: str,
        keep: Callable[[ItemT], bool] = lambda _: True,
    ) -> None:
        """A collection: the daemon's pages as one, or a table for people."""
        moment = None if of is None else await self.moment(of)
        read = await self._rows(kind, of, moment.seq if moment else self.as_of)
        rows = [row for row in read.rows if keep(row.item)]
        page = Page(items=tuple(row.raw for row in rows), seq_global=read.seq_global)
        self.show(encode(page), to_table([row.item for row in rows], columns) if rows else empty)

    async def show_item(self, item: Item, text: str) -> None:
        """One item: as the daemon serves it, or as people read it."""
        if not self.is_json:
            self.show(b"", text)
            return
        client = await self.client()
        path = f"/v1/{collection_of(type(item))}/{item.id}"
        moment = await self.moment(item.workspace_id)
        past = {} if moment is None else {"as_of": str(moment.seq)}
        self.show(await client.read(path, {"workspace_id": item.workspace_id, **past}), "")

    def _headings(self) -> Sequence[str]:
        """Whatever shows the past says so first."""
        if self._moments:
            return [moment.heading() for moment in self._moments.values()]
        as_of = self.as_of
        return [] if as_of is None else [f"the past: as of {as_of}"]

    async def _rows(self, kind: type[ItemT], of: WorkspaceId | None, as_of: AsOf | None) -> "_Read[ItemT]":
        client = await self.client()
        rows: list[_Row[ItemT]] = []
        cursor: str | None = None
        async with waiting_for(f"reading {collection_of(kind)}"):
            while True:
                page = await client.raw_page(kind, workspace_id=of, cursor=cursor, as_of=as_of)
                rows += [_Row(item=to_typed(raw, kind), raw=raw) for raw in page.items]
                cursor = page.next
                if cursor is None:
                    return _Read(rows=tuple(rows), seq_global=page.seq_global)

    async def _connect(self) -> Client:
        token, socket = self.environ.get("MP_TOKEN"), self.environ.get("MP_SOCKET")
        if token and socket:
            return Client(token=token, socket=socket)
        doing = Doing("looking for the daemon")
        async with waiting_for(doing.said):
            found = await ensure(self.config, may_start=self.may_start, tell=doing.tell)
        return Client(token=found.endpoint.token, socket=found.endpoint.socket, reconnect=self._again)

    async def _again(self, loss: Loss) -> Endpoint | None:
        """Where the daemon is after it was lost. One that said it ends was stopped: we start no other."""
        if loss == "cut" and self.may_start:
            return (await ensure(self.config, may_start=True)).endpoint
        found = await find(self.config)
        return found.endpoint if found is not None else None


def to_choices(words: Words) -> Choices:
    """The flags that say where things lie."""
    return Choices(
        data_dir=words.maybe("data_dir"),
        runtime_dir=words.maybe("runtime_dir"),
        db=words.maybe("db"),
        listen=words.maybe("listen"),
    )
