"""A person at a run's terminal: this terminal in raw mode, the daemon in between.

Every key goes to the run but the one that leaves. A daemon that is lost in between is looked for again,
and the output goes on at the byte where it broke off. However it ends, this terminal is left as it was.

What stood here before is scrolled away before the run's screen is drawn, so that the two don't mix. How one leaves
is said before that, for as long as it takes to read.
"""

import asyncio
import fcntl
import os
import signal
import struct
import sys
import termios
import tty
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from moduprompt.cli.faults import failed
from moduprompt.cli.leave_key import LeaveKey
from moduprompt.cli.replay import RESTORE
from moduprompt.client import Unreachable, to_typed
from moduprompt.protocol import Code, encode

if TYPE_CHECKING:
    from moduprompt.client.sockets import Socket

KEYS_BYTES: Final = 16 * 1024  # of one read: a paste comes in several
KEYS_WAITING_MAX: Final = 64  # reads: a paste of a megabyte; what is more waits in the terminal
AGAIN_S: Final = 0.2  # between two looks for a daemon that was lost
LOST_S_MAX: Final = 30.0  # an upgrade takes a second or two; longer than this it is not coming back
ENDED_BY: Final = (
    signal.SIGTERM,
    signal.SIGHUP,
)  # somebody else ends us: then too the terminal is left as it was
GREETING_S: Final = 0.7  # one line is read in it; keys go to the run meanwhile
ON_ITS_OWN_SCREEN: Final = (
    b"\x1b[?1049h"  # so begins the picture of a full-screen program: the shell's stays behind it
)
ERASE_BELOW: Final = b"\x1b[J"
_WINDOW: Final = struct.Struct("HHHH")

Connect = Callable[[int | None], "Awaitable[Socket]"]
"""Opens the terminal's socket, to go on at a byte or from the picture on."""

Ending = Literal["ended", "detached"]


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon says beside the bytes. See the route of the terminal."""

    type: Literal["attached", "refused", "ended", "draining"]
    offset: int = 0
    picture_bytes: int = 0
    typist: str | None = None
    message: str | None = None


class Attached:
    """One person's stay, over as many connections as it takes."""

    def __init__(self, connect: Connect, *, tell: Callable[[str], None], greeting: str | None) -> None:
        self._connect = connect
        self._tell = tell
        self._greeting = greeting  # said once
        self._offset: int | None = None
        self._keys: asyncio.Queue[bytes | None] = asyncio.Queue(KEYS_WAITING_MAX)
        self._leave_key = LeaveKey()
        self._has_ended = False
        self._ended_by: signal.Signals | None = None
        self._resized = asyncio.Event()

    async def stay(self) -> Ending:
        """Until the run ends or the person leaves. Raises Unreachable when the daemon stays away."""
        loop, staying = asyncio.get_running_loop(), asyncio.current_task()
        assert staying is not None, "BUG: who stays is a task"
        for number in ENDED_BY:
            loop.add_signal_handler(number, self._end_by, number, staying)
        try:
            with _raw_terminal():
                self._listen()
                loop.add_signal_handler(signal.SIGWINCH, self._resized.set)
                try:
                    return await self._stay_connected()
                finally:
                    loop.remove_reader(sys.stdin.fileno())
                    loop.remove_signal_handler(signal.SIGWINCH)
        finally:
            for number in ENDED_BY:
                loop.remove_signal_handler(number)
            if self._ended_by is not None:
                signal.raise_signal(self._ended_by)  # as it would have ended us

    def _end_by(self, number: signal.Signals, staying: "asyncio.Task[object]") -> None:
        self._ended_by = number
        staying.cancel()

    async def _stay_connected(self) -> Ending:
        lost_at: float | None = None
        while True:
            try:
                socket = await self._connect(self._offset)
            except Unreachable:
                now = asyncio.get_running_loop().time()
                lost_at = lost_at or now
                if self._offset is None or now - lost_at > LOST_S_MAX:
                    raise
                await asyncio.sleep(AGAIN_S)
                continue
            lost_at = None
            try:
                ending = await self._converse(socket)
            finally:
                socket.close()
            if ending is not None:
                return ending

    async def _converse(self, socket: "Socket") -> Ending | None:
        """Over one connection; None when the daemon went."""
        self._resized.set()  # the run learns this window's size
        showing = asyncio.create_task(self._show(socket), name="attach-output")
        typing = asyncio.create_task(self._type(socket), name="attach-keys")
        sizing = asyncio.create_task(self._size(socket), name="attach-size")
        tasks = (showing, typing, sizing)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for task, result in zip(tasks, results, strict=True):
            if task in done and isinstance(result, Exception) and not isinstance(result, Unreachable):
                raise result
        if showing in done and results[0] == "ended":
            return "ended"
        return "detached" if typing in done and results[1] == "detached" else None

    async def _show(self, socket: "Socket") -> Ending | None:
        picture_bytes = 0
        while (message := await socket.receive_any()) is not None:
            if isinstance(message, bytes):
                if picture_bytes and not message.startswith(ON_ITS_OWN_SCREEN):
                    _scroll_away()
                _print(message)
                drawn = min(picture_bytes, len(message))
                picture_bytes -= drawn
                self._offset = (self._offset or 0) + len(message) - drawn
                continue
            said = to_typed(message.encode(), _Said)
            match said.type:
                case "attached":
                    self._offset, picture_bytes = said.offset, said.picture_bytes
                    if said.typist is not None:
                        self._tell(f"user {said.typist} types here; you watch")
                    await self._greet()
                case "refused":
                    self._tell(said.message or "refused")
                case "ended":
                    return "ended"
                case "draining":
                    return None
        return None

    async def _greet(self) -> None:
        greeting, self._greeting = self._greeting, None
        if greeting is not None:
            self._tell(greeting)
            await asyncio.sleep(GREETING_S)

    async def _type(self, socket: "Socket") -> Ending:
        while (keys := await self._keys.get()) is not None:
            self._listen()
            before, leaves = self._leave_key.before(keys)
            if before:
                await socket.send_bytes(before)
            if leaves:
                return "detached"
        return "detached"  # the input has ended: nobody sits here any more

    async def _size(self, socket: "Socket") -> None:
        while True:
            await self._resized.wait()
            self._resized.clear()
            rows, cols = window_size()
            if rows and cols:
                await socket.send(
                    encode({"type": "resize", "rows": min(rows, 1_000), "cols": min(cols, 1_000)})
                )

    def _listen(self) -> None:
        """Read keys as they come, unless the daemon is behind with them or the input has ended."""
        if not self._has_ended and not self._keys.full():
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_keys)

    def _read_keys(self) -> None:
        keys = os.read(sys.stdin.fileno(), KEYS_BYTES)
        self._has_ended = not keys
        self._keys.put_nowait(keys or None)
        if self._has_ended or self._keys.full():
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


def check_terminal() -> None:
    """Raises CallFailed where there is none to attach."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise failed(
            Code.VALIDATION_FAILED,
            "this is no terminal",
            hint="mpctl run output --follow RUN reads it into a pipe",
        )


def window_size() -> tuple[int, int]:
    """Rows and columns of this terminal; zeros where it has none."""
    rows, cols, _, _ = _WINDOW.unpack(
        fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(_WINDOW.size))
    )
    return rows, cols


@contextmanager
def _raw_terminal() -> Generator[None]:
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    tty.setraw(fd, termios.TCSADRAIN)  # what was typed ahead is not lost
    try:
        yield
    finally:
        try:
            _print(RESTORE + ERASE_BELOW)  # what the run drew below would mix with what the shell prints
        finally:  # what was typed or pasted behind the end was meant for the run, and no shell must carry it out
            termios.tcsetattr(fd, termios.TCSAFLUSH, before)


def _scroll_away() -> None:
    """What stands on this screen, to where a terminal keeps what has left it."""
    rows, _ = window_size()
    _print(ERASE_BELOW + b"\n" * rows)


def _print(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
