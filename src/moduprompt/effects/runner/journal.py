"""Reading what a keeper reported: typed entries, from its connection or from the journal it left on disk."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import msgspec

from moduprompt.effects.runner import port
from moduprompt.keeper.journal import JOURNAL_NAME, scan_journal

JOURNAL_BYTES_MAX = (
    64 * 1024 * 1024
)  # some 200,000 prompts to one run; what lies behind nobody of ours has written
JOURNALS_MAX = (
    256  # kept beside their files: runs that are spoken to at once, and what is dropped is read again
)


class _RawEntry(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    at_us: int
    kind: str
    data: dict[str, object]


_ENTRIES = msgspec.json.Decoder(_RawEntry)
# Journals are read in threads. Two that meet a type for the first time at once would both make msgspec's plan of it,
# which ends the process: it is made here, by whoever imports this.
msgspec.json.Decoder(port.KnownReport)
_KINDS = frozenset(report.__struct_config__.tag for report in get_args(port.KnownReport))


def decode_entry(line: bytes) -> port.Entry:
    """One line of a journal. A kind we don't know becomes an UnknownReport; raises ValueError on anything worse."""
    try:
        raw = _ENTRIES.decode(line)
    except RecursionError as fault:
        raise ValueError("a report is nested too deeply") from fault
    if raw.kind in _KINDS:
        report: port.Report = msgspec.convert({**raw.data, "kind": raw.kind}, type=port.KnownReport)
    else:
        report = port.UnknownReport(name=raw.kind)
    return port.Entry(number=raw.number, at_us=raw.at_us, report=report)


def _own_file(path: Path, *, after: int = 0) -> bytes:
    # An agent may write where we do: a pipe in place of the file would hold up whoever reads it, for ever.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        file.seek(after)
        return file.read(JOURNAL_BYTES_MAX - after)


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """So much of a journal is known for good: these entries, and where the next line begins."""

    entries: tuple[port.Entry, ...] = ()
    offset: int = 0


class Journals:
    """Journals that grow while they are read: each is read on from where it was, and says what `read_journal` says.

    A keeper takes an entry back only while it is the last one, and not durable. So the last line is read again
    every time; what stands before it stands for good.
    """

    def __init__(self, run_dir: Callable[[str], Path]) -> None:
        self._run_dir = run_dir
        self._read: dict[str, _Read] = {}  # whose turn was longest ago first

    def of(self, run_id: str) -> tuple[port.Entry, ...]:
        """See `read_journal`."""
        path, known = self._run_dir(run_id) / JOURNAL_NAME, self._read.pop(run_id, _Read())
        try:
            raw = _own_file(path, after=known.offset)
            if known.offset and not raw:  # shorter than it was, so all of it is looked at
                raw, known = _own_file(path), _Read()
        except FileNotFoundError:
            return ()
        fresh = [*_entries_in(raw, after=len(known.entries))]
        for_good = fresh[:-1]
        offset = known.offset + sum(length for _, length in for_good)
        entries = (*known.entries, *(entry for entry, _ in for_good))
        self._read[run_id] = _Read(entries=entries, offset=offset)
        if len(self._read) > JOURNALS_MAX:
            del self._read[next(iter(self._read))]
        return (*entries, *(entry for entry, _ in fresh[-1:]))

    def forget(self, run_id: str) -> None:
        """The run is over."""
        self._read.pop(run_id, None)


def _entries_in(raw: bytes, *, after: int) -> Iterator[tuple[port.Entry, int]]:
    """Those with the numbers that follow, each with the length of its line, up to the first that is none."""
    for number, line in enumerate(raw.split(b"\n")[:-1], after + 1):
        try:
            entry = decode_entry(line)
        except ValueError:
            return
        if entry.number != number:
            return
        yield entry, len(line) + 1


def read_journal(run_dir: Path) -> tuple[port.Entry, ...]:
    """The entries of a run's journal, in order, up to the first that no keeper wrote whole. Empty when there is none.

    Raises OSError for what can't be read, and for what no keeper has put there: then nobody knows what happened.
    """
    try:
        raw = _own_file(run_dir / JOURNAL_NAME)
    except FileNotFoundError:
        return ()
    entries: list[port.Entry] = []
    for line in raw.split(b"\n")[: len(scan_journal(raw))]:
        try:
            entries.append(decode_entry(line))
        except ValueError:
            break
    return tuple(entries)
