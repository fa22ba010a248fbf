"""A bounded load in a process of its own: so many clients, so many requests each, then it ends.

Reads a `Load` from standard input and prints what it saw. It writes HTTP by hand, since
what is measured is the server.
"""

import asyncio
import sys
import time
import uuid

import msgspec
import uvloop

from bench.figures import quantile


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. `per_s` is a pace for all clients together; None is as fast as it goes.

    A client sends `each` requests, of one command or of a batch of so many.
    """

    socket: str
    token: str
    workspace_id: str
    project_id: str
    clients: int
    each: int
    batch: int = 1
    per_s: float | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen, of requests."""

    per_s: float
    p50_ms: float
    p99_ms: float


async def _client(load: Load, number: int) -> list[float]:
    reader, writer = await asyncio.open_unix_connection(load.socket)
    bodies = [_request(load, f"{number}-{turn}") for turn in range(load.each)]
    pause = 0.0 if load.per_s is None else load.clients / load.per_s
    due = time.perf_counter() + pause * number / load.clients
    took: list[float] = []
    for body in bodies:
        if pause:
            due += pause
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        writer.write(body)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        took.append(time.perf_counter() - began)
    writer.close()
    return took


def _request(load: Load, name: str) -> bytes:
    commands = [_command(load, f"{name}-{place}") for place in range(load.batch)]
    route, body = ("submit", commands[0]) if load.batch == 1 else ("batch", {"commands": commands})
    data = msgspec.json.encode(body)
    head = (
        f"POST /v1/commands/{route} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {load.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def _command(load: Load, name: str) -> dict[str, object]:
    return {
        "type": "project.rename",
        "schema_version": 1,
        "payload": {"workspace_id": load.workspace_id, "project_id": load.project_id, "name": name},
        "idempotency_key": str(uuid.uuid4()),
        "trace_id": "bench",
    }


async def _all(load: Load) -> Told:
    began = time.perf_counter()
    took = await asyncio.gather(*(_client(load, number) for number in range(load.clients)))
    flat = [1_000 * each for client in took for each in client]
    spent = time.perf_counter() - began
    return Told(per_s=len(flat) / spent, p50_ms=quantile(flat, 0.5), p99_ms=quantile(flat, 0.99))


if __name__ == "__main__":
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_all(wanted))))
