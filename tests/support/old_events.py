"""An old version of an event that never was: what a log would hold that an earlier program wrote.

`workspace.renamed` version 0 called the name a title. Its upcaster is handed in as a
parameter; the registry of the program knows nothing of it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from moduprompt.domain.registry import Upcasters
from moduprompt.protocol import (
    Actor,
    EventEnvelope,
    EventId,
    Subject,
    WorkspaceId,
    decode_event,
    encode,
)
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.port import Append, EventLog, StoredEvent
from tests.support.domain import an_id

OLDEST: Final = 0


def _to_name(payload: dict[str, object]) -> dict[str, object]:
    return {"workspace_id": payload["workspace_id"], "name": payload["title"]}


RENAMED_UPCASTERS: Final[Upcasters] = {("workspace.renamed", OLDEST): _to_name}


async def add_old_event(log: EventLog, workspace_id: WorkspaceId, *, title: str) -> bytes:
    """The next event of a workspace, as the earlier program wrote it. Gives its stored bytes."""
    head = await log.claim(workspace_id)
    (last,) = await log.read(workspace_id, after=head.seq - 1, limit=1)
    before = decode_event(last.data)
    stream = await log.read_stream(workspace_id, subject_id=workspace_id, after=0, limit=1_000)
    envelope = EventEnvelope(
        event_id=EventId(an_id(head.seq + 1)),
        event_type="workspace.renamed",
        timestamp=before.timestamp,
        actor=Actor(kind="user", id="u"),
        workspace_id=workspace_id,
        subject=Subject(kind="workspace", id=workspace_id),
        payload=msgspec.Raw(encode({"workspace_id": workspace_id, "title": title})),
        schema_version=OLDEST,
        seq_global=head.seq + 1,
        seq_stream=len(stream) + 1,
        prev_hash=head.head_hash,
    )
    data = encode(envelope)
    part = Append(
        workspace_id=workspace_id,
        expected_seq=head.seq,
        epoch=head.epoch,
        head_hash=content_hash(data),
        events=(StoredEvent(seq=head.seq + 1, subject_id=workspace_id, data=data),),
    )
    await log.append([part])
    return data
