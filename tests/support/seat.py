"""A person at a terminal: a program of ours on a pseudo-terminal, and what its screen shows."""

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from moduprompt.effects.screen.screen import Screen

ROWS, COLS = 30, 90
SEEN_S = 30.0  # what a program shows it shows soon; a busy machine gets the benefit of the doubt


class Seat:
    """What a person sees and types. Every byte that was shown is kept in `seen`."""

    def __init__(self, words: tuple[str, ...], *, environ: Mapping[str, str]) -> None:
        self._fd, program_end = os.openpty()
        fcntl.ioctl(program_end, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLS, 0, 0))
        self.before = termios.tcgetattr(program_end)
        self._program_end = program_end
        self.program = subprocess.Popen(
            words,
            env=environ,
            stdin=program_end,
            stdout=program_end,
            stderr=program_end,
            start_new_session=True,
        )
        self.screen = Screen(ROWS, COLS)
        self.seen = b""

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._fd, keys)

    def shows(self, text: str) -> None:
        """Wait until this stands on the screen."""
        self._until(lambda: any(text in line for line in self.screen.text()), what=text)

    def prints(self, text: bytes) -> None:
        """Wait until this has been printed, wherever."""
        self._until(lambda: text in self.seen, what=repr(text))

    def leaves(self) -> int:
        """Wait for the program's end; gives its exit status."""
        self._until(lambda: self.program.poll() is not None, what="the end")
        while self._read(0.0):
            pass
        return self.program.returncode

    def is_as_before(self) -> bool:
        """Whether the terminal's modes are what they were before the program came."""
        return termios.tcgetattr(self._program_end) == self.before

    def close(self) -> None:
        """Go."""
        self.program.kill()
        self.program.wait()
        os.close(self._program_end)
        os.close(self._fd)

    def _until(self, holds: Callable[[], bool], *, what: str) -> None:
        end = time.monotonic() + SEEN_S
        while not holds():
            assert time.monotonic() < end, f"no {what} on the screen: {self.screen.text()}"
            self._read(0.05)

    def _read(self, patience_s: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], patience_s)
        if not ready:
            return False
        data = os.read(self._fd, 65_536)
        self.seen += data
        self.screen.feed(data)
        return True


@contextmanager
def seated(*words: str, environ: Mapping[str, str]) -> Generator[Seat]:
    """A person who runs this command on a terminal, until the test lets go of them."""
    seat = Seat(words, environ=environ)
    try:
        yield seat
    finally:
        seat.close()
