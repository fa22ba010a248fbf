"""Runs for tests: small programs, and what a daemon would do with their keepers."""

import os
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from moduprompt.effects.runner import port
from moduprompt.effects.runner.local import LocalBackend
from tests.support.deadline import eventually_async

AUTHOR = port.Author(kind="user", id="somebody")
PATH = os.environ["PATH"]
QUICK_GRACES = port.StopGraces(interrupt=0.2, terminate=0.2, kill=5.0)


def a_run(*argv: str, **changes: object) -> port.LaunchSpec:
    """A run of this program that stops quickly."""
    fields: dict[str, object] = {
        "run_id": str(uuid4()),
        "argv": argv,
        "cwd": tempfile.gettempdir(),
        "env": {"PATH": PATH},
        "stop_graces_s": QUICK_GRACES,
        **changes,
    }
    return port.LaunchSpec(**fields)  # pyright: ignore[reportArgumentType] - tests change any field


def python(code: str) -> tuple[str, ...]:
    """The argv of a Python program."""
    return sys.executable, "-I", "-S", "-c", code


def shell(code: str) -> tuple[str, ...]:
    """The argv of a shell program."""
    return "/bin/sh", "-c", code


async def dialled(backend: port.Backend, run_id: str) -> port.RunLink:
    """A link to a keeper that must be there."""
    link = await backend.dial(run_id)
    assert not isinstance(link, (port.Unreachable, port.Gone)), link
    return link


@asynccontextmanager
async def running(backend: port.Backend, spec: port.LaunchSpec) -> AsyncGenerator[port.RunLink]:
    """A started run and a link to it. Afterwards the run is stopped and its keeper freed."""
    assert await backend.start(spec) == port.Kept(run_id=spec.run_id)
    try:
        async with await dialled(backend, spec.run_id) as link:
            yield link
    finally:
        await finish(backend, spec.run_id)


async def finish(backend: port.Backend, run_id: str) -> port.Gone:
    """Stop a run, acknowledge all of it, and wait until its keeper is gone."""
    link = await backend.dial(run_id)
    if not isinstance(link, (port.Unreachable, port.Gone)):
        async with link:
            await link.stop(reason="the test is over")
            await end_of(link)
    return await gone(backend, run_id)


async def end_of(link: port.RunLink) -> port.Exited | port.StartFailed:
    """The run's last report, acknowledged."""
    async for entry in link.entries():
        if isinstance(entry.report, (port.Exited, port.StartFailed)):
            await link.ack(entry.number)
            return entry.report
    raise AssertionError("the reports ended without an end")


async def exited(link: port.RunLink) -> port.Exited:
    """The report of a program that did start."""
    report = await end_of(link)
    assert isinstance(report, port.Exited), report
    return report


async def gone(backend: port.Backend, run_id: str) -> port.Gone:
    """What a dead keeper left."""
    found: list[port.Gone] = []

    async def is_gone() -> bool:
        verdict = await backend.dial(run_id)
        if isinstance(verdict, port.Gone):
            found.append(verdict)
        elif not isinstance(verdict, port.Unreachable):
            await verdict.close()
        return bool(found)

    await eventually_async(is_gone)
    return found[0]


async def all_output(link: port.RunLink, *, start: int = 0) -> bytes:
    """Every byte until the run has ended."""
    return b"".join([chunk.data async for chunk in link.output(start)])


async def output_until(link: port.RunLink, wanted: bytes, *, times: int = 1) -> bytes:
    """The output up to where it holds these bytes so many times."""
    seen = b""
    async for chunk in link.output():
        seen += chunk.data
        if seen.count(wanted) >= times:
            return seen
    raise AssertionError(f"the output ended without {wanted!r}: {seen!r}")


async def is_waiting(link: port.RunLink) -> bool:
    """Whether the program waits for a line from its terminal."""
    status = await link.status()
    return status.waiting_on_tty and status.canonical


def local_backend(tmp_path: Path) -> LocalBackend:
    """A backend with a directory of its own."""
    return LocalBackend(tmp_path / "runs")
