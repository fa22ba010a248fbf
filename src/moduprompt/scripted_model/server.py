"""Serves the dialects over HTTP on the loopback, one thread for each connection, and plays what a step says goes wrong.

A request is read whole or refused: no body without its length, none over the limit. Whoever hangs up while
the model is silent frees its thread at once.
"""

import json
import select
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from moduprompt.scripted_model import loose
from moduprompt.scripted_model.conversation import BYTES_PER_TOKEN, Turn, next_turn
from moduprompt.scripted_model.counting import Troubles
from moduprompt.scripted_model.routes import Route, route_of

LOOPBACK = "127.0.0.1"
BODY_BYTES_MAX = 64 * 1024 * 1024  # the history of a long session with its files; more is a client gone mad
CONNECTIONS_MAX = 500  # a thread each; far more agents than a machine can run
IDLE_S = 600.0  # a client that keeps a connection this long without a word has forgotten it
MODELS = ("scripted-model", "scripted")


class HungUp(Exception):
    """The client is gone: there is nobody to answer."""


class ModelServer(ThreadingHTTPServer):
    """Listens from the moment it is made; `serve_forever` answers, `shutdown` ends that."""

    daemon_threads = True
    request_queue_size = 128  # a hundred agents may start in the same moment

    def __init__(self, *, port: int = 0, log: Path | None = None) -> None:
        self.troubles = Troubles()
        self._log = log
        self._log_lock = threading.Lock()
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__((LOOPBACK, port), Handler)

    @property
    def address(self) -> str:
        """What clients are given as the base address."""
        return f"http://{LOOPBACK}:{self.server_port}"

    def server_bind(self) -> None:
        """Without the look-up of our own name, which may ask a name server."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = LOOPBACK, int(self.server_address[1])

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """A thread of its own, or the door: beyond the limit a connection is closed unread."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is no news."""

    def note(self, line: dict[str, object]) -> None:
        """One line of the log for each request that was answered."""
        if self._log is not None:
            with self._log_lock, self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")


class Handler(BaseHTTPRequestHandler):
    """One connection. (No method here may be called `responses`: the base class has a table of that name.)"""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: ModelServer  # pyright: ignore[reportIncompatibleVariableOverride] - the base class knows no narrower one

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Standard error stays clean; `--log` tells what was asked."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        if self.path.partition("?")[0].rstrip("/").endswith("/models"):
            models = [
                {"id": name, "object": "model", "type": "model", "name": f"models/{name}"} for name in MODELS
            ]
            self._send(200, {"object": "list", "data": models, "models": models, "has_more": False})
        else:
            self._send(404, {"error": {"message": f"nothing is at {self.path}"}})

    def do_POST(self) -> None:
        route = route_of(self.path)
        raw = self._body()
        if raw is None:
            return
        if route is None:
            self._send(404, {"error": {"message": f"nothing is at {self.path}"}})
            return
        try:
            body = loose.table(loose.parse(raw))
        except loose.NoJson as broken:
            self._send(400, route.dialect.refused(400, f"the body is no JSON: {broken}"))
            return
        if route.is_count:
            tokens = len(raw) // BYTES_PER_TOKEN
            self._send(200, {"input_tokens": tokens, "totalTokens": tokens})
            return
        with suppress(HungUp, OSError):
            self._answer(route, body, size=len(raw))

    def _body(self) -> bytes | None:
        """The whole body; None when it was refused, and then the connection ends."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or len(length) > len(str(BODY_BYTES_MAX)) + 1:
            self._refuse(411, "a request needs its Content-Length")
            return None
        if int(length) > BODY_BYTES_MAX:
            self._refuse(413, f"a request has at most {BODY_BYTES_MAX} bytes")
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: int, message: str) -> None:
        self.close_connection = True
        self._send(status, {"error": {"message": message}})

    def _answer(self, route: Route, body: dict[str, object], *, size: int) -> None:
        conversation = route.told(route.dialect.read(body), size=size)
        turn = self.server.troubles.play(next_turn(conversation))
        trouble = turn.trouble
        self.server.note(
            {
                "dialect": route.dialect.name,
                "place": turn.place,
                "status": trouble.status or 200,
                "tool": turn.reply.call.name if turn.reply.call else None,
            }
        )
        self._be_silent(trouble.sleep_s)
        if trouble.status is not None:
            refusal = route.dialect.refused(trouble.status, f"scripted {trouble.status}")
            self._send(trouble.status, refusal, retry_after_s=trouble.retry_after_s)
        elif conversation.is_streamed:
            self._stream(route, turn)
        else:
            whole = route.dialect.whole(turn.reply)
            self._send(200, [whole] if route.is_list else whole, is_cut=trouble.is_cut)

    def _be_silent(self, seconds: float) -> None:
        """Until the time is over, or the client hangs up."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], left)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                raise HungUp
            if readable:  # the next request is there already: it waits its turn
                time.sleep(max(0.0, end - time.monotonic()))

    def _stream(self, route: Route, turn: Turn) -> None:
        pieces = route.dialect.pieces(turn.reply)
        shown = pieces[: max(1, len(pieces) // 2)] if turn.trouble.is_cut else pieces
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in shown if turn.trouble.drip_s else [b"".join(shown)]:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
            self._be_silent(turn.trouble.drip_s)
        if turn.trouble.is_cut:
            self.close_connection = True  # without the chunk that says it was all
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _send(
        self, status: int, body: object, *, retry_after_s: int | None = None, is_cut: bool = False
    ) -> None:
        raw = loose.to_text(body).encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if retry_after_s is not None:
            self.send_header("Retry-After", str(retry_after_s))
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if is_cut else raw)
        self.close_connection = self.close_connection or is_cut
