"""A process that does nothing for a while, and lives: stopped, and let go on."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager

from moduprompt.keeper import processes
from tests.support.deadline import eventually


@contextmanager
def stopped(pid: int) -> Generator[None]:
    """It does nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: (seen := processes.inspect(pid)) is not None and seen.state == "T")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
