"""A place of its own for a daemon, and the installed commands that speak to it.

Everything lies below one temporary folder: home, data, runtime. Whatever was started there
is stopped when the place is left, and what does not stop is killed: by process id, and only
processes that name this place.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.deadline import eventually

BIN = Path(sys.executable).parent
CALL_S = 120.0  # no single call of a test takes longer; a hung one names itself


class Said(NamedTuple):
    """How a call ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The documents on standard output, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Place:
    """Where a daemon lives, and how to call it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.data = root / "data"
        self.runtime = root / "run"
        self.home.mkdir()
        self.environ = {
            "PATH": f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "MP_DATA_DIR": str(self.data),
            "MP_RUNTIME_DIR": str(self.runtime),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self.within: tuple[str, ...] = ()  # a command that its daemon is started by, into a namespace

    @property
    def daemon_file(self) -> Path:
        """How clients find the daemon."""
        return self.runtime / "daemon.json"

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return int(json.loads(self.daemon_file.read_text())["pid"])

    def call(
        self,
        *words: str,
        stdin: str | bytes = "",
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        within_s: float = CALL_S,
    ) -> Said:
        """One call of an installed command, to its end."""
        done = subprocess.run(
            words,
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            env={**self.environ, **(environ or {})},
            cwd=cwd or self.root,
            capture_output=True,
            timeout=within_s,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    def mpctl(self, *words: str, **how: Any) -> Said:
        """One call of mpctl."""
        return self.call("mpctl", *words, **how)

    def ok(self, *words: str, **how: Any) -> Said:
        """One call of mpctl that has to succeed."""
        said = self.mpctl(*words, **how)
        assert said.status == 0, f"mpctl {' '.join(words)}: {said}"
        return said

    def begin(self, *words: str, environ: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
        """A call that goes on; end it yourself."""
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.environ, **(environ or {})},
            cwd=self.root,
            text=True,
        )

    def made(self, *words: str) -> str:
        """The id of what a create made."""
        return self.ok(*words).out.split()[1]

    def start_daemon(self) -> None:
        """Where it belongs."""
        said = self.call(*self.within, "mpd", "start")
        assert said.status == 0, said

    def newest_run(self) -> str:
        """The id of the newest run, once there is one: it is asked for when its worktree is made."""
        eventually(lambda: self.ok("run", "list", "--json").json["items"] != [])
        return str(self.ok("run", "list", "--json").json["items"][0]["id"])

    def kill_daemon(self) -> int:
        """As the kernel would when memory is short: without a word. Gives the process id."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_alive(pid))
        return pid

    def processes(self) -> list[int]:
        """Every live process that names this place in its command line or environment."""
        return [pid for pid in _all_pids() if _names(pid, str(self.root)) and is_alive(pid)]

    def leave(self) -> None:
        """Stop the daemon and the agents; kill what does not."""
        self.call("mpd", "stop")
        for pid in self.processes():
            _signal(pid, signal.SIGKILL)
        eventually(lambda: not self.processes())


@contextmanager
def daemon_place() -> Generator[Place]:
    """A place with a short path: a socket's has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="mp", ignore_cleanup_errors=True) as root:
        place = Place(Path(root).resolve())
        try:
            yield place
        finally:
            place.leave()


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be counted does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _names(pid: int, text: str) -> bool:
    if pid == os.getpid():
        return False
    for source in ("cmdline", "environ"):
        try:
            if text.encode() in Path(f"/proc/{pid}/{source}").read_bytes():
                return True
        except OSError:
            continue
    return False


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
