"""Workspaces leave and enter as bundles.

An export is a fold of what is durable, so a log that is broken is never handed on. An import
is checked to its last byte before anything is written, and then written in pieces: one that was
cut short is seen by nobody, and goes on where it stopped when the same bundle comes again. What
was imported stays frozen, byte for byte, until it is adopted.
"""

import asyncio
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

import msgspec

from moduprompt import __version__
from moduprompt.domain.artifact.state import ArtifactState
from moduprompt.domain.registry import UPCASTERS, Upcasters
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.kernel.cabinet import Cabinet
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.ports import ArtifactStore
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    ArtifactRef,
    Refused,
    Rejection,
    WorkspaceId,
    decode_event,
    invalid,
    is_id,
    to_micros,
)
from moduprompt.storage.bundle import Bundle, BundleRefused, BundleWriter, Manifest, to_head
from moduprompt.storage.chain import refs_in
from moduprompt.storage.hashing import content_hash, first_hash
from moduprompt.storage.port import Append, EventLog, Head, StoredEvent

PAGE: Final = 500  # events of one step: half a megabyte in memory


class Bundled(NamedTuple):
    """What stands before the body of a bundle, and what it says."""

    head: bytes
    manifest: Manifest


class Transfer:
    """The way out of one log and into another."""

    def __init__(
        self,
        event_log: EventLog,
        cabinet: Cabinet,
        *,
        artifacts: ArtifactStore,
        upcasters: Upcasters = UPCASTERS,
    ) -> None:
        self._log = event_log
        self._cabinet = cabinet
        self._artifacts = artifacts
        self._upcasters = upcasters
        self._importing = asyncio.Lock()  # one at a time: two of the same workspace must not meet

    async def export(
        self, workspace_id: WorkspaceId, *, seq: int, body: BinaryIO, prefix_of: int | None = None
    ) -> Bundled:
        """Write a workspace as it was at `seq`, which is durable. Raises Refused or ChainBroken.

        `prefix_of` marks it as what is left of so many events.
        """
        if workspace_id == SYSTEM_WORKSPACE:
            raise Refused(_not_the_system())
        ledger, writer = empty_ledger(workspace_id, self._upcasters), BundleWriter(body)
        refs: set[ArtifactRef] = set()
        while ledger.seq < seq:
            page = await self._log.read(workspace_id, after=ledger.seq, limit=min(PAGE, seq - ledger.seq))
            assert page, f"BUG: nothing follows {ledger.seq} of {seq} durable events"
            for stored in page:
                envelope, _ = ledger.replay(stored)
                refs |= refs_in(envelope)
            await asyncio.to_thread(writer.add_events, [each.data for each in page])
        writer.end_events()
        erased = erased_in(ledger)
        kept = sorted(refs - erased)
        missing = [ref for ref in kept if not await self._add_artifact(writer, ref, home=workspace_id)]
        events, artifacts = writer.end()
        own = ledger.find(WorkspaceState, workspace_id)
        assert own is not None, "BUG: a workspace begins with workspace.created"
        manifest = Manifest(
            program=__version__,
            workspace_id=workspace_id,
            name=own.name,
            seq=ledger.seq,
            head_hash=ArtifactRef(ledger.head_hash),
            state_hash=ArtifactRef(await ledger.state_hash_aside()),
            events=events,
            artifacts=artifacts,
            missing=tuple(missing),
            erased=tuple(sorted(erased)) or msgspec.UNSET,
            prefix_of=msgspec.UNSET if prefix_of is None else prefix_of,
        )
        return Bundled(to_head(manifest), manifest)

    async def take_in(self, file: BinaryIO) -> Ledger:
        """Import a bundle; the workspace is frozen. Doing it twice is fine. Raises Refused or StorageFailed."""
        async with self._importing:
            try:
                bundle = await asyncio.to_thread(checked, file, self._upcasters)
            except BundleRefused as fault:
                raise Refused(invalid("bundle_refused", str(fault), hint=REFUSED_HINT)) from fault
            manifest = bundle.manifest
            head = await self._head_of(manifest.workspace_id)
            if head is None or not head.is_whole():
                await self._write(bundle, head)
            elif not is_same(head, manifest):
                raise Refused(_exists(manifest))
            return await self._cabinet.admit(manifest.workspace_id)

    async def _add_artifact(self, writer: BundleWriter, ref: ArtifactRef, *, home: WorkspaceId) -> bool:
        opened = await self._artifacts.open(home, ref)
        if opened is None:
            return False
        await asyncio.to_thread(writer.add_artifact, ref, opened.chunks, size=opened.size)
        return True

    async def _head_of(self, workspace_id: WorkspaceId) -> Head | None:
        heads = await self._log.heads()
        return next((each for each in heads if each.workspace_id == workspace_id), None)

    async def _write(self, bundle: Bundle, begun: Head | None) -> None:
        manifest = bundle.manifest
        if begun is not None:
            await asyncio.to_thread(check_continues, bundle, begun)
            begun = await self._log.claim(manifest.workspace_id)
        for piece in manifest.artifacts:  # before the events that name them, like every artifact
            await self._artifacts.put_chunks(manifest.workspace_id, bundle.artifact(piece))
        after, epoch = (begun.seq, begun.epoch) if begun is not None else (0, 1)
        pages = _pages(bundle, after=after)
        while page := await asyncio.to_thread(next, pages, None):
            part = Append(
                workspace_id=manifest.workspace_id,
                expected_seq=after,
                epoch=epoch,
                head_hash=content_hash(page[-1].data),
                events=page,
                imported_to=manifest.seq,
            )
            await self._log.append([part])
            after = page[-1].seq


REFUSED_HINT: Final = "nothing was imported; export it again, or copy the file again"


def checked(file: BinaryIO, upcasters: Upcasters = UPCASTERS) -> Bundle:
    """A bundle of which everything holds. Raises BundleRefused.

    Chain, order, fold, hashes, and that it brings every artifact it does not say is missing, and no other.
    """
    bundle = Bundle(file)
    manifest = bundle.manifest
    ledger, refs = empty_ledger(manifest.workspace_id, upcasters), set[ArtifactRef]()
    for data in bundle.lines():
        try:
            refs |= _take(ledger, data)
        except (
            Exception
        ) as fault:  # a hostile event may break any of our assumptions: whatever it was, it is refused
            raise BundleRefused(f"event {ledger.seq + 1} can't be taken: {fault}") from fault
    if (ledger.seq, ledger.head_hash) != (manifest.seq, manifest.head_hash):
        raise BundleRefused(
            f"its events end at {ledger.seq} with {ledger.head_hash}; its manifest says otherwise"
        )
    # Another version of the program keeps another state; the chain holds for every version.
    if manifest.program == __version__ and ledger.state_hash() != manifest.state_hash:
        raise BundleRefused(
            f"its events fold to {ledger.state_hash()}, its manifest says {manifest.state_hash}"
        )
    own = ledger.find(WorkspaceState, manifest.workspace_id)
    if own is None or own.name != manifest.name:
        raise BundleRefused("its manifest calls the workspace by another name")
    erased = erased_in(ledger)
    if erased != set(manifest.erased or ()):
        raise BundleRefused("its manifest does not mark as erased what its events erase")
    if refs != {each.ref for each in manifest.artifacts} | set(manifest.missing) | erased:
        raise BundleRefused("its artifacts are not those that its events name")
    for piece in manifest.artifacts:
        bundle.check_artifact(piece)
    return bundle


def erased_in(ledger: Ledger) -> set[ArtifactRef]:
    """What a workspace has erased: a bundle marks it, and never brings it."""
    return {each.ref for each in ledger.every(ArtifactState)}


def check_continues(bundle: Bundle, begun: Head) -> None:
    """An import that was cut short was one of this bundle. Raises Refused."""
    before = first_hash(bundle.manifest.workspace_id)
    for seq, data in enumerate(bundle.lines(), start=1):
        if seq > begun.seq:
            break
        before = content_hash(data)
    if begun.seq > bundle.manifest.seq or before != begun.head_hash:
        raise Refused(_exists(bundle.manifest))


def is_same(head: Head, manifest: Manifest) -> bool:
    """Whether this very bundle was imported, and nobody has adopted it yet."""
    return (head.seq, head.head_hash, head.imported_to) == (manifest.seq, manifest.head_hash, manifest.seq)


def empty_ledger(workspace_id: WorkspaceId, upcasters: Upcasters = UPCASTERS) -> Ledger:
    """Where a replay from zero begins."""
    head = Head(workspace_id=workspace_id, seq=0, head_hash=first_hash(workspace_id), epoch=0)
    return Ledger(head, upcasters=upcasters)


def _take(ledger: Ledger, data: bytes) -> set[ArtifactRef]:
    before = decode_event(data)
    if before.workspace_id != ledger.workspace_id:
        raise BundleRefused(f"it belongs to workspace {before.workspace_id}")
    if not is_id(before.event_id):
        raise BundleRefused("its id is none")
    last = ledger.last_time
    envelope, event = ledger.replay(StoredEvent(seq=ledger.seq + 1, subject_id=before.subject.id, data=data))
    if to_micros(envelope.timestamp) < last:
        raise BundleRefused("it is older than the one before it")
    if event is not None and event.subject() != envelope.subject:
        raise BundleRefused(f"its subject is not {envelope.subject.kind} {envelope.subject.id}")
    is_first = isinstance(event, WorkspaceCreated) and event.workspace_id == ledger.workspace_id
    if is_first != (envelope.seq_global == 1):
        raise BundleRefused("a workspace begins with workspace.created, and only there")
    return refs_in(envelope)


def _pages(bundle: Bundle, *, after: int) -> Iterator[tuple[StoredEvent, ...]]:
    page: list[StoredEvent] = []
    for seq, data in enumerate(bundle.lines(), start=1):
        if seq <= after:
            continue
        page.append(StoredEvent(seq=seq, subject_id=decode_event(data).subject.id, data=data))
        if len(page) == PAGE:
            yield tuple(page)
            page = []
    if page:
        yield tuple(page)


def _exists(manifest: Manifest) -> Rejection:
    return invalid(
        "workspace_exists",
        f"workspace {manifest.workspace_id} ({manifest.name}) is here already, and not as this bundle has it",
        hint="a workspace is imported where it is not: mpctl workspace list",
        workspace_id=manifest.workspace_id,
    )


def _not_the_system() -> Rejection:
    return invalid(
        "system_workspace",
        "the system workspace belongs to its daemon and is not exported",
        hint="mpctl workspace list shows those that are",
    )
