"""One program to its end: nothing to read, a session of its own, a time limit, bounded output.

For programs that answer a question of ours (git, a version) and are gone. What agents run in is the
keeper's business. Where its time is up or the caller is cancelled, it is ended with its whole group.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from typing import Final

import msgspec

CHUNK_BYTES: Final = 64 * 1024
STDERR_BYTES_MAX: Final = 64 * 1024  # programs complain in sentences


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended. `code` is negative where a signal ended it; `is_cut`: stdout had more than was asked for."""

    code: int
    stdout: bytes
    stderr: bytes
    is_cut: bool = False


async def execute(
    argv: tuple[str, ...],
    *,
    env: Mapping[str, str],
    within_s: float,
    stdout_bytes_max: int,
    cwd: str | None = None,
    grace_s: float = 0.0,
) -> Executed:
    """Run it. `grace_s`: how long after SIGTERM its group is killed, once its time is up.

    Raises FileNotFoundError and PermissionError where it can't be started, ValueError for an argument that
    no program can take, TimeoutError.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,  # no terminal to ask on, and a group to end
    )
    try:
        async with asyncio.timeout(within_s):
            return await _collect(process, stdout_bytes_max=stdout_bytes_max)
    finally:
        await _end(process, grace_s=grace_s)


async def _collect(process: asyncio.subprocess.Process, *, stdout_bytes_max: int) -> Executed:
    assert process.stdout is not None, "BUG: it was started without its output"
    assert process.stderr is not None, "BUG: it was started without its errors"
    async with asyncio.TaskGroup() as readers:
        out = readers.create_task(_read(process.stdout, bytes_max=stdout_bytes_max + 1))
        err = readers.create_task(_read(process.stderr, bytes_max=STDERR_BYTES_MAX))
    code = await process.wait()
    stdout = out.result()
    is_cut = len(stdout) > stdout_bytes_max
    return Executed(code=code, stdout=stdout[:stdout_bytes_max], stderr=err.result(), is_cut=is_cut)


async def _read(stream: asyncio.StreamReader, *, bytes_max: int) -> bytes:
    """Keep the first `bytes_max` bytes and drop the rest, so that the program is never blocked on us."""
    kept = bytearray()
    while chunk := await stream.read(CHUNK_BYTES):
        kept += chunk[: bytes_max - len(kept)]
    return bytes(kept)


async def _end(process: asyncio.subprocess.Process, *, grace_s: float) -> None:
    """End it where it still runs, and whatever it started."""
    if process.returncode is not None:
        return
    if grace_s:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_s)
    _signal_group(process, signal.SIGKILL)
    await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
