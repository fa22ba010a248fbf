"""Every benchmark by its name, and one of them measured: `python -m bench.benchmarks NAME [--quick]`.

The parent runs each in a process of its own, so that none inherits another's heap or ends the whole
run; the figures go to standard output as JSON.
"""

import asyncio
import gc
import sys
from typing import Final

import msgspec
import uvloop

from bench.batches import batches
from bench.boot import boot, memory
from bench.capture import capture
from bench.commands import commands
from bench.fanout import fanout
from bench.figures import Benchmark, Figure, Scale
from bench.idle import idle
from bench.many_runs import many_runs
from bench.over_socket import over_socket
from bench.peers import peers
from bench.real_agents import real_agents
from bench.replay import replay
from bench.runs import runs
from moduprompt.daemon import COLLECT
from moduprompt.storage.sqlite.worker import SWITCH_S

BENCHMARKS: Final[tuple[tuple[str, Benchmark], ...]] = (
    ("commands", commands),
    ("over_socket", over_socket),
    ("batches", batches),
    ("replay", replay),
    ("boot", boot),
    ("memory", memory),
    ("fanout", fanout),
    ("peers", peers),
    ("runs", runs),
    ("many_runs", many_runs),
    ("capture", capture),
    ("idle", idle),
    ("real_agents", real_agents),
)
LIMIT_S: Final = 1_800  # of one benchmark; one that hangs must not hold up the others


async def measured(name: str, scale: Scale) -> list[Figure]:
    """The figures of one benchmark."""
    async with asyncio.timeout(LIMIT_S):
        return await next(benchmark for known, benchmark in BENCHMARKS if known == name)(scale)


if __name__ == "__main__":
    gc.set_threshold(*COLLECT)  # as in the daemon, for both sides
    sys.setswitchinterval(SWITCH_S)  # as well
    figures = uvloop.run(measured(sys.argv[1], Scale(is_quick="--quick" in sys.argv)))
    sys.stdout.buffer.write(msgspec.json.encode(figures))
