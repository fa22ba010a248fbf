"""What a run leaves on the disk: its recording and its journal, tied together by marks.

A report leaves a mark in the recording, so whoever reads both knows what the program had printed by then. The
recording is synced now and then; of a report it is known at once whether it is durable.
"""

import time

from moduprompt.keeper import recording
from moduprompt.keeper.journal import Journal, sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Mapping

INTENDED = "input_intended"
DISK_RETRY_S = 1.0  # how long a disk that refused is left alone; the program's output waits meanwhile
SYNC_EVERY_S = 30.0  # so much of a recording a power cut may take; an idle run syncs nothing


class Records:
    """Of one run. Times in the recording count from its making."""

    def __init__(self, directory: str) -> None:
        self.began = time.monotonic()
        self.journal = Journal(directory)
        self.recording = recording.Recording(
            f"{directory}/{recording.RECORDING_NAME}", started_us=time.time_ns() // 1000
        )
        self.refused_by = 0  # what the disk said of the recording last, as an errno
        self.sync_at: float | None = None  # when what was recorded shall be durable
        self._directory = directory

    def record(self, kind: int, payload: bytes) -> bool:
        """One frame; False where the disk refused it."""
        try:
            self.recording.append(kind, int((time.monotonic() - self.began) * 1_000_000), payload)
        except OSError as error:
            self.refused_by = error.errno or 0
            return False
        self.sync_at = self.sync_at or time.monotonic() + SYNC_EVERY_S
        return True

    def report(self, kind: str, data: "Mapping[str, object]") -> bool:
        """Tell it, and mark where. False while it waits for the disk."""
        self.mark(kind)
        return self.report_unmarked(kind, data)

    def report_now(self, kind: str, data: "Mapping[str, object]") -> bool:
        """Tell it, and mark where. False where that can't be durable now; then nothing is told."""
        is_durable = self.journal.append_now(kind, data, at_us=time.time_ns() // 1000)
        if is_durable:
            self.mark(kind, number=self.journal.last)
        return is_durable

    def report_unmarked(self, kind: str, data: "Mapping[str, object]") -> bool:
        """Tell what was marked before, and synced with that mark."""
        return self.journal.append(kind, data, at_us=time.time_ns() // 1000)

    def intend(self, data: "Mapping[str, object]") -> bool:
        """Tell what is about to be typed. False where that can't be durable now; then nothing is told."""
        return self.report_now(INTENDED, data)

    def mark(self, kind: str, *, number: int | None = None) -> None:
        """Tie this moment to a report, else the one that comes now: its number names the event it leads to."""
        self.record(recording.MARK, f"journal {number or self.journal.last + 1} {kind}".encode())

    def sync_name(self) -> None:
        """From now on the recording is there, whatever happens."""
        self.recording.sync()
        sync_directory(self._directory)

    def sync_when_due(self, now: float) -> None:
        """Make durable what was recorded a while ago."""
        if self.sync_at is not None and now >= self.sync_at:
            self.sync_at = None
            self.recording.sync()
