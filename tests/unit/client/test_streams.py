"""The stream of events: in order, each once, over daemons that come and go."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from moduprompt.client import (
    AnswerBroken,
    Client,
    Endpoint,
    Limits,
    Loss,
    RequestRefused,
    Transport,
    Unreachable,
)
from moduprompt.protocol import WorkspaceId, encode
from moduprompt.protocol.framing import ndjson, sse
from tests.support.http_server import Peer, serving

WORKSPACE = WorkspaceId("01a20428-cfd0-743f-9909-410f8878ec57")
LIMITS = Limits(connect_s=1.0, answer_s=1.0, silence_s=0.3, patience_s=2.0)
FRAMINGS = {"sse": sse, "ndjson": ndjson}


def event(seq: int) -> bytes:
    return encode(
        {
            "event_id": f"01a20428-cfd0-743f-9909-{seq:012x}",
            "event_type": "task.started",
            "timestamp": "2026-11-22T00:00:00.000000Z",
            "actor": {"kind": "system", "id": "kernel"},
            "workspace_id": WORKSPACE,
            "subject": {"kind": "task", "id": "t"},
            "payload": {},
            "schema_version": 1,
            "seq_global": seq,
            "seq_stream": seq,
            "prev_hash": "x",
        }
    )


def query_of(line: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(line.split(" ")[1]).query).items()}


async def taken(client: Client, count: int, *, transport: Transport = "sse", from_: int = 0) -> list[int]:
    seqs: list[int] = []
    async for envelope in client.events(WORKSPACE, from_=from_, transport=transport):
        seqs.append(envelope.seq_global)
        if len(seqs) == count:
            break
    return seqs


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
async def test_events_come_in_order_and_once_over_cut_streams(tmp_path: Path, transport: Transport) -> None:
    framing = FRAMINGS[transport]
    asked: list[str] = []

    async def serve(peer: Peer) -> None:
        line, _ = await peer.request()
        after = int(query_of(line)["from"])
        asked.append(query_of(line)["from"])
        peer.begin_stream()
        again = max(1, after)  # at least once: the last one comes a second time
        for seq in range(again, after + 3):
            peer.write(framing.event_bytes(seq, event(seq)))
        peer.write(framing.event_bytes(after + 3, event(after + 3))[:-9])

    client = Client(socket=str(tmp_path / "s"), token="t", limits=LIMITS)
    async with serving(tmp_path / "s", serve), client:
        assert await taken(client, 6, transport=transport) == [1, 2, 3, 4, 5, 6]
    assert asked == ["0", "2", "4"]


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
async def test_a_position_moves_the_cursor_without_an_event(tmp_path: Path, transport: Transport) -> None:
    framing = FRAMINGS[transport]
    asked: list[str] = []

    async def serve(peer: Peer) -> None:
        line, _ = await peer.request()
        asked.append(query_of(line)["from"])
        peer.begin_stream()
        if len(asked) == 1:
            peer.write(framing.position_bytes(1_000))
            return
        peer.write(framing.event_bytes(1_001, event(1_001)))
        await peer.gone()

    client = Client(socket=str(tmp_path / "s"), token="t", limits=LIMITS)
    async with serving(tmp_path / "s", serve), client:
        assert await taken(client, 1, transport=transport) == [1_001]
    assert asked == ["0", "1000"]


@pytest.mark.parametrize(("farewell", "loss"), [(sse.end_bytes("draining"), "drained"), (b"", "cut")])
async def test_the_hook_learns_how_the_daemon_went(tmp_path: Path, farewell: bytes, loss: Loss) -> None:
    losses: list[Loss] = []

    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.begin_stream()
        peer.write(farewell if not losses else sse.event_bytes(1, event(1)))
        if losses:
            await peer.gone()

    async def again(how: Loss) -> Endpoint | None:
        losses.append(how)
        return Endpoint(socket=str(tmp_path / "s"), token="t")

    client = Client(socket=str(tmp_path / "s"), token="t", reconnect=again, limits=LIMITS)
    async with serving(tmp_path / "s", serve), client:
        assert await taken(client, 1) == [1]
    assert losses == [loss]


async def test_a_silent_stream_is_taken_up_anew(tmp_path: Path) -> None:
    asked: list[str] = []

    async def serve(peer: Peer) -> None:
        line, _ = await peer.request()
        asked.append(query_of(line)["from"])
        peer.begin_stream()
        peer.write(sse.event_bytes(len(asked), event(len(asked))))
        await peer.gone()

    client = Client(socket=str(tmp_path / "s"), token="t", limits=LIMITS)
    async with serving(tmp_path / "s", serve), client:
        assert await taken(client, 2) == [1, 2]
    assert asked == ["0", "1"]


async def test_a_refused_stream_raises_what_the_daemon_said(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.answer({"code": "not_found", "message": "no workspace"}, status=404)
        await peer.gone()

    client = Client(socket=str(tmp_path / "s"), token="t", limits=LIMITS)
    async with serving(tmp_path / "s", serve), client:
        with pytest.raises(RequestRefused, match="no workspace"):
            await taken(client, 1)


async def test_a_stream_nobody_takes_up_again_ends_with_the_patience(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.answer({"code": "unavailable", "message": "starting"}, status=503)

    client = Client(socket=str(tmp_path / "s"), token="t", limits=Limits(patience_s=0.3))
    async with serving(tmp_path / "s", serve), client:
        with pytest.raises(Unreachable):
            await taken(client, 1)


@pytest.mark.parametrize(
    ("transport", "garbage"),
    [
        ("ndjson", b"no json\n"),
        ("ndjson", b"{}\n"),
        ("sse", b"data: {}\n\n"),
        ("sse", b"event: end\ndata: x\n\n"),
    ],
)
async def test_what_is_no_stream_of_ours_is_an_error_at_once(
    tmp_path: Path, transport: Transport, garbage: bytes
) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.begin_stream()
        peer.write(garbage)
        await peer.gone()

    client = Client(socket=str(tmp_path / "s"), token="t", limits=LIMITS)
    async with serving(tmp_path / "s", serve) as server, client:
        with pytest.raises(AnswerBroken):
            await taken(client, 1, transport=transport)
        assert server.connections == 1


async def test_head_is_asked_once_so_that_nothing_after_it_is_lost(tmp_path: Path) -> None:
    asked: list[str] = []

    async def serve(peer: Peer) -> None:
        line, _ = await peer.request()
        if line.startswith("GET /v1/events?"):
            peer.answer({"items": [], "seq_global": 7})
            line, _ = "", b""
            return
        asked.append(query_of(line)["from"])
        peer.begin_stream()
        if len(asked) > 1:
            peer.write(sse.event_bytes(8, event(8)))
            await peer.gone()

    client = Client(socket=str(tmp_path / "s"), token="t", limits=LIMITS)
    async with serving(tmp_path / "s", serve), client:
        async for envelope in client.events(WORKSPACE, from_="head"):
            assert envelope.seq_global == 8
            break
    assert asked == ["7", "7"]


async def test_leaving_a_stream_hangs_up(tmp_path: Path) -> None:
    hung_up: list[bool] = []

    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.begin_stream()
        peer.write(sse.event_bytes(1, event(1)))
        await peer.gone()
        hung_up.append(True)

    client = Client(socket=str(tmp_path / "s"), token="t", limits=LIMITS)
    async with serving(tmp_path / "s", serve) as server, client:
        stream = client.events(WORKSPACE)
        assert (await anext(stream)).seq_global == 1
        await stream.aclose()
        await server.idle()
    assert hung_up == [True]


def test_filters_travel_in_the_query() -> None:
    from moduprompt.client import Wanted
    from moduprompt.protocol import Subject

    wanted = Wanted(
        workspace_id=WORKSPACE,
        types=("task.*", "run.exited"),
        subject=Subject(kind="task", id="1"),
        project_id="p",
    )

    assert query_of(f"GET {wanted.request(5).target} HTTP/1.1") == {
        "workspace_id": WORKSPACE,
        "from": "5",
        "types": "task.*,run.exited",
        "project_id": "p",
        "subject": "task:1",
    }
