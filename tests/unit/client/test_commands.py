"""A command is carried out once, however often it has to travel."""

from pathlib import Path

import msgspec
import pytest

from moduprompt.client import (
    AnswerBroken,
    Client,
    CommandRefused,
    Endpoint,
    Limits,
    Loss,
    RequestRefused,
    Unreachable,
    first_event,
    to_envelope,
)
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.workspace.events import WorkspaceCreated
from moduprompt.protocol import Accepted, Code, RefusedAnswer, WorkspaceId
from tests.support.http_server import Peer, serving

WORKSPACE = WorkspaceId("01a20428-cfd0-743f-9909-410f8878ec57")
COMMAND_ID = "01a20428-cfd0-743f-9909-410f8878ec58"
ORDER = CreateProject(workspace_id=WORKSPACE, name="core")
ACCEPTED: dict[str, object] = {"accepted": True, "command_id": COMMAND_ID, "trace_id": "t", "seq_global": 3}
QUICK = Limits(connect_s=1.0, answer_s=1.0, silence_s=1.0, patience_s=3.0)


class Envelope(msgspec.Struct):
    type: str
    schema_version: int
    payload: msgspec.Raw
    idempotency_key: str
    trace_id: str
    expected_version: int | None = None


def refused(code: str) -> dict[str, object]:
    rejection = {"code": code, "message": "no"}
    return {
        "accepted": False,
        "command_id": COMMAND_ID,
        "trace_id": "t9",
        "rejection": rejection,
        "events": [],
    }


async def test_a_command_travels_as_an_envelope_with_a_key_and_a_trace(tmp_path: Path) -> None:
    seen: list[Envelope] = []

    async def serve(peer: Peer) -> None:
        line, body = await peer.request()
        assert line == "POST /v1/commands/submit HTTP/1.1"
        seen.append(msgspec.json.decode(body, type=Envelope))
        peer.answer(ACCEPTED)
        await peer.gone()

    async with serving(tmp_path / "s", serve), Client(socket=str(tmp_path / "s"), token="t") as client:
        assert (await client.submit(ORDER, expected_version=0, trace_id="mine")).seq_global == 3
    assert (seen[0].type, seen[0].schema_version, seen[0].trace_id) == ("project.create", 1, "mine")
    assert seen[0].expected_version == 0
    assert msgspec.json.decode(seen[0].payload, type=CreateProject) == ORDER
    assert seen[0].idempotency_key


@pytest.mark.parametrize("failure", ["cut", "cut in the answer", "unavailable", "unavailable answer"])
async def test_a_lost_or_unavailable_command_is_sent_again_with_the_same_key(
    tmp_path: Path, failure: str
) -> None:
    keys: list[str] = []

    async def serve(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            keys.append(msgspec.json.decode(body, type=Envelope).idempotency_key)
            if len(keys) > 1:
                peer.answer(ACCEPTED)
            elif failure == "unavailable":
                peer.answer(
                    {"code": "unavailable", "message": "full"}, status=503, headers="Retry-After: 1\r\n"
                )
            elif failure == "unavailable answer":
                peer.answer(refused("unavailable"), status=503)
            else:
                peer.write(b"" if failure == "cut" else b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
                return

    client = Client(socket=str(tmp_path / "s"), token="t", limits=QUICK)
    async with serving(tmp_path / "s", serve), client:
        assert (await client.submit(ORDER)).accepted
    assert len(keys) == 2
    assert keys[0] == keys[1]


async def test_a_refusal_is_no_reason_to_send_again(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.answer(refused("validation_failed"), status=422)
        await peer.gone()

    client = Client(socket=str(tmp_path / "s"), token="t", limits=QUICK)
    async with serving(tmp_path / "s", serve) as server, client:
        with pytest.raises(CommandRefused) as caught:
            await client.submit(ORDER)
        assert caught.value.code is Code.VALIDATION_FAILED
        assert caught.value.to_error().trace_id == "t9"
        assert server.connections == 1


async def test_what_was_no_command_is_a_refused_request(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.answer({"code": "unauthorized", "message": "no token"}, status=401)
        await peer.gone()

    async with serving(tmp_path / "s", serve), Client(socket=str(tmp_path / "s"), token="t") as client:
        with pytest.raises(RequestRefused) as caught:
            await client.submit(ORDER)
        assert caught.value.code is Code.UNAUTHORIZED


async def test_patience_has_an_end(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.answer({"code": "unavailable", "message": "full"}, status=503, headers="Retry-After: 1\r\n")

    limits = Limits(patience_s=0.2)
    async with (
        serving(tmp_path / "s", serve),
        Client(socket=str(tmp_path / "s"), token="t", limits=limits) as client,
    ):
        with pytest.raises(RequestRefused) as caught:
            await client.submit(ORDER)
        assert caught.value.code is Code.UNAVAILABLE
    async with Client(socket=str(tmp_path / "s"), token="t", limits=limits) as client:
        with pytest.raises(Unreachable):
            await client.submit(ORDER)


async def test_after_a_loss_the_hook_says_where_to_go_on(tmp_path: Path) -> None:
    losses: list[Loss] = []

    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.answer(ACCEPTED)
        await peer.gone()

    async def again(loss: Loss) -> Endpoint | None:
        losses.append(loss)
        return Endpoint(socket=str(tmp_path / "new"), token="u") if len(losses) > 1 else None

    client = Client(socket=str(tmp_path / "old"), token="t", reconnect=again, limits=QUICK)
    async with serving(tmp_path / "new", serve), client:
        assert (await client.submit(ORDER)).accepted
    assert losses == ["cut", "cut"]


@pytest.mark.parametrize("tokens", [["new"], ["old", "new"]])
async def test_a_daemon_in_the_place_of_another_is_asked_with_its_own_token(
    tmp_path: Path, tokens: list[str]
) -> None:
    losses: list[Loss] = []

    async def serve(peer: Peer) -> None:
        if "Bearer new" in await peer.head():
            peer.answer(ACCEPTED)
        else:
            peer.answer(refused("unauthorized"), status=401)
        await peer.gone()

    async def again(loss: Loss) -> Endpoint | None:
        losses.append(loss)
        return Endpoint(socket=str(tmp_path / "s"), token=tokens[min(len(losses), len(tokens)) - 1])

    client = Client(socket=str(tmp_path / "s"), token="old", reconnect=again, limits=QUICK)
    async with serving(tmp_path / "s", serve), client:
        if tokens == ["new"]:
            assert (await client.submit(ORDER)).accepted
        else:  # it is the one we knew, and it refuses us: that is an answer
            with pytest.raises(CommandRefused):
                await client.submit(ORDER)
    assert losses == ["replaced"]


async def test_raw_bytes_are_sent_once_and_a_refusal_is_an_answer(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    async def serve(peer: Peer) -> None:
        _, body = await peer.request()
        bodies.append(body)
        if body == b"{}":
            peer.answer(refused("invalid_schema"), status=400)
            await peer.gone()

    client = Client(socket=str(tmp_path / "s"), token="t", limits=QUICK)
    async with serving(tmp_path / "s", serve), client:
        answer = await client.submit_raw(b"{}")
        assert isinstance(answer, RefusedAnswer)
        with pytest.raises(Unreachable):
            await client.submit_raw(b"cut")
    assert bodies == [b"{}", b"cut"]


async def test_the_answers_of_a_batch_keep_its_order(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        _, body = await peer.request()
        assert len(msgspec.json.decode(body, type=dict[str, list[Envelope]])["commands"]) == 2
        peer.answer({"answers": [refused("validation_failed"), ACCEPTED]})
        await peer.gone()

    async with serving(tmp_path / "s", serve), Client(socket=str(tmp_path / "s"), token="t") as client:
        first, second = await client.batch([to_envelope(ORDER), to_envelope(ORDER)])
    assert isinstance(first, RefusedAnswer)
    assert isinstance(second, Accepted)


def test_an_answer_without_the_event_asked_for_is_broken() -> None:
    answer = msgspec.convert(ACCEPTED, type=Accepted)

    with pytest.raises(AnswerBroken, match=r"workspace\.created"):
        first_event(answer, WorkspaceCreated)
