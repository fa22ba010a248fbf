"""A connection to one keeper, for the daemon's event loop.

One task reads frames and hands them on: answers to whoever asked, reports to `entries`, bytes to `output`.
Everything it holds is bounded. A watcher that does not read stops the whole link, since the keeper then
has nowhere to send: watch output over a link of its own (dial again) and keep another for control.

Nothing here waits for a keeper for ever. Each request has its bound, and who waits for reports or output asks in
between whether the keeper is still there. A keeper that misses a bound ends the link; what was asked of it may still
be done when it goes on, so whoever asks again must ask for something that can be done twice, or under an id.
"""

import asyncio
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import decode_entry
from moduprompt.keeper import wire

CHUNKS_WAITING_MAX = 8  # half a megabyte for a slow watcher; the rest stays in the recording
ENTRIES_WAITING_MAX = 2048  # above what a keeper holds unacknowledged, so it never fills
HELLO_S_MAX = 5.0  # a keeper answers in under a millisecond; a stopped one never does
ANSWER_S_MAX = 20.0  # to any request: most take no time, some a sync of the journal on a disk that is busy
INPUT_S_MAX = 60.0  # until the terminal has taken an input: a program that reads nothing keeps nobody longer
HEARTBEAT_S = 30.0  # without a word from a keeper that is listened to: then it is asked whether it is there
READ_BYTES = 64 * 1024


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    request: int


class _Failure(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str
    request: int | None = None


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long a link waits."""

    hello_s_max: float = HELLO_S_MAX
    answer_s_max: float = ANSWER_S_MAX
    input_s_max: float = INPUT_S_MAX
    heartbeat_s: float = HEARTBEAT_S


USUAL = Patience()
_Reply = tuple[int, bytes]  # frame type and body
_Item = TypeVar("_Item")
_T = TypeVar("_T")


async def open_link(
    path: str, *, nonce: str, patience: Patience = USUAL, missed: Callable[[str], object] | None = None
) -> "KeeperLink":
    """Connect to a keeper's socket and greet it. `missed` is called when it later does not answer in time.

    Raises OSError when nobody listens, LinkClosedError when whoever listens doesn't behave like this run's
    keeper, TimeoutError when it stays silent.
    """
    with ExitStack() as undo:
        connection = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connection.settimeout(0)
        connection.connect(path)  # on a Unix socket it succeeds or fails at once
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        undo.pop_all()
    async with AsyncExitStack() as unsaid:
        unsaid.push_async_callback(_hang_up, writer)
        frames = wire.FrameReader()
        welcome = await _greeted(reader, writer, frames=frames, nonce=nonce, within_s=patience.hello_s_max)
        unsaid.pop_all()
    return KeeperLink(welcome, reader=reader, writer=writer, frames=frames, patience=patience, missed=missed)


async def _greeted(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    frames: wire.FrameReader,
    nonce: str,
    within_s: float,
) -> port.Welcome:
    writer.write(wire.encode(wire.HELLO, {"version": wire.VERSION, "nonce": nonce}))
    try:
        async with asyncio.timeout(within_s):
            kind, body = await _first_frame(reader, frames)
    except wire.FrameError as error:
        raise port.LinkClosedError(f"no keeper's greeting: {error}") from error
    if kind != wire.WELCOME:
        raise port.LinkClosedError(_reason(kind, body))
    return decode_body(body, port.Welcome)


def decode_body(body: bytes, kind: type[_T]) -> _T:
    """What a frame says. Raises LinkClosedError where no keeper of ours has said it."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError) as fault:
        raise port.LinkClosedError(f"no keeper's frame: {fault}") from fault


class KeeperLink:
    """The `RunLink` of a keeper. Use it as an async context manager, or `close` it."""

    def __init__(
        self,
        welcome: port.Welcome,
        *,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        frames: wire.FrameReader,
        patience: Patience,
        missed: Callable[[str], object] | None = None,
    ) -> None:
        self.welcome = welcome
        self.patience = patience
        self._missed = missed
        self._reader = reader
        self._writer = writer
        self._frames = frames
        self._requests: dict[int, asyncio.Future[_Reply]] = {}
        self._last_request = 0
        self._chunks: asyncio.Queue[port.OutputChunk | port.Done | None] = asyncio.Queue(CHUNKS_WAITING_MAX)
        self._entries: asyncio.Queue[port.Entry | None] = asyncio.Queue(ENTRIES_WAITING_MAX)
        self._closed_because: str | None = None
        self._is_silent = False
        self._pump = asyncio.create_task(self._read(), name=f"keeper link {welcome.run_id}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up. The run goes on. Safe twice."""
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)
        await _hang_up(self._writer)

    @property
    def is_open(self) -> bool:
        """Whether the keeper is still at the other end, as far as is known."""
        return self._closed_because is None and not self._writer.is_closing()

    async def entries(self, *, after: int = 0) -> AsyncIterator[port.Entry]:
        """See `RunLink.entries`."""
        await self._ask(wire.FOLLOW, {"after": after})
        while (entry := await self._next(self._entries)) is not None:
            yield entry
        raise self._closed()

    async def output(
        self, from_offset: int = 0, *, answers_terminal: bool = False
    ) -> AsyncIterator[port.OutputChunk]:
        """See `RunLink.output`."""
        kind, body = await self._request(
            wire.ATTACH, {"from": from_offset, "answers_terminal": answers_terminal}
        )
        if kind == wire.ERROR:
            raise ValueError(_reason(kind, body))
        while isinstance(item := await self._next(self._chunks), port.OutputChunk):
            yield item
        if item is None:
            raise self._closed()

    async def send_input(
        self,
        data: bytes,
        *,
        author: port.Author,
        input_id: str | None,
        if_output_bytes: int | None = None,
        if_canonical: bool | None = None,
    ) -> port.InputResult | port.RequestRefused:
        """See `RunLink.send_input`."""
        fields: dict[str, object] = {
            "input_id": input_id,
            "author": {"kind": author.kind, "id": author.id},
            "data": b64encode(data).decode(),
        }
        # Asked of who can: an older keeper would hang up.
        if if_output_bytes is not None and port.GUARD in self.welcome.can:
            fields[port.GUARD] = if_output_bytes
        if if_canonical is not None and port.MODE_GUARD in self.welcome.can:
            fields[port.MODE_GUARD] = if_canonical
        reply = await self._taken(fields)
        if reply is None:
            return port.RequestRefused(code="not_taken", message=self._not_taken())
        kind, body = reply
        if kind == wire.ERROR:
            return _refusal(body)
        return decode_body(body, port.InputResult)

    async def resize(self, *, rows: int, cols: int) -> port.Done | port.RequestRefused:
        """Change the window's size."""
        return await self._ask(wire.RESIZE, {"rows": rows, "cols": cols})

    async def close_input(self) -> port.Done | port.RequestRefused:
        """See `RunLink.close_input`."""
        return await self._ask(wire.CLOSE_INPUT, {})

    async def signal(self, name: port.SignalName) -> port.Done | port.RequestRefused:
        """Send a signal to the foreground group, as Ctrl-C would. The run is not stopped by that."""
        return await self._ask(wire.SIGNAL, {"signal": name})

    async def stop(self, *, reason: str) -> port.Done | port.RequestRefused:
        """Begin to end the run; its `Exited` report says how it went. Asking again changes nothing."""
        return await self._ask(wire.STOP, {"reason": reason})

    async def status(self) -> port.StatusReply:
        """What can be seen of the run now."""
        kind, body = await self._request(wire.STATUS, {})
        if kind == wire.ERROR:
            raise port.LinkClosedError(_reason(kind, body))
        return decode_body(body, port.StatusReply)

    async def ack(self, upto: int) -> port.Done | port.RequestRefused:
        """Say that reports up to this number are durable on our side. After the run, the last one frees the keeper."""
        return await self._ask(wire.ACK, {"upto": upto})

    async def _ask(self, kind: int, fields: Mapping[str, object]) -> port.Done | port.RequestRefused:
        answer, body = await self._request(kind, fields)
        return _refusal(body) if answer == wire.ERROR else port.Done()

    async def _request(self, kind: int, fields: Mapping[str, object]) -> _Reply:
        """Ask, and wait for the answer as long as any answer may take."""
        with self._asked(kind, fields) as answer:
            await asyncio.wait((answer,), timeout=self.patience.answer_s_max)
            if not answer.done():
                self._give_up()
            return await answer

    async def _taken(self, fields: Mapping[str, object]) -> _Reply | None:
        """What became of an input; None where its program reads nothing, though the keeper is there."""
        rest_s = self.patience.input_s_max
        with self._asked(wire.INPUT, fields) as answer:
            while not answer.done() and rest_s > 0:
                wait_s = min(rest_s, self.patience.answer_s_max)
                await asyncio.wait((answer,), timeout=wait_s)
                rest_s -= wait_s
                if not answer.done():
                    await self._is_there()
            return await answer if answer.done() else None

    @contextmanager
    def _asked(self, kind: int, fields: Mapping[str, object]) -> Generator[asyncio.Future[_Reply]]:
        if self._closed_because is not None:
            raise self._closed()
        self._last_request += 1
        number = self._last_request
        future: asyncio.Future[_Reply] = asyncio.get_running_loop().create_future()
        self._requests[number] = future
        try:
            self._writer.write(wire.encode(kind, {"request": number, **fields}))
            yield future
        finally:
            self._requests.pop(number, None)
            if not future.cancel() and not future.cancelled():
                future.exception()  # whoever asked may have learnt of the end by another request

    async def _next(self, queue: asyncio.Queue[_Item]) -> _Item:
        """What comes next, however long it takes, as long as the keeper is there."""
        while queue.empty():
            try:
                async with asyncio.timeout(self.patience.heartbeat_s):
                    return await queue.get()
            except TimeoutError:
                await self._is_there()
        return queue.get_nowait()

    async def _is_there(self) -> None:
        """Raises LinkClosedError where it is not. Nothing is acknowledged by that, and every keeper knows it."""
        await self._request(wire.ACK, {"upto": 0})

    def _closed(self) -> port.LinkClosedError:
        why = self._closed_because or "closed"
        return port.KeeperSilentError(why) if self._is_silent else port.LinkClosedError(why)

    def _give_up(self) -> None:
        self._is_silent = True
        self._end(f"the keeper has not answered for {self.patience.answer_s_max:g} s")
        if self._missed is not None:
            self._missed(f"it has not answered a request for {self.patience.answer_s_max:g} s")

    def _not_taken(self) -> str:
        return (
            f"the program has not read what was typed for {self.patience.input_s_max:g} s; it may do so yet"
        )

    async def _read(self) -> None:
        try:
            while data := await self._reader.read(READ_BYTES):
                for kind, body in self._frames.feed(data):
                    await self._dispatch(kind, body)
            self._end("the keeper hung up")
            await self._chunks.put(None)  # after what was read before the end, however slow its reader is
        except (OSError, wire.FrameError, ValueError, port.LinkClosedError) as error:
            self._end(str(error) or type(error).__name__)
            await self._chunks.put(None)
        except asyncio.CancelledError:
            self._end("closed here")
            _empty(self._chunks)
            self._chunks.put_nowait(None)
            raise

    async def _dispatch(self, kind: int, body: bytes) -> None:
        if kind == wire.OUTPUT:
            offset, data = wire.decode_output(body)
            await self._chunks.put(port.OutputChunk(offset=offset, data=data))
        elif kind == wire.OUTPUT_END:
            await self._chunks.put(port.Done())
        elif kind == wire.ENTRY:
            await self._entries.put(decode_entry(body))
        elif kind in (wire.DONE, wire.STATUS_REPLY, wire.INPUT_RESULT, wire.ERROR):
            self._settle(kind, body)
        # Anything else is of a newer keeper and not meant for us.

    def _settle(self, kind: int, body: bytes) -> None:
        if kind == wire.ERROR and decode_body(body, _Failure).request is None:
            raise port.LinkClosedError(_reason(kind, body))
        future = self._requests.get(decode_body(body, _Answer).request)
        if future is not None and not future.done():
            future.set_result((kind, body))

    def _end(self, because: str) -> None:
        self._closed_because = self._closed_because or because
        for future in self._requests.values():
            if not future.done():
                future.set_exception(self._closed())
        if self._entries.full():
            _empty(self._entries)  # unacknowledged reports come again
        self._entries.put_nowait(None)
        self._writer.transport.abort()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    # What a keeper has not taken by now is of nobody who waits for it; to a stopped one it would never be gone.
    writer.transport.abort()
    with suppress(OSError):  # it may have broken before; what counts is that it is closed
        await writer.wait_closed()


def _empty(queue: asyncio.Queue[_Item]) -> None:
    while not queue.empty():
        queue.get_nowait()


async def _first_frame(reader: asyncio.StreamReader, frames: wire.FrameReader) -> _Reply:
    while data := await reader.read(READ_BYTES):
        for frame in frames.feed(data):
            return frame
    raise port.LinkClosedError("hung up before it said anything")


def _refusal(body: bytes) -> port.RequestRefused:
    failure = decode_body(body, _Failure)
    return port.RequestRefused(code=failure.code, message=failure.message)


def _reason(kind: int, body: bytes) -> str:
    if kind != wire.ERROR:
        return f"an unexpected frame of type {kind}"
    failure = decode_body(body, _Failure)
    return f"{failure.code}: {failure.message}"
