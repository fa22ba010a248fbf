"""One command a request over the Unix socket, against the same HTTP stack answering with no work.

The load comes from another process, so that the client's cost is not the server's; it
has the other core, as a real client would.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from bench.figures import Figure, Scale, Spent, in_turns
from bench.load import Load, Told
from bench.served import Served, daemon, until_there

CLIENTS = 64
EACH = 60


async def over_socket(scale: Scale) -> list[Figure]:
    """Sixty-four clients at once, and one at a time for the latency."""
    each = scale.of(EACH, quick=2)
    async with daemon() as served, _noop(each) as noop:
        load = load_of(served, each=each)
        ours, theirs = await in_turns(lambda: _rate(load), lambda: _rate(noop), rounds=scale.rounds)
        calm = msgspec.structs.replace(load, clients=8, each=scale.of(100, quick=5), per_s=ours / 5)
        told = await loaded(calm)
        profile = await profiled_under(load, served)
    return [
        Figure(
            name=f"{CLIENTS} clients over the socket, one command a request",
            unit="requests/s",
            value=ours,
            yardstick_name="the same HTTP stack answering with no work",
            yardstick=theirs,
            goal="ratio >= 0.4",
            profile=profile,
        ),
        Figure(name="latency at a fifth of that, median", unit="ms", value=told.p50_ms, goal="< 3 ms"),
        Figure(name="latency at a fifth of that, 99 of 100", unit="ms", value=told.p99_ms, goal="< 15 ms"),
    ]


async def profiled_under(load: Load, served: Served) -> tuple[Spent, ...]:
    """Where the daemon's time goes in one more round."""
    served.begin_profile()
    await loaded(load)
    return await served.end_profile()


async def _rate(load: Load) -> float:
    return (await loaded(load)).per_s


async def loaded(load: Load) -> Told:
    """What a process that sends this load saw."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate(msgspec.json.encode(load))
    return msgspec.json.decode(said, type=Told)


def load_of(served: Served, *, each: int) -> Load:
    """One command a request, from many clients, on the one project of a daemon."""
    return Load(
        socket=served.socket,
        token=served.token,
        workspace_id=served.workspace_id,
        project_id=served.project_id,
        clients=CLIENTS,
        each=each,
    )


@asynccontextmanager
async def _noop(each: int) -> AsyncGenerator[Load]:
    with TemporaryDirectory(prefix="mp-bench-") as folder:
        socket = Path(folder) / "noop.sock"
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.noop", str(socket))
        try:
            await until_there(socket)
            yield Load(
                socket=str(socket), token="", workspace_id="w", project_id="p", clients=CLIENTS, each=each
            )
        finally:
            process.terminate()
            await process.wait()
