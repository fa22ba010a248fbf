"""What a disk holds when the power goes: the bytes that were synced, and a part of those that were not.

A file is what the operating system shows (`content`), what is surely on the medium
(`durable`) and the writes between the two. A power cut keeps some of these: none, all,
those up to a moment, or any sectors of any of them in any order. A sector of 512 bytes is
written whole or not at all; one that was added to a file may hold rubbish. Directory
entries are lost or kept alike until the directory is synced.
"""

import random
from itertools import pairwise
from typing import Final

import msgspec

SECTOR: Final = 512


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A write, or a truncation to `offset` where `data` is None."""

    offset: int
    data: bytes | None


class SimFile:
    """The bytes of one file, on the medium and above it."""

    def __init__(self, durable: bytes = b"") -> None:
        self.content = bytearray(durable)
        self.durable = bytearray(durable)
        self.pending: list[Change] = []

    def write(self, offset: int, data: bytes) -> None:
        """As the operating system takes it: shown at once, on the medium some day."""
        change = Change(offset=offset, data=bytes(data))
        self.pending.append(change)
        put(self.content, change)

    def truncate(self, size: int) -> None:
        """Alike."""
        change = Change(offset=size, data=None)
        self.pending.append(change)
        put(self.content, change)

    def sync(self) -> None:
        """Everything so far is on the medium."""
        for change in self.pending:
            put(self.durable, change)
        self.pending.clear()

    def forsake(self) -> None:
        """A sync failed: the system takes these pages for clean, and the medium never gets them."""
        self.pending.clear()

    def after_power_cut(self, rng: random.Random) -> "SimFile":
        """The file as the next boot finds it."""
        return SimFile(bytes(_torn(self.durable, self.pending, rng)))

    def after_crash(self) -> "SimFile":
        """The process has gone, the system has not: what it was handed will be written."""
        crashed = SimFile()
        crashed.content = bytearray(self.content)
        crashed.durable = bytearray(self.durable)
        crashed.pending = list(self.pending)
        return crashed


class Directory:
    """Names, as they are shown and as the medium has them."""

    def __init__(self) -> None:
        self.shown: dict[str, SimFile] = {}
        self.durable: dict[str, SimFile] = {}

    def make(self, name: str) -> SimFile:
        """The file of this name; a new name is not on the medium yet."""
        return self.shown.setdefault(name, SimFile())

    def remove(self, name: str) -> None:
        """Its name goes, on the medium some day."""
        self.shown.pop(name, None)

    def sync(self) -> None:
        """The medium has the names as they are shown."""
        self.durable = dict(self.shown)

    def after_power_cut(self, rng: random.Random) -> "Directory":
        """As the next boot finds it: names that were not synced are there or not."""
        found = dict(self.durable)
        for name in sorted(self.shown.keys() | self.durable.keys()):
            if self.shown.get(name) is not self.durable.get(name) and rng.random() < 0.5:
                found.pop(name, None)
                if name in self.shown:
                    found[name] = self.shown[name]
        after = Directory()
        after.shown = {name: found[name].after_power_cut(rng) for name in sorted(found)}
        after.sync()
        return after

    def after_crash(self) -> "Directory":
        """As the next process finds it."""
        copies = {id(file): file.after_crash() for file in (*self.shown.values(), *self.durable.values())}
        after = Directory()
        after.shown = {name: copies[id(file)] for name, file in self.shown.items()}
        after.durable = {name: copies[id(file)] for name, file in self.durable.items()}
        return after


def put(held: bytearray, change: Change) -> None:
    """Carry out one change."""
    if change.data is None:
        del held[change.offset :]
        return
    if len(held) < change.offset:
        held.extend(bytes(change.offset - len(held)))
    held[change.offset : change.offset + len(change.data)] = change.data


def _torn(durable: bytearray, pending: list[Change], rng: random.Random) -> bytearray:
    held = bytearray(durable)
    manner = rng.choice(("lost", "kept", "until", "scattered", "scattered"))
    if manner == "lost":
        return held
    whole = len(pending) if manner == "kept" else rng.randint(0, len(pending))
    if manner == "scattered":
        whole = 0
    for change in pending[:whole]:
        put(held, change)
    if manner == "until" and whole < len(pending):
        _scatter(held, pending[whole : whole + 1], rng)
    elif manner == "scattered":
        for run in _runs(pending):
            _scatter(held, run, rng)
    return held


def _runs(pending: list[Change]) -> list[list[Change]]:
    """Writes between truncations: a file system keeps the order of those."""
    runs: list[list[Change]] = [[]]
    for change in pending:
        if change.data is None:
            runs += [[change], []]
        else:
            runs[-1].append(change)
    return [run for run in runs if run]


def _scatter(held: bytearray, run: list[Change], rng: random.Random) -> None:
    kept = rng.random()
    pieces = [piece for change in run for piece in _sectors(change)]
    rng.shuffle(pieces)
    size = len(held)
    for piece in pieces:
        if rng.random() < kept:
            put(held, piece)
        elif piece.data is not None and piece.offset >= size and rng.random() < 0.1:
            put(held, Change(offset=piece.offset, data=rng.randbytes(len(piece.data))))


def _sectors(change: Change) -> list[Change]:
    """The parts of a write that reach the medium whole or not at all."""
    if change.data is None:
        return [change]
    start, end = change.offset, change.offset + len(change.data)
    edges = [start, *range((start // SECTOR + 1) * SECTOR, end, SECTOR), end]
    return [Change(offset=low, data=change.data[low - start : high - start]) for low, high in pairwise(edges)]
