"""Installs the agent programs that the tests drive, pinned, into the project's own folder.

    .agents/node_modules/.bin/   claude, codex, gemini, pi, opencode and two agents of the Agent Client Protocol

    make agents                  installs them, or says in one sentence why not (exit 2)
    agents.py --if-possible      the same for `make test`: what can't be had is said, and its tests are skipped

Versions and digests stand in tests/agents/programs/; npm checks each package against its digest, from
whatever registry it is told to use. Guarantees: nothing is written outside the project except npm's own
cache. Running it again changes nothing and takes no time. Two at once wait for each other. No package runs
a script of its own at the installation, except the one that has to put its program into place. Standard library only.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINNED = tuple(
    ROOT / "tests" / "agents" / "programs" / name for name in ("package.json", "package-lock.json")
)
FOLDER = ROOT / ".agents"
STAMP = FOLDER / "set-up.stamp"
NODE_MIN = 20  # what the pinned versions ask for
PLACED_BY_A_SCRIPT = ("@anthropic-ai/claude-code",)
# Its own package names eleven others, for platforms whose packages not every registry has: npm then refuses the lock.
# The one that holds the program for the platform of our CI is named instead, and lacks only the name to call it by.
NAMED_BY_US = {"opencode": "opencode-linux-x64/bin/opencode"}
# Without a network npm would try for minutes: twice, a few seconds apart, is enough to say that there is none.
PATIENCE = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
QUIET = ("--no-fund", "--no-audit", "--loglevel=error")


class AgentsError(Exception):
    """What keeps them from being installed, as one sentence, and what to do about it."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def install() -> None:
    """Bring the folder to what the lock file says, unless it is there already."""
    node = node_version()
    wanted = fingerprint(node)
    if is_current(wanted):
        return
    FOLDER.mkdir(exist_ok=True)
    with only_one_at_a_time():
        if is_current(wanted):
            return
        began = time.monotonic()
        say("installing the agent programs that the tests drive (1.3 GB, a minute or two)")
        STAMP.unlink(missing_ok=True)
        for path in PINNED:
            shutil.copy(path, FOLDER / path.name)
        run("ci", "--ignore-scripts", *PATIENCE, *QUIET)
        run("rebuild", "--foreground-scripts", *QUIET, *PLACED_BY_A_SCRIPT)
        name_ours()
        STAMP.write_text(wanted, "ascii")
        say(f"ready in {time.monotonic() - began:.0f} s")


def node_version() -> str:
    """Node's version, or why it won't do."""
    hint = f"install Node {NODE_MIN} or newer with npm; the project itself needs neither"
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise AgentsError("there is no Node here.", hint=hint)
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = said.removeprefix("v").partition(".")[0]
    if not major.isdecimal() or int(major) < NODE_MIN:
        raise AgentsError(f"Node here is {said or 'broken'}.", hint=hint)
    return said


def fingerprint(node: str) -> str:
    """A digest of everything that the folder depends on."""
    digest = hashlib.sha256(f"{node}\0{platform.machine()}\0{platform.libc_ver()[0]}".encode())
    for path in (*PINNED, Path(__file__).resolve()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(wanted: str) -> bool:
    return STAMP.is_file() and STAMP.read_text("ascii") == wanted


@contextmanager
def only_one_at_a_time() -> Generator[None]:
    """Hold the folder's lock; the system drops it when its holder dies."""
    with (FOLDER / "set-up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another installation is running here; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*words: str) -> None:
    """npm to its end; what it says goes to the terminal."""
    if subprocess.run(["npm", *words], cwd=FOLDER, stdin=subprocess.DEVNULL, check=False).returncode != 0:
        hint = "the lines above say why; the package registry must be reachable (npm config get registry)"
        raise AgentsError(f"npm {words[0]} failed.", hint=hint)


def name_ours() -> None:
    """Put the programs that their packages don't name beside the others, where they are for this platform."""
    packages = FOLDER / "node_modules"
    for name, program in NAMED_BY_US.items():
        if (packages / program).is_file():
            (packages / ".bin" / name).symlink_to(Path("..") / program)


def say(line: str) -> None:
    print(f"agents: {line}", flush=True)


def main(words: Sequence[str]) -> int:
    is_needed = "--if-possible" not in words
    try:
        install()
    except AgentsError as error:
        if is_needed:
            print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
            return 2
        say(f"SKIPPED: {error} The tests with the real agent programs will not run; {error.hint}")
    except OSError as error:
        print(f"error: {error}.\nhint: is the project's folder writable?", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nagents: interrupted; the next call goes on here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
