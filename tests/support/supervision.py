"""What of a service manager a daemon sees: a socket that hears its words, and sockets handed over."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HEARD_S: Final = 30.0  # a word that has not come by then does not come
ACTIVATOR: Final = """
import os, sys
handed = [int(each) for each in sys.argv[1].split(",")]
for place, descriptor in enumerate([os.dup(each) for each in handed]):
    os.dup2(descriptor, 64 + place, inheritable=True)
for place in range(len(handed)):
    os.dup2(64 + place, 3 + place, inheritable=True)
    os.close(64 + place)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(handed))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Ears:
    """Hears what is said to `address`, one datagram after the other."""

    def __init__(self, address: str, listening: socket.socket) -> None:
        self.address = address
        self.heard: list[str] = []
        self._listening = listening

    def until(self, line: str) -> list[str]:
        """Every line up to the one that begins so, which must come."""
        since: list[str] = []
        while True:
            lines = self._listening.recv(65_536).decode().split("\n")
            self.heard += lines
            since += lines
            if any(each.startswith(line) for each in lines):
                return since

    def rest(self) -> list[str]:
        """What has been said so far and not been heard yet."""
        self._listening.setblocking(False)
        lines: list[str] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                lines += self._listening.recv(65_536).decode().split("\n")
        self._listening.settimeout(HEARD_S)
        return lines


@contextmanager
def ears(address: str) -> Generator[Ears]:
    """A path, or an abstract name that begins with an @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(HEARD_S)
        listening.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        yield Ears(address, listening)


@contextmanager
def bound_unix(path: Path, *, mode: int = 0o600) -> Generator[socket.socket]:
    """A listening socket as a socket unit makes it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        bound.bind(str(path))
        path.chmod(mode)
        bound.listen(8)
        yield bound


def activate(
    words: Sequence[str], *, handed: Sequence[socket.socket], environ: Mapping[str, str], stderr: int
) -> subprocess.Popen[bytes]:
    """A process with these sockets from descriptor 3 on, as a service manager starts it."""
    numbers = ",".join(str(each.fileno()) for each in handed)
    return subprocess.Popen(
        [sys.executable, "-c", ACTIVATOR, numbers, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        env=dict(environ),
        pass_fds=[each.fileno() for each in handed],
        start_new_session=True,
    )
