"""The keeper's reports: numbered from 1, synced before anyone hears of them, kept until acknowledged.

`journal.ndjson` holds one object a line: {"number", "at_us" (Unix time), "kind", "data"}. A line without
its newline is a torn write and does not count. `acknowledged` holds the highest number a daemon has made
durable itself; losing that file only repeats reports, and whoever receives them knows them by number.

A disk that refuses does not lose a report: it waits in memory, in order, and is retried.
"""

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Mapping

JOURNAL_NAME = "journal.ndjson"
ACKNOWLEDGED_NAME = "acknowledged"
UNACKNOWLEDGED_MAX = 1024  # what a silent daemon may cost in memory before inputs are refused


class Journal:
    """The one writer of a journal. Creating it fails when the run already has one."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(f"{directory}/{JOURNAL_NAME}", flags, 0o600)
        sync_directory(directory)
        self._size = 0
        self._waiting: list[tuple[int, bytes]] = []
        self.refused_by = 0  # what the disk said last, as an errno
        self.last = 0
        self.durable = 0
        self.acknowledged = 0
        self.unacknowledged: dict[int, bytes] = {}

    def append(self, kind: str, data: "Mapping[str, object]", *, at_us: int) -> bool:
        """Number and write one report. True when it is durable; False when it waits for the disk."""
        self.last += 1
        entry = {"number": self.last, "at_us": at_us, "kind": kind, "data": data}
        self._waiting.append((self.last, json.dumps(entry, separators=(",", ":")).encode()))
        return self.flush()

    def append_now(self, kind: str, data: "Mapping[str, object]", *, at_us: int) -> bool:
        """The same for what only counts when it is durable at once. Where it is not, nothing was reported."""
        if self.append(kind, data, at_us=at_us):
            return True
        self._waiting.pop()
        self.last -= 1
        try:
            os.ftruncate(self._fd, self._size)  # what the disk has half taken must not be read as a report
        except OSError:
            return False  # then it is written over, by the next report
        return False

    def flush(self) -> bool:
        """Make waiting reports durable, in order. True when none is left."""
        if not self._waiting:
            return True
        lines = b"".join(line + b"\n" for _, line in self._waiting)
        try:
            _write_at(self._fd, lines, self._size)
            os.fdatasync(self._fd)
        except OSError as error:
            self.refused_by = error.errno or 0
            return False
        self._size += len(lines)
        self.durable = self._waiting[-1][0]
        self.unacknowledged.update(self._waiting)
        self._waiting.clear()
        return True

    def acknowledge(self, upto: int) -> None:
        """Forget reports up to this number. Numbers from the past or the future change nothing."""
        if not self.acknowledged < upto <= self.durable:
            return
        for number in range(self.acknowledged + 1, upto + 1):
            self.unacknowledged.pop(number, None)
        self.acknowledged = upto
        path = f"{self._directory}/{ACKNOWLEDGED_NAME}"
        try:
            fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, b"%d\n" % upto)
            finally:
                os.close(fd)
            os.replace(path + ".new", path)
        except OSError:
            return  # only repeats reports, see above

    @property
    def is_durable(self) -> bool:
        """Whether the disk has taken every report."""
        return not self._waiting

    @property
    def is_settled(self) -> bool:
        """Whether every report is durable and acknowledged."""
        return not self._waiting and self.acknowledged == self.last


def scan_journal(raw: bytes) -> list[dict[str, object]]:
    """The whole entries at the start of a journal's bytes. Stops at the first that is torn or out of order."""
    entries: list[dict[str, object]] = []
    for line in raw.split(b"\n")[:-1]:
        try:
            entry: object = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(entry, dict) or entry.get("number") != len(entries) + 1:  # pyright: ignore[reportUnknownMemberType] - JSON
            break
        entries.append(entry)  # pyright: ignore[reportUnknownArgumentType] - JSON
    return entries


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_at(fd: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        view = view[written:]
        position += written
