"""The program as it was when its keepers first held the runs of a whole daemon (tests/golden/keepers).

Its daemon is started as it was started then, makes its own data, and starts its own keepers. Then it goes and its
files go with it, as they do when a package is replaced, and what still runs is met by the daemon of today.
"""

import compileall
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Final

from moduprompt.keeper import processes
from tests.support.daemon import Place, Said
from tests.support.deadline import eventually

ARCHIVE: Final = Path(__file__).parents[1] / "golden" / "keepers" / "2026-11-22.tar.gz"
PATCHED: Final = """
{patch}
from moduprompt.cli.mpd import main
raise SystemExit(main(["start", "--foreground"]))
"""


class Ancestor:
    """Its sources, unpacked below a daemon's place, and its commands."""

    def __init__(self, place: Place, unpacked: Path) -> None:
        """`unpacked`: where `unpack` has put it."""
        self._place = place
        self._home = place.root / "ancestor"
        shutil.copytree(unpacked, self._home)
        self._environ = {"PYTHONPATH": str(self._home / "src")}

    def mpctl(self, *words: str) -> Said:
        """One call of the mpctl of then, which has to succeed."""
        said = self._place.call(*_words("mpctl"), *words, environ=self._environ)
        assert said.status == 0, f"mpctl {' '.join(words)}: {said}"
        return said

    def made(self, *words: str) -> str:
        """The id of what a create made."""
        return self.mpctl(*words).out.split()[1]

    def start_daemon(self) -> None:
        """As a person did then."""
        said = self._place.call(*_words("mpd"), "start", environ=self._environ)
        assert said.status == 0, said

    def start_patched_daemon(self, patch: str) -> "subprocess.Popen[bytes]":
        """Its daemon with something changed first, as a crash would have it; wait for its end."""
        daemon = subprocess.Popen(
            [sys.executable, "-P", "-c", PATCHED.format(patch=patch)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**self._place.environ, **self._environ},
            cwd=self._place.root,
            start_new_session=True,
        )
        call = (*_words("mpctl"), "daemon", "status")
        eventually(lambda: self._place.call(*call, environ=self._environ).status == 0)
        return daemon

    def runs(self) -> dict[str, dict[str, Any]]:
        """By the names of their sessions, as the daemon of then has them."""
        return by_session(
            self.mpctl("session", "list", "--json").json["items"],
            self.mpctl("run", "list", "--json").json["items"],
        )

    def keeps(self, pid: int) -> bool:
        """Whether this program's keeper is one of then."""
        process = processes.inspect(pid)
        assert process is not None, f"{pid} is not alive"
        return str(self._home).encode() in Path(f"/proc/{process.ppid}/cmdline").read_bytes()

    def is_replaced(self) -> None:
        """Its files are gone: nothing that still runs can load another one."""
        self._home.rename(self._home.with_name("gone"))


def unpack(folder: Path) -> Path:
    """The archive's files below this folder, compiled: else each of many calls would do that again."""
    with tarfile.open(ARCHIVE) as archive:
        # Not every release of 3.11 knows filters. Nothing in the archive leads out of it.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    assert compileall.compile_dir(folder, quiet=1)
    return folder


def by_session(sessions: list[dict[str, Any]], runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Runs by the names of their sessions."""
    names = {each["id"]: each["name"] for each in sessions}
    return {names[each["session_id"]]: each for each in runs}


def _words(program: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", f"moduprompt.cli.{program}")
