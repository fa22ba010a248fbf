"""Reading what a keeper reported: typed entries, from its connection or from the journal it left on disk."""

import errno
import os
import stat
from pathlib import Path
from typing import get_args

import msgspec

from moduprompt.effects.runner import port
from moduprompt.keeper.journal import JOURNAL_NAME, scan_journal

JOURNAL_BYTES_MAX = (
    64 * 1024 * 1024
)  # some 200,000 prompts to one run; what lies behind nobody of ours has written


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


def _own_file(path: Path) -> bytes:
    # An agent may write where we do: a pipe in place of the file would hold up whoever reads it, for ever.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        return file.read(JOURNAL_BYTES_MAX)


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
