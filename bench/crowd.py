"""A crowd of subscribers in a process of its own: raw sockets and epoll, for what is measured is the daemon.

Reads one `Crowd` a line from standard input and answers each with what it saw, until the input ends.
A subscriber is opened, has read its response, and then only counts: for each event that comes whole, the
time since the event's own timestamp, which was taken before its commit was synced.
"""

import base64
import os
import select
import socket
import sys
import time
from datetime import datetime
from typing import Final, Literal

import msgspec

from bench.figures import quantile

READ_BYTES: Final = 65_536
QUIET_S: Final = 30.0  # without a byte from anybody the crowd gives up and says what it has
STAMP: Final = b'"timestamp":"'
STAMP_BYTES: Final = 27

Format = Literal["sse", "ws"]


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """Who subscribes, and for how many events in all each of them waits."""

    socket: str
    token: str
    workspace_id: str
    format: Format
    subscribers: int
    events: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the crowd saw. Milliseconds from an event's timestamp to its last byte here."""

    events: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    took_ms: list[float]
    cpu_s: float
    wall_s: float


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """All of them have subscribed."""

    subscribers: int


def opened(crowd: Crowd) -> socket.socket:
    """One subscriber, from the head on."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.connect(crowd.socket)
    if crowd.format == "sse":
        made.sendall(_get(crowd, f"/v1/events/stream?workspace_id={crowd.workspace_id}&from=head"))
        assert b" 200 " in _until(made, b"\r\n\r\n"), "the stream was refused"
        return made
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    made.sendall(_get(crowd, "/v1/events/ws", extra=upgrade))
    assert b" 101 " in _until(made, b"\r\n\r\n"), "the socket was refused"
    payload = {"workspace_id": crowd.workspace_id, "from": "head"}
    made.sendall(
        _masked(
            msgspec.json.encode(
                {"request_id": "s", "type": "events.subscribe", "schema_version": 1, "payload": payload}
            )
        )
    )
    assert b"events.subscribe.response" in _until(made, b"}}"), "the subscription was refused"
    return made


def watch(crowd: Crowd, members: list[socket.socket]) -> Seen:
    """Read until everybody has everything, or nobody gets anything any more."""
    poll = select.epoll()
    for member in members:
        member.settimeout(0)
        poll.register(member.fileno(), select.EPOLLIN)
    by_number = {member.fileno(): member for member in members}
    took: list[float] = []
    stamps: dict[bytes, float] = {}
    began, cpu = time.perf_counter(), time.process_time()
    while len(took) < crowd.events * len(members):
        ready = poll.poll(QUIET_S)
        if not ready:
            break
        for number, _ in ready:
            data = by_number[number].recv(READ_BYTES)
            now = time.time()
            at = data.find(STAMP)
            while at >= 0:
                stamp = data[at + len(STAMP) : at + len(STAMP) + STAMP_BYTES]
                if stamp not in stamps:
                    stamps[stamp] = datetime.fromisoformat(stamp.decode()).timestamp()
                took.append(1_000 * (now - stamps[stamp]))
                at = data.find(STAMP, at + STAMP_BYTES)
            assert data, "the daemon hung up"
    poll.close()
    spent = time.process_time() - cpu
    return Seen(
        events=len(took),
        p50_ms=quantile(took, 0.5),
        p99_ms=quantile(took, 0.99),
        max_ms=max(took),
        took_ms=[quantile(took, step / 100) for step in range(101)],
        cpu_s=spent,
        wall_s=time.perf_counter() - began,
    )


def _get(crowd: Crowd, target: str, *, extra: str = "") -> bytes:
    return (
        f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {crowd.token}\r\n{extra}\r\n"
    ).encode()


def _until(member: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        more = member.recv(READ_BYTES)
        assert more, f"the daemon hung up after {data!r}"
        data += more
    return data


def _masked(text: bytes) -> bytes:
    """A text frame of a client (RFC 6455, section 5.2); a mask of zeros leaves the payload as it is."""
    assert 126 <= len(text) < 65_536, "BUG: the frame has another form of length"
    return b"\x81\xfe" + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text


def main() -> None:
    """One crowd a line; the sockets of each are closed before the next."""
    for line in sys.stdin.buffer:
        crowd = msgspec.json.decode(line, type=Crowd)
        members = [opened(crowd) for _ in range(crowd.subscribers)]
        _say(Ready(subscribers=len(members)))
        if crowd.events:
            _say(watch(crowd, members))
        else:
            sys.stdin.buffer.readline()  # idle until the next line
            _say(Ready(subscribers=0))
        for member in members:
            member.close()


def _say(said: msgspec.Struct) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
