"""Keepers whose runs' ends the log knows are let go of."""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Final

from moduprompt.effects.runner import port
from moduprompt.keeper.keeper import SOCKET_NAME
from moduprompt.protocol import RunId

FREED_AT_ONCE: Final = 32  # keepers that are let go: each that does not answer takes its seconds


async def free_keepers(backend: port.Backend, ended: Iterable[RunId]) -> tuple[RunId, ...]:
    """Let go of keepers whose runs' ends are known: a daemon that died between knowing and
    acknowledging left them waiting. Gives whose were freed. One that does not answer holds up few others."""
    at_once = asyncio.Semaphore(FREED_AT_ONCE)

    async def freed(run_id: RunId) -> bool:
        async with at_once:
            return await _is_freed(backend, run_id)

    asked = tuple(run_id for run_id in ended if (backend.run_dir(run_id) / SOCKET_NAME).is_socket())
    are_freed = await asyncio.gather(*map(freed, asked))
    return tuple(run_id for run_id, is_freed in zip(asked, are_freed, strict=True) if is_freed)


async def _is_freed(backend: port.Backend, run_id: RunId) -> bool:
    found = await backend.dial(run_id)
    if isinstance(found, port.Gone | port.Unreachable):
        return False
    async with found as link:
        with contextlib.suppress(port.LinkClosedError):
            if link.welcome.state in ("exited", "start_failed"):
                await link.ack(link.welcome.journal_last)
                return True
    return False
