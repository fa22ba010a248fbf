"""Sets the project up in its own folder, from nothing but an interpreter, pip and the package index.

    .tools/uv-<version>/   uv, fetched once through pip, checked against the hashes in uv.txt
    .venv/                 the locked dependencies and this project, put there by uv
    .venv-bench/           the same for the benchmarks, with their peers and plots: setup.py bench

Guarantees: nothing is written outside the project except package caches, and those only into a home
that exists and is writable. Running it again changes nothing and takes no time. Two at once wait for
each other. Interrupted, it goes on where it stopped. What can't work is said in one sentence with a
hint and exit code 2. Standard library only; `venv` is not needed where pip is there, and pip is not
needed where `venv` is (docs/adr/0004-uv-through-pip.md).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
UV_PIN = ROOT / "scripts" / "uv.txt"
INPUTS = (ROOT / "uv.lock", ROOT / "pyproject.toml", UV_PIN, Path(__file__).resolve())


class Target(NamedTuple):
    """An environment: its folder, and what uv is told to put there beside the project."""

    folder: Path
    groups: tuple[str, ...] = ()

    @property
    def stamp(self) -> Path:
        """Inside the environment, so that whoever deletes the one deletes the other."""
        return self.folder / "set-up.stamp"


# The peers bring a hundred megabytes that no test needs, and must not move a version that a test sees.
TARGETS = {
    "": Target(ROOT / ".venv"),
    "bench": Target(ROOT / ".venv-bench", ("--no-default-groups", "--group", "bench")),
}

# Settings of the caller's shell that would send packages elsewhere or leave some out.
MISLEADING = {"VIRTUAL_ENV", "PYTHONHOME", "PIP_PREFIX", "PIP_ROOT", "PIP_TARGET", "PIP_PYTHON"} | {
    f"UV_{name}"
    for name in (
        "PROJECT_ENVIRONMENT", "PROJECT", "WORKING_DIR", "NO_DEV", "NO_EDITABLE", "NO_INSTALL_PROJECT",
        "NO_DEFAULT_GROUPS", "LOCKED", "MANAGED_PYTHON",
    )
}  # fmt: skip

PIP_HINT = "install pip, for example: apt install python3-pip, dnf install python3-pip, apk add py3-pip"
INDEX_HINT = (
    "the lines above say why; the package index must be reachable (PIP_INDEX_URL, PIP_CERT and proxies count)"
)


class SetupError(Exception):
    """What keeps the set-up from working, as one sentence, and what to do about it."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def set_up(target: Target) -> None:
    """Bring an environment to what the lock file says, unless it is there already."""
    python = base_interpreter()
    wanted = fingerprint(python)
    if is_current(target, wanted):
        return
    if shutil.which("git") is None:
        raise SetupError("git is missing.", hint="install it, for example: apt install git")
    TOOLS.mkdir(exist_ok=True)
    with only_one_at_a_time():
        if is_current(target, wanted):
            return
        began = time.monotonic()
        environment = tool_environment(os.environ)
        uv = fetch_uv(python, environment=environment)
        say(f"installing the locked dependencies into {target.folder.name} for {python}")
        if not sync_with_uv(uv, target, python=python, environment=environment):
            say("uv could not fetch everything; trying again with pip and its configuration")
            sync_with_pip(uv, target, python=python, environment=environment)
        target.stamp.write_text(wanted, "ascii")
        say(f"ready in {time.monotonic() - began:.0f} s")


def base_interpreter() -> Path:
    """The real interpreter: behind a shim, and outside of any virtual environment we run in."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def fingerprint(python: Path) -> str:
    """A digest of everything an environment depends on; the folder counts, because scripts in it name it."""
    digest = hashlib.sha256(f"{python}\0{sys.version}\0{ROOT}".encode())
    for path in INPUTS:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(target: Target, wanted: str) -> bool:
    """Whether it is there, for this interpreter and this lock file."""
    if not target.stamp.is_file() or target.stamp.read_text("ascii") != wanted:
        return False
    # The interpreter is a link into the system: an upgrade there leaves it dangling.
    return (target.folder / "bin" / "python").exists()


@contextmanager
def only_one_at_a_time() -> Generator[None]:
    """Hold the project's set-up lock; the kernel drops it when its holder dies."""
    with (TOOLS / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is running here; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def tool_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment, without what would mislead pip or uv, and with usable caches."""
    environment = {k: v for k, v in inherited.items() if k not in MISLEADING}
    environment |= {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_REQUIRE_VIRTUALENV": "0",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PIP_USER": "0",
        "UV_COMPILE_BYTECODE": "1",  # a machine may forbid writing byte code later; then every start pays
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    if not keeps_caches(environment):
        environment |= {"HOME": str(TOOLS / "home"), "XDG_CACHE_HOME": str(TOOLS / "cache")}
        (TOOLS / "home").mkdir(exist_ok=True)
    return environment


def keeps_caches(environment: Mapping[str, str]) -> bool:
    """Whether programs may write where they keep caches by default; an absent home is not made up."""
    home = Path(environment.get("HOME", ""))
    caches = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    return home.is_absolute() and home.is_dir() and all(is_writable(caches / name) for name in ("uv", "pip"))


def is_writable(folder: Path) -> bool:
    """Whether the folder can be written to, or made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def fetch_uv(python: Path, *, environment: Mapping[str, str]) -> Path:
    """The pinned uv below .tools, fetched through pip when it is not there yet."""
    pinned = re.search(r"^uv==(\S+)", UV_PIN.read_text("utf-8"), re.MULTILINE)
    assert pinned is not None, "BUG: scripts/uv.txt pins no uv"
    home = TOOLS / f"uv-{pinned[1]}"
    if not (home / "bin" / "uv").exists():
        pip = find_pip(python, environment=environment)
        partial = TOOLS / "uv.partial"
        shutil.rmtree(partial, ignore_errors=True)
        say(f"fetching uv {pinned[1]}")
        fetch = ["install", "--quiet", "--target", str(partial), "--only-binary", ":all:", "--require-hashes"]
        if not run([*pip, *fetch, "-r", str(UV_PIN)], environment=environment):
            raise SetupError(f"pip could not install uv {pinned[1]}.", hint=INDEX_HINT)
        shutil.rmtree(home, ignore_errors=True)
        partial.rename(home)  # a half-fetched uv never gets the final name
    return home / "bin" / "uv"


def find_pip(python: Path, *, environment: Mapping[str, str]) -> list[str]:
    """The command line of a pip: the interpreter's own, or one in a small venv of ours."""
    own = [str(python), "-m", "pip"]
    if runs([*own, "--version"], environment=environment):
        return own
    private = TOOLS / "pip"
    if runs([str(python), "-m", "venv", "--clear", str(private)], environment=environment):
        return [str(private / "bin" / "python"), "-I", "-m", "pip"]
    raise SetupError(f"{python} has neither pip nor a working venv.", hint=PIP_HINT)


def sync_with_uv(uv: Path, target: Target, *, python: Path, environment: Mapping[str, str]) -> bool:
    """Whether uv made it match the lock file, with the machine's certificates or else its own."""
    command = [str(uv), "sync", "--frozen", "--quiet", "--python", str(python), *target.groups]
    certificates = environment.get("PIP_CERT")
    placed = dict(environment, UV_PROJECT_ENVIRONMENT=str(target.folder))
    trusted = dict(placed, UV_SYSTEM_CERTS="1")
    if certificates and "SSL_CERT_FILE" not in environment:
        trusted["SSL_CERT_FILE"] = certificates
    return run(command, environment=trusted) or run(command, environment=dict(placed, UV_SYSTEM_CERTS="0"))


def sync_with_pip(uv: Path, target: Target, *, python: Path, environment: Mapping[str, str]) -> None:
    """The same environment through pip, which may know a mirror, a proxy or a wheel folder that uv does not."""
    locked = TOOLS / "locked.txt"
    venv = [str(uv), "venv", "--quiet", "--clear", "--python", str(python), str(target.folder)]
    export = [str(uv), "export", "--frozen", "--quiet", "--no-emit-project", "-o", str(locked)]
    pip = [
        *find_pip(python, environment=environment),
        "--python",
        str(target.folder / "bin" / "python"),
        "install",
        "--quiet",
    ]
    for command in (
        [*export, *target.groups],
        venv,
        [*pip, "--require-hashes", "-r", str(locked)],
        [*pip, "--no-deps", "--editable", str(ROOT)],
    ):
        if not run(command, environment=environment):
            raise SetupError("the dependencies could not be installed.", hint=INDEX_HINT)


def run(command: Sequence[str], *, environment: Mapping[str, str]) -> bool:
    """Whether the program succeeded; what it says goes to the terminal."""
    return (
        subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
        == 0
    )


def runs(command: Sequence[str], *, environment: Mapping[str, str]) -> bool:
    """The same, in silence."""
    return (
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode == 0
    )


def say(line: str) -> None:
    print(f"set-up: {line}", flush=True)


def main() -> int:
    if sys.argv[1:] and sys.argv[1:] != ["bench"]:
        print("error: the only other environment is called bench\nhint: setup.py [bench]", file=sys.stderr)
        return 2
    try:
        set_up(TARGETS["bench" if sys.argv[1:] else ""])
    except SetupError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"error: the set-up stopped: {error}.\nhint: is the project's folder writable?", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print("set-up: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
