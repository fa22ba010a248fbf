"""Listens to runs whose programs tell what they do, and reports what they say while they run.

    recording ──> what was printed so far ─┐
                                           ├─> ear ──> what was said, with its place ──> one report of many
    keeper ─────> what is printed now ─────┘

Guarantees:

- **Nothing is said twice and nothing is lost**, whoever dies whenever. Each thing said has a place in the output, the
  kernel remembers the last place it has taken and passes over what lies before, and a listener that begins
  anew feeds a fresh reader from the first byte and reports what lies behind.
- **Everything is said before the end is**: `rest` reports from the recording whatever was not reported yet.
- **A burst costs little**: while one report becomes durable the next one collects, up to SAID_MAX things in each, fewer
  where they have consequences: a report that is too much for one decision would never be taken, and its run never end.
- **A program that prints without end starves nobody**: who is slow makes the keeper wait, and the loop is given back
  after every few kilobytes.
"""

import asyncio
import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from moduprompt.domain.run.commands import ReportSaid, Sighting
from moduprompt.domain.run.intents import KeepRun
from moduprompt.domain.run.said import SAID_MAX, Detail, Said, UsageReported
from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.agents.port import AgentRequest, Asked, Channel, InputOver, Owed, Reader
from moduprompt.effects.agents.summary import Summary, summed
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.ear import Ear, Noted, recorded
from moduprompt.effects.runner.keeping import passes
from moduprompt.effects.runner.rounds import Contents, Rounds
from moduprompt.effects.runner.speaking import Speaker
from moduprompt.effects.runner.status.hearing import hear
from moduprompt.effects.runner.talking import Talk
from moduprompt.keeper.recording import RECORDING_NAME
from moduprompt.kernel.ports import Clock
from moduprompt.protocol import REASON_MAX, Refused
from moduprompt.storage.port import StorageFailed

NOTES_WAITING_MAX: Final = (
    4 * SAID_MAX
)  # things said that wait for their report; behind them the keeper waits
# Of SAID_MAX: what is used is charged to everyone above, and whoever stands sixteen deep among budgets has many of those.
USAGE_WEIGHS: Final = 4
SLICE_BYTES: Final = 8 * 1024  # fed at once: some milliseconds of work where every line is empty
AGAIN_S: Final = 1.0  # before a keeper is dialled again, or a report that could not be taken is made again
DETAIL_MAX: Final = 64 * 1024  # characters of what a permission is asked for: more than a person reads

log = logging.getLogger(__name__)


class Live:
    """A run that is listened to: what understands it, as far as it has heard, and how far the log knows it.

    `talk` is with whoever can also be spoken to, by the same that hears it; None for a program that only prints.
    """

    def __init__(self, reader: Reader, *, talk: Talk | None, told: int) -> None:
        self.talk = talk
        self.ear = Ear(reader)
        self.told = told
        self.is_input_over = False
        self.rounds = Rounds()
        self.notes: asyncio.Queue[Noted | None] = asyncio.Queue(NOTES_WAITING_MAX)


class Listener:
    """Who listens to the runs of one daemon."""

    def __init__(
        self,
        backend: port.Backend,
        reporter: Reporter,
        *,
        artifacts: FolderArtifacts,
        clock: Clock,
        speaker: Speaker,
        request: Callable[[KeepRun], AgentRequest],
        contents: Contents | None = None,
    ) -> None:
        """`request`: by which a run was started. `contents`: who looks into worktrees; without it nobody does."""
        self._contents = contents
        self._speaker = speaker
        self._request = request
        self._backend = backend
        self._reporter = reporter
        self._artifacts = artifacts
        self._clock = clock
        self._live: dict[str, Live] = {}

    def talk_with(self, run_id: str) -> Talk | None:
        """What a run is talked to by, while it is listened to; None for one that is not, only prints, or is over."""
        live = self._live.get(run_id)
        return None if live is None else live.talk

    def has_heard(self, run_id: str) -> bool:
        """Whether the run has said anything yet: from then on its own word is better than any look at it."""
        live = self._live.get(run_id)
        return live is not None and live.told > 0

    async def follow(self, intent: KeepRun) -> None:
        """Hear it out and report what it says, until its output ends or whoever waits for this gives up.

        What the machine lacks for a moment (a free file) is no reason to be deaf from then on: it begins anew.
        """
        while not await self._is_followed(intent):
            await self._clock.sleep(AGAIN_S)

    async def _is_followed(self, intent: KeepRun) -> bool:
        try:
            await self._follow(intent)
        except OSError as fault:  # before anything was heard: what it was started by could not be read
            if not passes(fault):
                raise
            return self._broke(intent, fault)
        except BaseExceptionGroup as faults:
            passing, others = faults.split(passes)
            if passing is None or others is not None:
                raise
            return self._broke(intent, passing.exceptions[0])
        return True

    def _broke(self, intent: KeepRun, fault: BaseException) -> bool:
        log.warning("listening.broke", extra={"run_id": intent.run_id, "why": str(fault)})
        return False

    async def _follow(self, intent: KeepRun) -> None:
        channel = self._channel_of(intent)
        reader = channel or _reader_of(intent)
        if reader is None:
            return
        talk = None if channel is None else Talk(channel, run_id=intent.run_id)
        live = Live(reader, talk=talk, told=self._told(intent))
        self._live[intent.run_id] = live
        async with asyncio.TaskGroup() as beside:
            beside.create_task(self._tell(intent, live), name=f"tell {intent.run_id}")
            errands = beside.create_task(self._run_errands(live), name=f"errands {intent.run_id}")
            await self._catch_up(intent, live)
            await self._hear(intent, live)
            await live.notes.put(None)
            errands.cancel()

    async def rest(self, intent: KeepRun) -> Summary | None:
        """Report what nobody has reported yet, now that nothing more will come; gives the sum of all that was said.

        None where its program tells nothing or left no recording. Raises RecordingError, Refused, StorageFailed;
        doing it again does no harm.
        """
        # The same that hears it while it lives: another one might give another place to the same word.
        reader = self._channel_of(intent) or _reader_of(intent)
        path = self._backend.run_dir(intent.run_id) / RECORDING_NAME
        if reader is None or not path.is_file():
            return None
        told, summary = self._told(intent), Summary()
        notes = _all_of(Ear(reader), path)
        while some := await asyncio.to_thread(_some_of, notes):
            for note in some:
                summary = _with(summary, note)
            await self._report(intent, [note for note in some if note.at > told], seen=None)
        return summary

    def forget(self, run_id: str) -> None:
        """Its end is reported."""
        self._live.pop(run_id, None)
        self._speaker.forget(run_id)

    def _channel_of(self, intent: KeepRun) -> Channel | None:
        adapter = adapter_named(intent.adapter)
        return None if adapter is None else adapter.channel(self._request(intent))

    async def _run_errands(self, live: Live) -> None:
        if live.talk is not None:
            await live.talk.run_errands(self._speaker, clock=self._clock)

    def _told(self, intent: KeepRun) -> int:
        live = self._live.get(intent.run_id)
        return max(intent.said_upto, 0 if live is None else live.told)

    async def _catch_up(self, intent: KeepRun, live: Live) -> None:
        """Hear what was printed before anybody listened, from the recording."""
        path = self._backend.run_dir(intent.run_id) / RECORDING_NAME
        if path.is_file():
            notes = recorded(live.ear, path)
            while some := await asyncio.to_thread(_some_of, notes):
                await _put(live, some)
        if live.talk is not None:
            live.talk.has_caught_up = True

    async def _hear(self, intent: KeepRun, live: Live) -> None:
        """Hear what is printed from now on, over as many links as it takes."""
        while not await self._is_heard_out(intent, live):
            await self._clock.sleep(AGAIN_S)

    async def _is_heard_out(self, intent: KeepRun, live: Live) -> bool:
        found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Gone):
            return True
        if isinstance(found, port.Unreachable):
            return False
        async with found as link:
            try:
                async for chunk in link.output(live.ear.offset):
                    await _take(live, chunk)
            except (port.LinkClosedError, ValueError) as fault:  # ValueError: the offset is still to come
                log.info("listening.broke", extra={"run_id": intent.run_id, "why": str(fault)})
                return False
        return True

    async def _tell(self, intent: KeepRun, live: Live) -> None:
        """Report what waits, many in one, until nothing more comes."""
        while notes := await _next_of(live.notes):
            seen, tree = _seen(live, notes), await self._tree(intent, live, notes)
            while not await self._is_taken(intent, notes, seen=seen, tree=tree):
                await self._clock.sleep(AGAIN_S)
            live.told = notes[-1].at

    async def _tree(self, intent: KeepRun, live: Live, notes: list[Noted]) -> str | None:
        """How the worktree stands now, where that may say that the program goes round; asked once for each report."""
        is_worth_it = live.rounds.is_worth_a_look(note.heard for note in notes)
        if not is_worth_it or self._contents is None or intent.cwd is None:
            return None
        return await self._contents.contents(intent.cwd)

    async def _is_taken(
        self, intent: KeepRun, notes: list[Noted], *, seen: Sighting | None, tree: str | None
    ) -> bool:
        try:
            await self._report(intent, notes, seen=seen, tree=tree)
        except (Refused, StorageFailed, OSError) as fault:
            log.warning("said.not_reported", extra={"run_id": intent.run_id, "why": str(fault)})
            return False
        return True

    async def _report(
        self, intent: KeepRun, notes: list[Noted], *, seen: Sighting | None, tree: str | None = None
    ) -> None:
        """One report; the same notes make the same report under the same key."""
        told = [(note.at, said) for note in notes if (said := await self._said(intent, note)) is not None]
        if not told:
            return
        places = tuple(at for at, _ in told)
        command = ReportSaid(
            workspace_id=intent.workspace_id,
            run_id=intent.run_id,
            upto=places[-1],
            said=tuple(said for _, said in told),
            places=places,
            seen=seen,
            tree=tree,
        )
        await report(self._reporter, command, key=f"run/{intent.run_id}/said/{places[0]}-{places[-1]}")

    async def _said(self, intent: KeepRun, note: Noted) -> Said | None:
        """What the log is told; a permission prompt's own words become an artifact first."""
        match note.heard:
            case Asked():
                text = note.heard.text[:DETAIL_MAX]
                ref = await self._artifacts.put(intent.workspace_id, text.encode())
                return replace(note.heard.said, detail=Detail(ref=ref, chars=len(text)))
            case Owed() | InputOver():
                return None
            case _:
                return note.heard


def _reader_of(intent: KeepRun) -> Reader | None:
    adapter = adapter_named(intent.adapter)
    return None if adapter is None else adapter.reader()


def _all_of(ear: Ear, path: Path) -> Generator[Noted]:
    yield from recorded(ear, path)
    yield from ear.last()


def _some_of(notes: Iterator[Noted]) -> list[Noted]:
    found: list[Noted] = []
    weight = 0
    for note in notes:
        found.append(note)
        weight += _weight(note)
        if weight >= SAID_MAX:
            break
    return found


def _weight(note: Noted) -> int:
    return USAGE_WEIGHS if isinstance(note.heard, UsageReported) else 1


async def _take(live: Live, chunk: port.OutputChunk) -> None:
    if chunk.offset > live.ear.offset:
        raise port.LinkClosedError(f"output {live.ear.offset} to {chunk.offset} was left out")
    for start in range(0, len(chunk.data), SLICE_BYTES):
        piece = chunk.data[start : start + SLICE_BYTES]
        await _put(live, live.ear.take(piece, offset=chunk.offset + start))
        await asyncio.sleep(0)


async def _put(live: Live, notes: Iterable[Noted]) -> None:
    for note in notes:
        if live.talk is not None:
            await live.talk.heard(note.heard)
        if note.at > live.told:
            await live.notes.put(note)


async def _next_of(notes: asyncio.Queue[Noted | None]) -> list[Noted]:
    """What waits, at least one and of SAID_MAX at most; nothing when nothing more comes."""
    found: list[Noted] = []
    weight = 0
    while weight < SAID_MAX and (not found or not notes.empty()):
        note = await notes.get()
        if note is None:
            notes.put_nowait(None)  # for the next call; who puts has put its last
            break
        found.append(note)
        weight += _weight(note)
    return found


def _seen(live: Live, notes: list[Noted]) -> Sighting | None:
    """What it does after all of that."""
    live.is_input_over |= any(isinstance(note.heard, InputOver) for note in notes)
    takes_prompts = live.talk is not None and not live.is_input_over
    for note in reversed(notes):
        said = note.heard.said if isinstance(note.heard, Asked) else note.heard
        seen = None if isinstance(said, Owed | InputOver) else hear(said, takes_prompts=takes_prompts)
        if seen is not None:
            return Sighting(
                status=seen.status,
                rule=seen.rule,
                rule_version=seen.rule_version,
                evidence=seen.evidence[:REASON_MAX],
            )
    return None


def _with(summary: Summary, note: Noted) -> Summary:
    match note.heard:
        case Asked():
            return summed(summary, note.heard.said)
        case Owed() | InputOver():
            return summary
        case _:
            return summed(summary, note.heard)
