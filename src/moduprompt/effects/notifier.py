"""Tells the service manager how the daemon is: sd_notify(3), without its library.

    READY=1 … STATUS=… … STOPPING=1     and WATCHDOG=1 while work gets done

Where nobody asked (`NOTIFY_SOCKET` is not set) every word goes nowhere. The variables are taken
out of the environment when they are read, so no child can speak in the daemon's name. A word that
can't be delivered is dropped: the daemon never waits for who watches it.

The watchdog means progress, not life: it is fed from the event loop, so a loop that hangs stops it,
and only while commands that wait are being answered.
"""

import asyncio
import socket
from collections.abc import Callable, MutableMapping
from typing import Final

from moduprompt.kernel.ports import Pulse

EXTENSION_S: Final = 20.0  # what a daemon that folds or drains asks for; asked again at half of it
VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
US: Final = 1_000_000  # the protocol counts in microseconds


class Notifier:
    """The daemon's voice towards the service manager."""

    def __init__(self, address: str | None, *, watchdog_s: float | None = None) -> None:
        self._address = address
        self._watchdog_s = watchdog_s
        self._asking: asyncio.Task[None] | None = None

    @classmethod
    def take_from(cls, environ: MutableMapping[str, str], *, pid: int) -> "Notifier":
        """What the service manager asked this process for; taken out of the environment."""
        address, usec, for_pid = (environ.pop(name, None) for name in VARIABLES)
        is_ours = for_pid is None or for_pid == str(pid)
        if not is_ours or usec is None or not (usec.isascii() and usec.isdigit()) or int(usec) == 0:
            return cls(address)
        return cls(address, watchdog_s=int(usec) / US)

    def is_loading(self, what: str) -> None:
        """It does not answer yet, and asks for time as long as the event loop turns."""
        self.status(what)
        self._begin_asking()

    def is_ready(self) -> None:
        """From now on it answers."""
        self._end_asking()
        self._tell("READY=1", "STATUS=ready")

    def is_stopping(self) -> None:
        """From now on it ends, and asks for time as long as the event loop turns."""
        self._tell("STOPPING=1", "STATUS=draining")
        self._begin_asking()

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={' '.join(text.split())}")

    async def stop(self) -> None:
        """Ask for nothing more; stopping twice is fine."""
        asking = self._asking
        self._end_asking()
        if asking is not None:
            await asyncio.gather(asking, return_exceptions=True)

    async def watch(self, pulse: Callable[[], Pulse]) -> None:
        """Feed the watchdog at half of its time, as long as what waits gets answered."""
        if self._watchdog_s is None:
            return
        before = pulse()
        while True:
            await asyncio.sleep(self._watchdog_s / 2)
            now = pulse()
            if gets_on(before, now):
                self._tell("WATCHDOG=1")
            before = now

    def _begin_asking(self) -> None:
        if self._address and self._asking is None:
            self._asking = asyncio.create_task(self._ask_for_time(), name="extend-timeout")

    def _end_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    async def _ask_for_time(self) -> None:
        while True:
            self._tell(f"EXTEND_TIMEOUT_USEC={int(EXTENSION_S * US)}")
            await asyncio.sleep(EXTENSION_S / 2)

    def _tell(self, *lines: str) -> None:
        if not self._address or self._address[0] not in "/@":
            return
        address = self._address.replace("@", "\0", 1) if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaking:
            speaking.settimeout(0)
            try:
                speaking.sendto("\n".join(lines).encode(), address)
            except OSError:
                return  # nobody listens any more, or its queue is full: the next word may get there


def gets_on(before: Pulse, now: Pulse) -> bool:
    """Whether nothing waited all the while, or something was answered meanwhile."""
    return before.waiting == 0 or now.waiting == 0 or now.answered > before.answered
