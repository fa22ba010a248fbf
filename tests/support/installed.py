"""The installed commands, on data of their own; whatever they started is stopped at the end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from moduprompt.effects.runner.journal import read_journal
from moduprompt.effects.runner.port import Launching
from moduprompt.keeper import processes

BIN = Path(sys.executable).parent
CALL_S_MAX = 120  # a demo takes ten seconds; a busy machine gets the benefit of the doubt


class Installed:
    """`mpctl` and `mpd` as a person has them."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        home = folder / "home"
        home.mkdir()
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "MP_DATA_DIR": str(self.data_dir),
        }

    def mpctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """One call, to its end."""
        return self.run("mpctl", *words)

    def run(self, program: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """One call of either program, to its end."""
        return subprocess.run(
            [str(BIN / program), *words],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CALL_S_MAX,
            check=False,
        )

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A call of mpctl whose output is read as it comes."""
        return subprocess.Popen(
            [str(BIN / "mpctl"), *words],
            env={**self.environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def daemon_pid(self) -> int:
        """The process id that `daemon.json` names."""
        written = json.loads((self.data_dir / "run" / "daemon.json").read_text())
        return int(written["pid"])

    def stop(self) -> None:
        """End the daemon, and whatever a test left running in its terminals."""
        self.run("mpd", "stop")
        for folder in (self.data_dir / "runs").glob("[!.]*-*"):
            left = [process.pid for process in processes.marked(f"MP_RUN={folder.name}")]
            for pid in (*left, *_keepers(folder)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _keepers(folder: Path) -> list[int]:
    """The keeper of a run, if it still waits for a daemon that will not come back."""
    launched = [entry.report for entry in read_journal(folder)]
    pids = [report.keeper_pid for report in launched if isinstance(report, Launching)]
    return [pid for pid in pids if folder.name.encode() in _command_line(pid)]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def installed(folder: Path) -> Generator[Installed]:
    """The commands; afterwards no run and no daemon of theirs is left."""
    commands = Installed(folder)
    try:
        yield commands
    finally:
        commands.stop()
