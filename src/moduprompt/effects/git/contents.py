"""What stands in a working tree beyond its head, in one word: the same word for the same bytes, whenever they were written.

    digest = head · for each path that is not committed: its group, its name, its bytes as they lie on the disk

Unlike the digest of a status this one is the same again when a change was taken back and made anew. It reads files, so
it is bounded: of a tree with more to read nobody says anything.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from blake3 import blake3

from moduprompt.effects.git.parse import StatusReport

FILES_MAX: Final = 500  # not committed at once; an agent with more has unpacked something
BYTES_MAX: Final = 16 * 1024 * 1024  # some ten milliseconds to read and hash


class _TooMuch(Exception):
    """More than may be read."""


def contents_of(report: StatusReport, *, at: str) -> str | None:
    """The digest; None where there is too much to read, or it can't be read."""
    digest = blake3((report.head or "").encode())
    budget = _Budget()
    try:
        for group in (report.staged, report.unstaged, report.untracked, report.conflicted):
            digest.update(b"\0\0")
            for name in group:
                for path in _files(Path(at) / os.fsdecode(name)):
                    digest.update(os.fsencode(path) + b"\0" + budget.read(path) + b"\0")
    except (OSError, _TooMuch):
        return None
    return digest.hexdigest()


class _Budget:
    def __init__(self) -> None:
        self._files = FILES_MAX
        self._bytes = BYTES_MAX

    def read(self, path: Path) -> bytes:
        """A file's kind, and a digest of its bytes. Raises OSError, _TooMuch."""
        self._files -= 1
        try:
            found = path.lstat()
        except FileNotFoundError:
            return b"gone"
        self._bytes -= found.st_size
        if self._files < 0 or self._bytes < 0:
            raise _TooMuch
        if stat.S_ISLNK(found.st_mode):
            return b"link " + os.fsencode(path.readlink())
        if not stat.S_ISREG(found.st_mode):
            return b"other"
        return b"%o " % (found.st_mode & 0o111) + blake3(path.read_bytes()).digest()


def _files(path: Path) -> Iterator[Path]:
    """The file, or all below the folder, in an order of their own. Links are not followed."""
    if path.is_symlink() or not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(names))
