"""What a kept run costs: the time to its first byte over the bare program, and its keeper's memory."""

import asyncio
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.figures import Figure, Scale
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.port import Gone, Kept, LaunchSpec, Unreachable
from moduprompt.kernel.clock import SystemMint

STARTS = 15
KEEPERS = 10


async def runs(scale: Scale) -> list[Figure]:
    """Both, with a program that prints one byte and waits."""
    starts, keepers = scale.of(STARTS, quick=2), scale.of(KEEPERS, quick=2)
    with TemporaryDirectory(prefix="mp-bench-") as folder:
        backend = LocalBackend(Path(folder) / "runs")
        kept = median([await _first_byte(backend) for _ in range(starts)])
        bare = median([await _bare() for _ in range(starts)])
        pss = await _keepers_pss_kb(backend, keepers)
    return [
        Figure(
            name="start of a run to its first byte, over the bare program",
            unit="ms",
            value=1_000 * (kept - bare),
            goal="< 150 ms",
        ),
        Figure(name="memory of a keeper (PSS)", unit="MB", value=pss / 1_000, goal="<= 8 MB"),
    ]


def _spec(program: tuple[str, ...]) -> LaunchSpec:
    run_id = SystemMint(b"bench").new_id()
    return LaunchSpec(run_id=run_id, argv=program, cwd="/", env={"PATH": "/usr/bin:/bin"})


async def _first_byte(backend: LocalBackend) -> float:
    spec = _spec(("/bin/echo", "x"))
    began = time.perf_counter()
    started = await backend.start(spec)
    assert isinstance(started, Kept), f"BUG: {started}"
    link = await backend.dial(spec.run_id)
    assert not isinstance(link, Gone | Unreachable), f"BUG: {link}"
    async with link:
        async for _ in link.output(0):
            break
        took = time.perf_counter() - began
        async for entry in link.entries():
            await link.ack(entry.number)
            if type(entry.report).__name__ == "Exited":
                break
    return took


async def kept_to_its_end(backend: LocalBackend, program: tuple[str, ...]) -> LaunchSpec:
    """A run from its start to its end, with nobody who watches."""
    spec = _spec(program)
    started = await backend.start(spec)
    assert isinstance(started, Kept), f"BUG: {started}"
    link = await backend.dial(spec.run_id)
    assert not isinstance(link, Gone | Unreachable), f"BUG: {link}"
    async with link:
        async for entry in link.entries():
            await link.ack(entry.number)
            if type(entry.report).__name__ == "Exited":
                break
    return spec


async def _bare() -> float:
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec("/bin/echo", "x", stdout=asyncio.subprocess.PIPE)
    await process.communicate()
    return time.perf_counter() - began


async def _keepers_pss_kb(backend: LocalBackend, count: int) -> float:
    specs = [_spec(("/bin/sleep", "60")) for _ in range(count)]
    for spec in specs:
        await backend.start(spec)
    sizes: list[int] = []
    for spec in specs:
        link = await backend.dial(spec.run_id)
        assert not isinstance(link, Gone | Unreachable), f"BUG: {link}"
        async with link:
            sizes.append(_pss_kb(link.welcome.keeper_pid))
            await link.stop(reason="measured")
            async for entry in link.entries():
                await link.ack(entry.number)
                if type(entry.report).__name__ == "Exited":
                    break
    return median(sizes)


def _pss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("BUG: smaps_rollup has a Pss line")
