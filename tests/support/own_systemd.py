"""A systemd of one's own: a real user instance, fenced off, so that units are tried under what will run them.

    own control group ──> own control group and mount namespaces ──> /run/systemd/system ──> systemd --user

It sees no control group but its own, so it moves and kills nobody else's processes. Made by root alone:
`why_none` says what this machine lacks.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.daemon import Place, Said
from tests.support.deadline import eventually

SYSTEMD: Final = next(
    (path for path in map(Path, ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")) if path.exists()), None
)
TOOLS: Final = ("systemctl", "unshare", "nsenter", "mount")
COMES_UP_S: Final = 30.0
CALL_S: Final = 90.0  # a restart lasts until the daemon is ready
# In namespaces of its own: only its control groups, in version 2 alone, and the folder that says "booted with systemd".
# Unmounted twice: the mounts below /sys/fs/cgroup where both versions are used, and then what holds them.
WITHIN: Final = """
set -e
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
mkdir -p /run/systemd/system
exec "$0" --user --unit=basic.target
"""


def why_none() -> str | None:
    """What is missing for a systemd of one's own; None where nothing is."""
    if SYSTEMD is None or any(shutil.which(tool) is None for tool in TOOLS):
        return "systemd and util-linux are not installed"
    if os.geteuid() != 0:
        return "only root can fence off a systemd of its own"
    mounts = _hierarchies()
    if "" not in mounts or not os.access(mounts[""], os.W_OK):
        return "there is no control group of version 2 that may be written"
    return None


class ServiceManager:
    """The user's systemd of one place."""

    def __init__(self, place: Place, pid: int) -> None:
        self._place = place
        self.pid = pid

    def ctl(self, *words: str) -> Said:
        """`systemctl --user …`, to its end."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--cgroup"]
        done = subprocess.run(
            [*enter, "systemctl", "--user", "--no-pager", *words],
            env=environ_of(self._place),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CALL_S,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words: str) -> str:
        """The same, which has to succeed."""
        said = self.ctl(*words)
        assert said.status == 0, f"systemctl {' '.join(words)}: {said}"
        return said.out.strip()

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.ok("show", "--value", f"--property={name}", unit)

    def install(self, units: dict[str, str]) -> None:
        """As docs/systemd.md says."""
        folder = self._place.home / ".config" / "systemd" / "user"
        folder.mkdir(parents=True)
        for name, text in units.items():
            (folder / name).write_text(text)
        self.ok("daemon-reload")

    def change(self, unit: str, text: str) -> None:
        """A drop-in over an installed unit."""
        folder = self._place.home / ".config" / "systemd" / "user" / f"{unit}.d"
        folder.mkdir()
        (folder / "change.conf").write_text(text)
        self.ok("daemon-reload")


def environ_of(place: Place) -> dict[str, str]:
    """The user's own, with the folder where systemd listens."""
    return {**place.environ, "XDG_RUNTIME_DIR": str(place.root / "xdg")}


@contextmanager
def service_manager(place: Place) -> Generator[ServiceManager]:
    """One that runs; afterwards it and all that it started are gone, and its control groups with them."""
    assert SYSTEMD is not None
    (place.root / "xdg").mkdir(mode=0o700)
    groups = [
        Path(folder, f"mp-{place.root.name}")
        for name, folder in _hierarchies().items()
        if name in ("", "name=systemd")
    ]
    for group in groups:
        group.mkdir()
    joins = "".join(f"echo $$ > {group}/cgroup.procs; " for group in groups)
    process = subprocess.Popen(
        ["sh", "-c", joins + 'exec unshare --cgroup --mount sh -c "$0" "$1"', WITHIN, str(SYSTEMD)],
        env={**environ_of(place), "SYSTEMD_LOG_TARGET": "null"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    manager = ServiceManager(place, process.pid)
    try:
        eventually(lambda: manager.ctl("is-system-running").out.strip() == "running", within_s=COMES_UP_S)
        yield manager
    finally:
        _end(process, groups)


def _end(process: "subprocess.Popen[bytes]", groups: list[Path]) -> None:
    """Everything in its groups, and it first: it would start again what it watches."""
    process.kill()
    process.wait()
    for group in groups:
        eventually(lambda group=group: _is_emptied(group))


def _is_emptied(group: Path) -> bool:
    inner = sorted((Path(folder) for folder, _, _ in os.walk(group)), reverse=True)
    for folder in inner:
        for pid in (folder / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    try:
        for folder in inner:
            folder.rmdir()
    except OSError:
        return False  # who was killed is not gone yet
    return True


def _hierarchies() -> dict[str, str]:
    """Where our own control group lies, by the hierarchy's name; that of version 2 is ''."""
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    found: dict[str, str] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        root, mounted = before.split()[3:5]
        kind, _, options = after.split()[:3]
        names = {"cgroup2": [""], "cgroup": options.split(",")}.get(kind, [])
        found |= {
            name: f"{mounted}/{own[name].removeprefix(root).strip('/')}".rstrip("/")
            for name in names
            if name in own
        }
    return found
