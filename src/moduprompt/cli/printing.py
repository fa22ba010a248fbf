"""Standard output. JSON and terminal bytes go out as they came, UTF-8 whatever the locale says.

Text for people goes through the terminal's own encoding; what it can't show is escaped,
never a fault. Each call hands on what it has: a reader in a pipe waits for whole lines.
Where it takes nothing (a full disk), CantPrint says so; a reader that went away is a BrokenPipeError.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager


class CantPrint(Exception):
    """Standard output does not take what was to be printed; the message is the system's."""


def open_closed_streams() -> None:
    """Where we were started with a standard stream closed, what goes there goes nowhere: not into the next file opened."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != fd:
                os.dup2(nowhere, fd)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(fd, "r" if fd == 0 else "w", closefd=False, encoding="utf-8"))


def print_json(data: bytes) -> None:
    """One document, one line."""
    print_bytes(data + b"\n")


def print_bytes(data: bytes) -> None:
    """Bytes as they are."""
    with _told():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def print_text(text: str) -> None:
    """Text as it is; a line break is the caller's."""
    encoding = sys.stdout.encoding or "utf-8"
    with _told():
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as fault:
        raise CantPrint(fault.strerror or str(fault)) from fault
