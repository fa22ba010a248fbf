"""The pseudo-terminal: its size, its modes, and the questions a terminal must answer.

Programs ask their terminal who it is and where the cursor stands, and some wait for the answer before
they do anything. The keeper answers when no real terminal is attached. It doesn't emulate a screen, so
the cursor always stands at the top left.
"""

import fcntl
import os
import struct
import sys
import termios

_WINDOW = struct.Struct("HHHH")

# Device attributes, device status, cursor position. Others stay unanswered, as on a plain terminal.
ANSWERS = (
    (b"\x1b[c", b"\x1b[?62c"),
    (b"\x1b[0c", b"\x1b[?62c"),
    (b"\x1b[5n", b"\x1b[0n"),
    (b"\x1b[6n", b"\x1b[1;1R"),
)
_QUESTION_BYTES_MAX = 4
ANSWERS_PER_READ_MAX = 16  # a file full of questions must not become a flood of answers


class Terminal:
    """Both ends of a pseudo-terminal. The keeper's end never blocks."""

    error_fd = -1  # a terminal has one output for both

    def __init__(self, rows: int, cols: int) -> None:
        self.fd, self._program_end = os.openpty()
        self.path = os.ttyname(self._program_end)
        os.set_blocking(self.fd, False)
        self.resize(rows, cols)

    @property
    def input_fd(self) -> int:
        """Where typing goes: the same end."""
        return self.fd

    def take(self) -> None:
        """In the child: be the leader of a session with this as its controlling terminal."""
        os.setsid()
        fd = os.open(self.path, os.O_RDWR)
        fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
        for standard in (0, 1, 2):
            os.dup2(fd, standard)

    def resize(self, rows: int, cols: int) -> None:
        """Set the window's size; the foreground group gets SIGWINCH from the kernel."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, _WINDOW.pack(rows, cols, 0, 0))

    def release_program_end(self) -> None:
        """Let go of the program's end once the program holds it, so that its end can be seen."""
        os.close(self._program_end)

    def close(self) -> None:
        """Let go of our end. The number is forgotten too: the next connection may get it."""
        os.close(self.fd)
        self.fd = -1

    def foreground(self) -> int:
        """The foreground process group, 0 when there is none."""
        try:
            return os.tcgetpgrp(self.fd)
        except OSError:
            return 0

    def unread_bytes(self) -> int | None:
        """What was typed and the program has not read: whole lines in line mode. None where it can't be told."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"), sys.byteorder)
        except OSError:
            return None
        finally:
            os.close(fd)

    def modes(self) -> tuple[bool, bool]:
        """(canonical, echo): whether the terminal collects lines, and shows what is typed."""
        try:
            local = termios.tcgetattr(self.fd)[3]
        except termios.error:
            return False, False
        return bool(local & termios.ICANON), bool(local & termios.ECHO)


class Questions:
    """Finds questions in the output, also when one is cut in two by a read."""

    def __init__(self) -> None:
        self._tail = b""

    def answers(self, output: bytes) -> list[bytes]:
        """What a terminal would answer to this output, in order."""
        text = self._tail + output
        self._tail = b""
        found: list[bytes] = []
        at = text.find(b"\x1b[")
        while at >= 0 and len(found) < ANSWERS_PER_READ_MAX:
            found += [answer for question, answer in ANSWERS if text.startswith(question, at)]
            at = text.find(b"\x1b[", at + 2)
        last = text.rfind(b"\x1b")
        rest = text[last:] if last >= 0 else b""
        if len(rest) < _QUESTION_BYTES_MAX and any(q.startswith(rest) and q != rest for q, _ in ANSWERS):
            self._tail = rest
        return found
