"""One request and its answer, over connections that do their worst."""

import asyncio
from pathlib import Path

import pytest

from moduprompt.client import AnswerBroken, Client, Limits, RequestRefused, Unreachable
from moduprompt.protocol import Code
from tests.support.http_server import Peer, Serve, serving, serving_tcp

QUICK = Limits(connect_s=1.0, answer_s=0.3, silence_s=0.3, patience_s=0.5)
PING = {"status": "ok", "version": "1", "timestamp": "2026-11-22T00:00:00.000000Z"}


def client_at(path: Path, *, token: str = "t") -> Client:
    return Client(socket=str(path), token=token, limits=QUICK)


async def test_a_request_carries_the_token_and_reads_a_typed_answer(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        head = await peer.head()
        assert head.startswith("GET /v1/daemon/ping HTTP/1.1\r\n")
        assert "Authorization: Bearer secret\r\n" in head
        peer.answer(PING)
        await peer.gone()

    async with serving(tmp_path / "s", serve), client_at(tmp_path / "s", token="secret") as client:
        assert (await client.ping()).version == "1"


async def test_one_connection_serves_one_request_after_another(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.answer(PING)

    async with serving(tmp_path / "s", serve) as server, client_at(tmp_path / "s") as client:
        for _ in range(5):
            await client.ping()
        assert server.connections == 1


async def test_a_kept_connection_that_was_closed_meanwhile_costs_nothing(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.answer(PING)

    async with serving(tmp_path / "s", serve) as server, client_at(tmp_path / "s") as client:
        for _ in range(3):
            await client.ping()
        assert server.connections == 3


async def test_an_answer_in_the_smallest_pieces_is_put_together(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        body = b'{"status":"ok","version":"1","timestamp":"x"}'
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
            len(body),
            body,
        ):
            peer.write(bytes([byte]))
            await asyncio.get_running_loop().run_in_executor(None, int)
        await peer.gone()

    async with serving(tmp_path / "s", serve), client_at(tmp_path / "s") as client:
        assert (await client.ping()).timestamp == "x"


async def test_informational_answers_are_passed_over(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        peer.answer(PING)
        await peer.gone()

    async with serving(tmp_path / "s", serve), client_at(tmp_path / "s") as client:
        assert (await client.ping()).status == "ok"


def cut(data: bytes) -> Serve:
    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.write(data)

    return serve


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Unreachable),
        (b"HTTP/1.1 200 O", Unreachable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Unreachable),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc", Unreachable),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull", AnswerBroken),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe", AnswerBroken),
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n<p", RequestRefused),
        (b"HTTP/1.1 204 No\r\n\r\n", RequestRefused),
    ],
)
async def test_what_is_no_answer_is_an_error_of_its_kind(
    tmp_path: Path, data: bytes, expected: type[Exception]
) -> None:
    async with serving(tmp_path / "s", cut(data)), client_at(tmp_path / "s") as client:
        with pytest.raises(expected):
            await client.ping()


async def test_a_daemon_that_says_nothing_is_unreachable_after_the_limit(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.gone()

    async with serving(tmp_path / "s", serve), client_at(tmp_path / "s") as client:
        with pytest.raises(Unreachable, match="said nothing"):
            await client.ping()


async def test_no_socket_is_unreachable_and_names_the_place(tmp_path: Path) -> None:
    async with client_at(tmp_path / "nobody") as client:
        with pytest.raises(Unreachable, match="nobody"):
            await client.ping()


async def test_an_answer_before_the_whole_body_was_taken_is_seen(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.head()
        peer.answer(
            {"code": "invalid_schema", "message": "too large"}, status=400, headers="Connection: close\r\n"
        )
        await peer.gone()

    async with serving(tmp_path / "s", serve), client_at(tmp_path / "s") as client:
        with pytest.raises(RequestRefused) as caught:
            await client.submit_raw(b"x" * 20_000_000)
        assert caught.value.code is Code.INVALID_SCHEMA


async def test_a_refusal_keeps_its_hint_and_trace(tmp_path: Path) -> None:
    error = {"code": "not_found", "message": "no run", "hint": "mpctl run list", "trace_id": "t1"}

    async def serve(peer: Peer) -> None:
        await peer.request()
        peer.answer(error, status=404)
        await peer.gone()

    async with serving(tmp_path / "s", serve), client_at(tmp_path / "s") as client:
        with pytest.raises(RequestRefused) as caught:
            await client.read("/v1/runs/x")
        assert caught.value.error.hint == "mpctl run list"
        assert caught.value.error.trace_id == "t1"


async def test_a_token_that_can_not_stand_in_a_header_is_refused_before_it_travels(tmp_path: Path) -> None:
    async def serve(peer: Peer) -> None:
        await peer.gone()

    async with serving(tmp_path / "s", serve), client_at(tmp_path / "s", token="a\r\nX: y") as client:
        with pytest.raises(AnswerBroken):
            await client.ping()


@pytest.mark.parametrize("form", ["{}", "http://{}"])
async def test_a_tcp_address_is_spoken_to_by_its_name(form: str) -> None:
    heads: list[str] = []

    async def serve(peer: Peer) -> None:
        heads.append(await peer.head())
        peer.answer(PING)
        await peer.gone()

    async with serving_tcp(serve) as addr:
        async with Client(addr=form.format(addr), token="t", limits=QUICK) as client:
            assert (await client.ping()).status == "ok"
        assert f"\r\nHost: {addr}\r\n" in heads[0]


@pytest.mark.parametrize("addr", ["nowhere", "127.0.0.1:port", "127.0.0.1:99999999", ""])
async def test_an_address_that_is_none_is_unreachable(addr: str) -> None:
    async with Client(addr=addr, token="t", limits=QUICK) as client:
        with pytest.raises(Unreachable):
            await client.ping()


def test_a_client_has_one_place_to_go() -> None:
    with pytest.raises(ValueError, match="one of the two"):
        Client(token="t")
    with pytest.raises(ValueError, match="one of the two"):
        Client(token="t", socket="/s", addr="127.0.0.1:1")
