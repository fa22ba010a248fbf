"""A thousand subscribers on one workspace: how long an event takes to all of them, and what an idle one costs.

Three processes on the same machine: the daemon, the crowd that reads, and this one, which writes an event
every tenth of a second.
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from bench.crowd import Crowd, Format, Ready, Seen
from bench.figures import Curve, Figure, Scale, Spent
from bench.served import Served, daemon
from moduprompt.client import Client
from moduprompt.domain.project.commands import RenameProject
from moduprompt.protocol import ProjectId, WorkspaceId

SUBSCRIBERS: Final = 1_000
EVENTS: Final = 100  # of one round: ten seconds
PACE_S: Final = 0.1
ROUNDS: Final = 3
SETTLE_S: Final = 1  # what is freed late is freed
NAMES: Final[dict[Format, str]] = {"sse": "SSE", "ws": "WebSocket"}


class Session:
    """The crowd's process, spoken with line by line."""

    def __init__(self, process: asyncio.subprocess.Process, served: Served) -> None:
        assert process.stdin is not None, "BUG: started with pipes"
        assert process.stdout is not None, "BUG: started with pipes"
        self._in, self._out = process.stdin, process.stdout
        self._served = served

    async def gather(self, format_: Format, *, subscribers: int, events: int) -> None:
        """So many have subscribed when this returns."""
        crowd = Crowd(
            socket=self._served.socket,
            token=self._served.token,
            workspace_id=self._served.workspace_id,
            format=format_,
            subscribers=subscribers,
            events=events,
        )
        self._in.write(msgspec.json.encode(crowd) + b"\n")
        msgspec.json.decode(await self._out.readline(), type=Ready)

    async def seen(self) -> Seen:
        """What they saw, once they have seen it."""
        return msgspec.json.decode(await self._out.readline(), type=Seen)

    async def dismiss(self) -> None:
        """An idle crowd goes home."""
        self._in.write(b"\n")
        msgspec.json.decode(await self._out.readline(), type=Ready)


async def fanout(scale: Scale) -> list[Figure]:
    """Both formats: memory, then latency among many and alone."""
    figures: list[Figure] = []
    for format_ in NAMES:
        async with daemon() as served, _session(served) as session:  # memory first: a heap that is fresh
            figures.append(await _memory(session, served, format_=format_, scale=scale))
            figures.append(await _latency(session, served, format_=format_, scale=scale))
    return figures


@asynccontextmanager
async def _session(served: Served) -> AsyncGenerator[Session]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.crowd"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield Session(process, served)
    finally:
        process.terminate()
        await process.wait()


async def _latency(session: Session, served: Served, *, format_: Format, scale: Scale) -> Figure:
    crowd, events = scale.of(SUBSCRIBERS, quick=20), scale.of(EVENTS, quick=2)
    many: list[Seen] = []
    alone: list[Seen] = []
    for _ in range(scale.of(ROUNDS, quick=1)):
        many.append(await _round(session, served, format_=format_, subscribers=crowd, events=events))
        alone.append(await _round(session, served, format_=format_, subscribers=1, events=events))
    served.begin_profile()
    cpu = _cpu_s(served.pid)
    await _round(session, served, format_=format_, subscribers=crowd, events=events)
    profile: tuple[Spent, ...] = await served.end_profile()
    middle = sorted(many, key=lambda seen: seen.p99_ms)[len(many) // 2]
    steps = [step / 100 for step in range(101)]
    return Figure(
        name=f"{crowd:,} subscribers over {NAMES[format_]} at 10 events/s, 99 of 100",
        unit="ms",
        value=median(seen.p99_ms for seen in many),
        yardstick_name="one subscriber",
        yardstick=median(seen.p99_ms for seen in alone),
        goal="< 50 ms",
        note=f"from the event's timestamp, which is taken before its commit is synced, to its last byte at the"
        f" reader; median {middle.p50_ms:.1f} ms, worst of {len(many)} rounds {max(s.max_ms for s in many):.0f} ms."
        f" The reading process took {100 * middle.cpu_s / middle.wall_s:.0f} % of a core,"
        f" the daemon {100 * (_cpu_s(served.pid) - cpu) / (events * PACE_S):.0f} %",
        profile=profile,
        curve=Curve(
            x="ms from the event's timestamp to its last byte",
            y="share not above",
            lines={
                f"{crowd:,} subscribers": list(zip(middle.took_ms, steps, strict=True)),
                "one": list(zip(alone[0].took_ms, steps, strict=True)),
            },
            is_log_x=True,
        ),
    )


async def _round(session: Session, served: Served, *, format_: Format, subscribers: int, events: int) -> Seen:
    await session.gather(format_, subscribers=subscribers, events=events)
    seeing = asyncio.create_task(session.seen())
    await _write(served, events)
    seen = await seeing
    assert seen.events == subscribers * events, f"{seen.events} events of {subscribers * events} arrived"
    return seen


async def _write(served: Served, events: int) -> None:
    async with Client(token=served.token, socket=served.socket) as client:
        due = time.perf_counter()
        for number in range(events):
            due += PACE_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await client.submit(
                RenameProject(
                    workspace_id=WorkspaceId(served.workspace_id),
                    project_id=ProjectId(served.project_id),
                    name=f"{number} {due}",
                )
            )


async def _memory(session: Session, served: Served, *, format_: Format, scale: Scale) -> Figure:
    count, settle_s = scale.of(SUBSCRIBERS, quick=20), scale.of(SETTLE_S, quick=0)
    await session.gather(format_, subscribers=count // 10, events=0)  # what is loaded once is not theirs
    await session.dismiss()
    await asyncio.sleep(settle_s)
    before = _pss_kb(served.pid)
    await session.gather(format_, subscribers=count, events=0)
    await asyncio.sleep(settle_s)
    each = (_pss_kb(served.pid) - before) / count
    await session.dismiss()
    return Figure(
        name=f"memory of an idle subscriber over {NAMES[format_]}",
        unit="kB",
        value=max(0.0, each),
        goal="< 40 kB",
        note=f"the daemon's PSS with {count:,} of them less its PSS before, divided; the system's socket buffers are not in it",
    )


def _pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("BUG: smaps_rollup has a Pss line")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
