"""Which idempotency keys may have been used: a fresh one then needs no look-up.

A Bloom filter for each workspace that is written to ("Space/time trade-offs in hash coding
with allowable errors", Bloom, 1970), with all bits of a key in one word ("Cache-, hash- and
space-efficient Bloom filters", Putze, Sanders, Singler, 2007), because every command asks. It
never says of a used key that it is unused; of two hundred unused keys it takes about one for
used, and that one is looked up.

    about to be written ──→ add ──┐
                                  ├──→ filter ──→ is_surely_fresh
    the log's own keys ───────────┘  (once, in slices, when look-ups have found nothing often enough)

It is exact in its "never used" because nobody but the owner of a workspace adds keys to it: a
filter begins under a claim and ends with the next one, or with a write that failed. Keys are
added before they are written. Beside all this the table's primary key stands: were a filter
wrong, the second use would fail instead of being carried out.
"""

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

from blake3 import blake3

from moduprompt.protocol import WorkspaceId
from moduprompt.storage.port import StorageFailed

Use: TypeAlias = tuple[str, str]
"""An actor, and the key it used."""

IN_VAIN_MAX: Final = 64  # look-ups that find nothing before a filter is made: who asks seldom needs none
SLICE: Final = 256  # keys read at a time: half a millisecond of the loop
BITS_A_KEY: Final = 16  # with four of them set in one word one "maybe" in 200 is false
WORD_BYTES: Final = 8
LAYER_KEYS: Final = 1_024  # of the first layer; each further one holds four times as many
BYTES_MAX: Final = 32 * 1024 * 1024  # of all filters: sixteen million keys; those beyond are looked up


class Filter:
    """The keys of one workspace."""

    def __init__(self, *, may_grow: Callable[[int], bool]) -> None:
        """`may_grow` says whether there is room for so many bytes more."""
        self.is_whole = False  # until all keys that are in the log have been added
        self._may_grow = may_grow
        self._layers: list[array[int]] = []
        self._room = 0
        self._is_full = False

    @property
    def size(self) -> int:
        """Bytes."""
        return WORD_BYTES * sum(map(len, self._layers))

    def add(self, use: Use) -> None:
        """It may have been made from now on."""
        if self._room == 0 and not self._is_full:
            self._grow()
        if self._is_full:
            return
        self._room -= 1
        words, (place, bits) = self._layers[-1], _place(use)
        words[place % len(words)] |= bits

    def is_surely_fresh(self, use: Use) -> bool:
        """Whether it was never made; False where that can't be said."""
        if not self.is_whole or self._is_full:
            return False
        place, bits = _place(use)
        for words in self._layers:  # noqa: SIM110 - every command comes by here, and a generator is as dear as the rest
            if words[place % len(words)] & bits == bits:
                return False
        return True

    def _grow(self) -> None:
        keys = LAYER_KEYS * 4 ** len(self._layers)
        size = keys * BITS_A_KEY // 8
        if not self._may_grow(size):
            self._is_full = True
            return
        self._layers.append(array("Q", bytes(size)))
        self._room = keys


class KnownKeys:
    """The filters of the workspaces that are in use. All of it happens in the event loop."""

    def __init__(
        self,
        *,
        read: Callable[[WorkspaceId, Use], Awaitable[list[Use]]],
        flush: Callable[[], Awaitable[None]],
        in_vain_max: int = IN_VAIN_MAX,
    ) -> None:
        """`read` gives the next uses after one, at most SLICE; `flush` waits for the writes that were begun."""
        self._read = read
        self._flush = flush
        self._in_vain_max = in_vain_max
        self._filters: dict[WorkspaceId, Filter] = {}
        self._in_vain: dict[WorkspaceId, int] = {}
        self._learning: set[asyncio.Task[None]] = set()

    def is_surely_fresh(self, workspace_id: WorkspaceId, use: Use) -> bool:
        """Whether a look-up can be left out."""
        known = self._filters.get(workspace_id)
        return known is not None and known.is_surely_fresh(use)

    def add(self, workspace_id: WorkspaceId, uses: Iterable[Use]) -> None:
        """They are about to be written."""
        known = self._filters.get(workspace_id)
        if known is not None:
            for use in uses:
                known.add(use)

    def begin(self, workspace_id: WorkspaceId) -> Filter:
        """Note what is added from here on; what was there before is not in it yet."""
        return self._filters.setdefault(workspace_id, Filter(may_grow=self._has_room))

    def complete(self, workspace_id: WorkspaceId) -> None:
        """Nothing was there before that is not in it."""
        known = self._filters.get(workspace_id)
        if known is not None:
            known.is_whole = True

    def note_in_vain(self, workspace_id: WorkspaceId) -> None:
        """A look-up in a workspace of ours has found nothing; often enough, and its keys are learned."""
        if workspace_id in self._filters:
            return
        self._in_vain[workspace_id] = self._in_vain.get(workspace_id, 0) + 1
        if self._in_vain[workspace_id] < self._in_vain_max:
            return
        task = asyncio.create_task(self._learn(workspace_id, self.begin(workspace_id)), name="known-keys")
        self._learning.add(task)
        task.add_done_callback(self._learning.discard)

    def forget(self, workspace_id: WorkspaceId) -> None:
        """Others may have added keys."""
        self._filters.pop(workspace_id, None)
        self._in_vain.pop(workspace_id, None)

    async def stop(self) -> None:
        """Learn no more; stopping twice is fine."""
        tasks = list(self._learning)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _learn(self, workspace_id: WorkspaceId, known: Filter) -> None:
        try:
            # What is being written at this moment was not added, and could come in behind our reading.
            await self._flush()
            last: Use = ("", "")
            while self._filters.get(workspace_id) is known:
                found = await self._read(workspace_id, last)
                for use in found:
                    known.add(use)
                if len(found) < SLICE:
                    known.is_whole = True
                    return
                last = found[-1]
        except StorageFailed:
            self.forget(workspace_id)

    def _has_room(self, size: int) -> bool:
        return size + sum(known.size for known in self._filters.values()) <= BYTES_MAX


def _place(use: Use) -> tuple[int, int]:
    """Its word, still to be taken modulo their number, and its bits there."""
    digest = int.from_bytes(blake3(f"{use[0]}\x00{use[1]}".encode()).digest(length=8), "little")
    bits = 1 << (digest & 63) | 1 << (digest >> 6 & 63) | 1 << (digest >> 12 & 63) | 1 << (digest >> 18 & 63)
    return digest >> 24, bits
