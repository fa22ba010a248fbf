"""One connection: the protocol's requests and what is pushed.

A connection says hello with the run's nonce, and is told nothing before. Then it may ask in any order;
answers carry the request's number. Watchers are cursors: output is read from the recording when the
socket takes it, so a slow watcher costs one frame of memory, however far behind it is.
"""

import os
import signal

from moduprompt.keeper import recording, spec, wire
from moduprompt.keeper.inputs import Input, Refused
from moduprompt.keeper.wire import FrameError, Message

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Callable, Mapping

    from moduprompt.keeper.run import Run

READ_BYTES = 64 * 1024
PUSHES_MAX = 16  # writes in one turn of the loop: a quick watcher of a long past does not hold up the program
ANSWERS_BYTES_MAX = 1024 * 1024  # a peer that asks and does not listen is hung up on
REQUEST_MAX = 2**53

SIGNALS = {
    "INT": signal.SIGINT,
    "QUIT": signal.SIGQUIT,
    "TERM": signal.SIGTERM,
    "HUP": signal.SIGHUP,
    "KILL": signal.SIGKILL,
    "CONT": signal.SIGCONT,
    "USR1": signal.SIGUSR1,
    "USR2": signal.SIGUSR2,
}


class Connection:
    """One peer. `fd` is a connected non-blocking stream socket that this object owns."""

    def __init__(self, fd: int, run: "Run") -> None:
        self.fd = fd
        self.is_open = True
        self._run = run
        self._reader = wire.FrameReader()
        self._outgoing = bytearray()
        self._is_known = False
        self._is_closing = False
        self._cursor: recording.OutputCursor | None = None
        self._is_real_terminal = False
        self._end_told = False
        self._told: int | None = None  # the last report pushed; None when it does not follow
        self._handlers: dict[int, Callable[[int, Message], None]] = {
            wire.ATTACH: self._attach,
            wire.INPUT: self._input,
            wire.RESIZE: self._resize,
            wire.SIGNAL: self._signal,
            wire.STOP: self._stop,
            wire.STATUS: self._status,
            wire.ACK: self._ack,
            wire.FOLLOW: self._follow,
            wire.CLOSE_INPUT: self._close_input,
        }

    @property
    def wants_to_send(self) -> bool:
        """Whether something waits for this peer."""
        return bool(self._outgoing) or self._is_behind or self._owes_end

    @property
    def is_known(self) -> bool:
        """Whether it has said the run's nonce."""
        return self._is_known

    @property
    def wants_to_hear(self) -> bool:
        """Whether requests are taken now."""
        return not self._is_closing

    def receive(self) -> None:
        """Read and answer what has arrived."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            for kind, body in self._reader.feed(data):
                self._answer(kind, body)
        except FrameError as error:
            self._send(wire.ERROR, {"code": error.code, "message": str(error)})
            self._is_closing = True
            self._cursor = None  # what it watched is over for it, however far behind it was

    def push(self) -> None:
        """Send what waits, as far as the socket takes it; the rest in the next turn."""
        self._push_entries()
        for _ in range(PUSHES_MAX):
            if not (self.is_open and self.wants_to_send):
                break
            if not self._outgoing:
                self._refill()
            try:
                count = os.write(self.fd, self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            del self._outgoing[:count]
        if self._is_closing and not self.wants_to_send:
            self.close()

    def close(self) -> None:
        """Hang up. Safe twice."""
        if self.is_open:
            self.is_open = False
            self._see_terminal(is_real=False)
            os.close(self.fd)

    @property
    def _is_behind(self) -> bool:
        return self._cursor is not None and self._cursor.offset < self._run.records.recording.output_bytes

    @property
    def _owes_end(self) -> bool:
        return self._cursor is not None and self._run.has_ended and not self._end_told

    def _refill(self) -> None:
        assert self._cursor is not None, "BUG: only a watcher is owed output"
        offset = self._cursor.offset
        if data := self._cursor.read(wire.OUTPUT_BYTES_MAX):
            self._outgoing += wire.encode_output(offset, data)
        elif self._owes_end:
            self._end_told = True
            self._outgoing += wire.encode(wire.OUTPUT_END, {"output_bytes": offset})

    def _push_entries(self) -> None:
        journal = self._run.records.journal
        while self._told is not None and self._told < journal.durable:
            if len(self._outgoing) > wire.FRAME_BYTES_MAX:
                return  # the rest when the peer has listened
            self._told += 1
            if line := journal.unacknowledged.get(self._told):
                self._outgoing += wire.encode_bytes(wire.ENTRY, line)

    def _answer(self, kind: int, body: bytes) -> None:
        if self._is_closing or not self.is_open:
            return
        message = Message(body)
        if kind == wire.HELLO:
            self._hello(message)
            return
        if not self._is_known:
            raise FrameError("unauthorized", "say hello first")
        handler = self._handlers.get(kind)
        if handler is None:
            raise FrameError("unknown_type", f"unknown frame type {kind}")
        request = message.integer("request", 0, REQUEST_MAX)
        try:
            handler(request, message)
        except Refused as refusal:
            self._send(wire.ERROR, {"request": request, "code": refusal.code, "message": str(refusal)})

    def _hello(self, message: Message) -> None:
        version = message.integer("version", 0, 2**31)
        nonce = message.text("nonce", 200)
        message.finish()
        if version != wire.VERSION:
            raise FrameError("unknown_version", f"this keeper speaks version {wire.VERSION}")
        if nonce != self._run.spec.nonce:
            raise FrameError("unauthorized", "this is not the run's nonce")
        self._is_known = True
        run = self._run
        welcome = {
            "version": wire.VERSION,
            "run_id": run.spec.run_id,
            "keeper_pid": run.keeper.pid,
            "keeper_start_time": run.keeper.start_time,
            "pid": run.agent.pid if run.agent else None,
            "start_time": run.agent.start_time if run.agent else None,
            "state": run.state,
            "output_bytes": run.records.recording.output_bytes,
            "journal_last": run.records.journal.durable,
            "journal_acknowledged": run.records.journal.acknowledged,
            "can": ["if_output_bytes", "if_canonical"],
        }
        self._send(wire.WELCOME, welcome)

    def _attach(self, request: int, message: Message) -> None:
        offset = message.integer("from", 0, REQUEST_MAX)
        is_real = message.boolean("answers_terminal")
        message.finish()
        if offset > self._run.records.recording.output_bytes:
            raise Refused(
                "bad_offset", f"the output has {self._run.records.recording.output_bytes} bytes so far"
            )
        self._cursor = recording.OutputCursor(self._run.records.recording, offset)
        self._end_told = False
        self._see_terminal(is_real=is_real)
        self._done(request)

    def _input(self, request: int, message: Message) -> None:
        input_id = message.text("input_id", 100) if message.has("input_id") else None
        author = message.nested("author")
        kind, author_id = recording.author_kind(author.text("kind", 20)), author.text("id", 200)
        author.finish()
        data = message.data("data", wire.INPUT_BYTES_MAX)
        guard = message.integer("if_output_bytes", 0, REQUEST_MAX) if message.has("if_output_bytes") else None
        mode = message.boolean("if_canonical") if message.has("if_canonical") else None
        message.finish()
        if kind is None:
            raise FrameError("bad_field", f"author.kind must be one of {', '.join(recording.AUTHORS)}")

        def tell(item: Input) -> None:
            result = {"input_id": input_id, "outcome": item.outcome, "bytes": item.written}
            self._send(wire.INPUT_RESULT, {"request": request, **result, "output_bytes": item.printed})

        wanted = Input(data, author=kind, author_id=author_id, input_id=input_id)
        self._run.traffic.accept_input(wanted, tell, if_output_bytes=guard, if_canonical=mode)

    def _resize(self, request: int, message: Message) -> None:
        rows = message.integer("rows", 1, spec.ROWS_MAX)
        cols = message.integer("cols", 1, spec.COLS_MAX)
        message.finish()
        self._run.traffic.resize(rows, cols)
        self._done(request)

    def _close_input(self, request: int, message: Message) -> None:
        message.finish()
        self._run.traffic.close_input()
        self._done(request)

    def _signal(self, request: int, message: Message) -> None:
        name = message.text("signal", 10)
        message.finish()
        if name not in SIGNALS:
            raise FrameError("bad_field", f"signal must be one of {', '.join(SIGNALS)}")
        self._run.signal_foreground(SIGNALS[name])
        self._done(request)

    def _stop(self, request: int, message: Message) -> None:
        reason = message.text("reason")
        message.finish()
        self._run.stop(reason)
        self._done(request)

    def _status(self, request: int, message: Message) -> None:
        message.finish()
        self._send(wire.STATUS_REPLY, {"request": request, **self._run.status()})

    def _ack(self, request: int, message: Message) -> None:
        upto = message.integer("upto", 0, REQUEST_MAX)
        message.finish()
        self._run.records.journal.acknowledge(upto)
        self._done(request)

    def _follow(self, request: int, message: Message) -> None:
        self._told = message.integer("after", 0, REQUEST_MAX)
        message.finish()
        self._done(request)

    def _see_terminal(self, *, is_real: bool) -> None:
        self._run.traffic.real_terminals += int(is_real) - int(self._is_real_terminal)
        self._is_real_terminal = is_real

    def _done(self, request: int) -> None:
        self._send(wire.DONE, {"request": request})

    def _send(self, kind: int, message: "Mapping[str, object]") -> None:
        self._outgoing += wire.encode(kind, message)
        if len(self._outgoing) > ANSWERS_BYTES_MAX:
            self.close()
