"""Writes lines to programs on pipes: each whole, at most once, and never into the middle of another.

A line has an id, and the keeper takes an id once, whoever asks and however often; its journal says what became of
it. So sending a line again is how one learns that, also from another daemon after a crash. A line
above what a keeper takes at once goes in pieces, `<id>/piece-0` and on, the last under the id itself: while pieces of one
are in and its last is not, no other line goes to that program.
"""

import asyncio
from typing import Final, TypeAlias

import msgspec

from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import Journals
from moduprompt.effects.runner.reports import cut_short
from moduprompt.keeper import wire

PIECE_BYTES: Final = wire.INPUT_BYTES_MAX // 2  # of a line: well under what one input may hold
PIECE_MARK: Final = "piece-"
# Why a keeper takes no line now and may take the same one later. Whatever else it says, it says for good.
PASSES: Final = frozenset({"input_full", "disk_refused", "unacknowledged", "not_taken"})


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The program's pipe has all of it; `output_bytes`: printed by then."""

    output_bytes: int | None


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    """It has not been sent whole, and never will be."""

    why: str


Outcome: TypeAlias = Sent | NotSent | None
"""None: not now, and nobody knows more; ask again."""


class Speaker:
    """Who writes to the programs of one daemon."""

    def __init__(self, backend: port.Backend) -> None:
        self._backend = backend
        self._turns: dict[str, asyncio.Lock] = {}
        self._journals = Journals(
            backend.run_dir
        )  # asked several times a line, on the loop: only what is new is read

    async def say(self, run_id: str, line: bytes, *, input_id: str, author: port.Author) -> Outcome:
        """This line, unless it was said before; then what became of it."""
        async with self._turns.setdefault(run_id, asyncio.Lock()):
            found = await self._backend.dial(run_id)
            if isinstance(found, port.Unreachable):
                return None
            if isinstance(found, port.Gone):
                return outcome_of(found.entries, input_id) or NotSent(why=found.evidence)
            async with found as link:
                return await self._say(link, line, input_id=input_id, author=author)

    async def end(self, run_id: str) -> bool:
        """Let the program read the end of its input; whether that is settled."""
        async with self._turns.setdefault(run_id, asyncio.Lock()):
            found = await self._backend.dial(run_id)
            if not isinstance(found, port.Gone | port.Unreachable):
                async with found as link:
                    try:
                        await link.close_input()
                    except port.LinkClosedError:
                        return False
            return not isinstance(found, port.Unreachable)

    def told(self, run_id: str, input_id: str) -> Outcome:
        """What became of a line, as far as the journal says."""
        return outcome_of(self._journals.of(run_id), input_id)

    def began(self, run_id: str, input_id: str) -> bool:
        """Whether any of a line may have been written."""
        return begun_in(self._journals.of(run_id), input_id)

    def forget(self, run_id: str) -> None:
        """The run is over."""
        self._turns.pop(run_id, None)
        self._journals.forget(run_id)

    async def _say(self, link: port.RunLink, line: bytes, *, input_id: str, author: port.Author) -> Outcome:
        entries = self._journals.of(link.welcome.run_id)
        known = outcome_of(entries, input_id)
        if known is not None or _stands_in_another(entries, input_id):
            return known
        printed: int | None = None
        try:
            for piece_id, piece in _pieces(line, input_id):
                result = await link.send_input(piece, author=author, input_id=piece_id)
                if isinstance(result, port.RequestRefused):
                    return None if result.code in PASSES else NotSent(why=result.message)
                if result.outcome == "failed":
                    return NotSent(why=cut_short(result.bytes))
                printed = result.output_bytes
        except port.LinkClosedError:
            return None
        return Sent(output_bytes=printed)


def line_of(input_id: str) -> str:
    """Whose piece this input is."""
    head, slash, last = input_id.rpartition("/")
    return head if slash and last.startswith(PIECE_MARK) else input_id


def outcome_of(entries: tuple[port.Entry, ...], input_id: str) -> Outcome:
    """What a journal says became of a line."""
    for entry in entries:
        match entry.report:
            case port.InputApplied() if entry.report.input_id == input_id:
                return Sent(output_bytes=entry.report.output_bytes)
            case port.InputFailed() if line_of(entry.report.input_id) == input_id:
                return NotSent(why=cut_short(entry.report.bytes))
            case _:
                continue
    return None


def begun_in(entries: tuple[port.Entry, ...], input_id: str) -> bool:
    """Whether any of a line may have been written, as a journal says."""
    return any(line_of(each) == input_id for each in _intended(entries))


def _stands_in_another(entries: tuple[port.Entry, ...], input_id: str) -> bool:
    """Whether another line has begun and is not whole."""
    intended = _intended(entries)
    begun = {line_of(each) for each in intended if line_of(each) != each}
    return bool(begun - set(intended) - {input_id})


def _intended(entries: tuple[port.Entry, ...]) -> tuple[str, ...]:
    return tuple(e.report.input_id for e in entries if isinstance(e.report, port.InputIntended))


def _pieces(line: bytes, input_id: str) -> list[tuple[str, bytes]]:
    cuts = range(0, max(len(line), 1), PIECE_BYTES)
    pieces = [line[start : start + PIECE_BYTES] for start in cuts]
    names = [f"{input_id}/{PIECE_MARK}{number}" for number in range(len(pieces) - 1)]
    return list(zip([*names, input_id], pieces, strict=True))
