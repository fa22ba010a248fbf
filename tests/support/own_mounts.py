"""File systems that only this test and the daemon it starts can see: small ones that it may make read-only.

A process in a mount namespace of its own holds them; when it ends they are gone, whatever has happened.
"""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

PROGRAMS_S: Final = 60.0  # a mount takes milliseconds; who hangs names itself
HOLD: Final = "echo held; read -r _"  # until its standard input ends


class OwnMounts:
    """A mount namespace; every word of a call is carried out in it."""

    def __init__(self, pid: int) -> None:
        self.enter = ("nsenter", f"--mount=/proc/{pid}/ns/mnt", "--")

    def call(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """One call to its end, whatever that is."""
        return subprocess.run(
            (*self.enter, *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROGRAMS_S,
            check=False,
        )

    def ok(self, *words: str) -> None:
        """One call that has to succeed."""
        done = self.call(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}"

    def ok_or_skip(self, *words: str) -> None:
        """One call without which this machine can't show it."""
        try:
            done = self.call(*words)
        except FileNotFoundError as fault:
            pytest.skip(f"can't be shown here: {fault}")
        if done.returncode != 0:
            pytest.skip(f"can't be shown here: {' '.join(words)}: {done.stderr.strip()}")

    def lies_read_only(self, place: Path) -> bool:
        """Whether the file system at a place takes no new file."""
        return self.call("touch", str(place / "probe")).returncode != 0


@contextmanager
def own_mounts() -> Generator[OwnMounts]:
    """A mount namespace, where this machine lets us have one; the test is skipped with the reason otherwise."""
    words = ("unshare", "--mount", "--propagation", "private", "sh", "-c", HOLD)
    try:
        holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError as fault:
        pytest.skip(f"can't be shown here: {fault}")
    with holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != "held\n":
            pytest.skip("can't be shown here: no mount namespace may be made (unshare --mount)")
        try:
            yield OwnMounts(holder.pid)
        finally:
            assert holder.stdin is not None
            holder.stdin.close()
