"""`log verify` notices every kind of damage, and says where."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from moduprompt.cli.faults import CallFailed
from moduprompt.cli.nouns.log import Verified, verify_log
from moduprompt.client import Client
from moduprompt.domain.decider import Event
from moduprompt.domain.workspace.events import WorkspaceCreated, WorkspaceRenamed
from moduprompt.kernel.ledger import Ledger
from moduprompt.protocol import Actor, EventEnvelope, EventId, UserId, WorkspaceId, encode
from moduprompt.storage.hashing import content_hash, first_hash
from moduprompt.storage.port import Head, StoredEvent
from tests.support.http_server import Peer, serving

WORKSPACE = WorkspaceId("01a20428-0000-7000-8000-00000000aaaa")
OWNER = UserId("01a20428-0000-7000-8000-00000000bbbb")
FACTS: tuple[Event, ...] = (
    WorkspaceCreated(workspace_id=WORKSPACE, name="core", owner_id=OWNER),
    WorkspaceRenamed(workspace_id=WORKSPACE, name="kern"),
    WorkspaceRenamed(workspace_id=WORKSPACE, name="heart"),
)


def chain(facts: tuple[Event, ...] = FACTS) -> list[bytes]:
    stored: list[bytes] = []
    for seq, fact in enumerate(facts, 1):
        envelope = EventEnvelope(
            event_id=EventId(f"01a20428-0000-7000-8000-{seq:012x}"),
            event_type=fact.wire,
            timestamp=f"2026-11-22T10:00:00.{seq:06}Z",
            actor=Actor(kind="user", id=OWNER),
            workspace_id=WORKSPACE,
            subject=fact.subject(),
            payload=msgspec.Raw(encode(fact)),
            schema_version=1,
            seq_global=seq,
            seq_stream=seq,
            prev_hash=content_hash(stored[-1]) if stored else first_hash(WORKSPACE),
        )
        stored.append(encode(envelope))
    return stored


def folded(stored: list[bytes]) -> Ledger:
    ledger = Ledger(Head(workspace_id=WORKSPACE, seq=0, head_hash=first_hash(WORKSPACE), epoch=0))
    for data in stored:
        ledger.replay(StoredEvent(seq=ledger.seq + 1, subject_id="", data=data))
    return ledger


async def verified(path: Path, stored: list[bytes], **head: object) -> Verified:
    ledger = folded(chain())
    hashes = {"seq": 3, "head_hash": ledger.head_hash, "state_hash": ledger.state_hash()}

    async def serve(peer: Peer) -> None:
        while True:
            line, _ = await peer.request()
            target = urlsplit(line.split(" ")[1])
            if target.path == "/v1/log/head":
                peer.answer({"workspace_id": WORKSPACE, **hashes, **head})
                continue
            query = parse_qs(target.query)
            assert query["raw"] == ["1"]
            after = int(query["from"][0])
            items = ",".join(data.decode() for data in stored[after : after + 1])
            peer.answer(f'{{"items":[{items}],"seq_global":3}}'.encode())

    async with serving(path / "s", serve), Client(socket=str(path / "s"), token="t") as client:
        return await verify_log(client, WORKSPACE, name="core")


async def test_a_log_that_holds_is_verified_to_its_head(tmp_path: Path) -> None:
    found = await verified(tmp_path, chain())

    assert found.seq == 3
    assert found.head_hash == content_hash(chain()[-1])


def changed(stored: list[bytes]) -> list[bytes]:
    return [stored[0], stored[1].replace(b"kern", b"evil"), stored[2]]


def swapped(stored: list[bytes]) -> list[bytes]:
    return [stored[1], stored[0], stored[2]]


def without_the_second(stored: list[bytes]) -> list[bytes]:
    return [stored[0], stored[2]]


def without_the_last(stored: list[bytes]) -> list[bytes]:
    return stored[:2]


def with_another_end(stored: list[bytes]) -> list[bytes]:
    return chain((*FACTS[:2], WorkspaceRenamed(workspace_id=WORKSPACE, name="other")))


def without_a_beginning(stored: list[bytes]) -> list[bytes]:
    return chain((FACTS[1],))


def of_another_type(stored: list[bytes]) -> list[bytes]:
    return [stored[0].replace(b"workspace.created", b"workspace.cherised"), *stored[1:]]


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        (changed, "event 3"),
        (swapped, "event 1"),
        (without_the_second, "event 2"),
        (without_the_last, "ends at 2"),
        (with_another_end, "last bytes hash to"),
        (of_another_type, "event 1"),
        (without_a_beginning, "event 1"),
    ],
)
async def test_every_damage_is_noticed_and_its_place_is_named(
    tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]], where: str
) -> None:
    with pytest.raises(CallFailed, match=where) as caught:
        await verified(tmp_path, damage(chain()))

    assert caught.value.exit_status == 1
    assert WORKSPACE in caught.value.error.message


async def test_a_daemon_whose_state_is_another_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(CallFailed, match="the replay arrives at state"):
        await verified(tmp_path, chain(), state_hash="blake3:" + "0" * 64)


async def test_what_was_added_meanwhile_is_not_waited_for(tmp_path: Path) -> None:
    two = folded(chain()[:2])

    found = await verified(tmp_path, chain(), seq=2, head_hash=two.head_hash, state_hash=two.state_hash())

    assert found.seq == 2
