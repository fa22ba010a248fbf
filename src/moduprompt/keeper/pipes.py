"""Standing without a terminal: standard output and error come through pipes, input goes through one or not at all.

For agent programs that speak in lines. The program leads a session of its own, so what it starts is stopped with
it as in a terminal; there is no size, no foreground and nobody who types.
"""

import os

NONE, FILE, OPEN = "none", "file", "open"


class Pipes:
    """Both ends of the pipes. The keeper's ends never block. A descriptor that is closed is -1."""

    path = ""  # there is no terminal

    def __init__(self, stdin: str, stdin_file: str) -> None:
        self._program_ends: list[int] = []
        self.input_fd = -1
        try:
            self._give(self._open_input(stdin, stdin_file))
            self.fd = self._open_output()
            self.error_fd = self._open_output()
        except OSError:
            self.release_program_end()
            raise

    def take(self) -> None:
        """In the child: be the leader of a session, with the pipes as standard streams."""
        os.setsid()
        for standard, fd in enumerate(self._program_ends):
            os.dup2(fd, standard)

    def resize(self, rows: int, cols: int) -> None:
        """There is no size."""

    def release_program_end(self) -> None:
        """Let go of the program's ends once the program holds them, so that their end can be seen."""
        for fd in self._program_ends:
            os.close(fd)
        self._program_ends.clear()

    def close_input(self) -> None:
        """The program reads the end of its input. Safe twice."""
        if self.input_fd >= 0:
            os.close(self.input_fd)
            self.input_fd = -1

    def close_output(self, fd: int) -> None:
        """Nobody can write there any more."""
        os.close(fd)
        if fd == self.fd:
            self.fd = -1
        else:
            self.error_fd = -1

    def close(self) -> None:
        """Let go of our ends."""
        self.close_input()
        for fd in (self.fd, self.error_fd):
            if fd >= 0:
                self.close_output(fd)

    def foreground(self) -> int:
        """No group stands before the others."""
        return 0

    def unread_bytes(self) -> int | None:
        """How much a program left in its pipe can't be told from our end."""
        return None

    def modes(self) -> tuple[bool, bool]:
        """Nothing collects lines, nothing is echoed."""
        return False, False

    def _open_input(self, stdin: str, stdin_file: str) -> int:
        if stdin != OPEN:
            return os.open(stdin_file if stdin == FILE else os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        theirs, self.input_fd = os.pipe()
        os.set_blocking(self.input_fd, False)
        return theirs

    def _open_output(self) -> int:
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        self._give(theirs)
        return ours

    def _give(self, fd: int) -> None:
        self._program_ends.append(fd)
