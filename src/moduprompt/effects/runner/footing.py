"""What a run left in its worktree: how the tree stood before the program started, against how it stands now.

How it stood is noted in the run's folder before the start, once, so that any daemon can compare; what was found at the
end is noted there too, so that a report which is made again says the same. Neither needs more care than that: where
the machine loses the files, it has lost the run as well. A tree that can't be read, or was never noted, is no evidence
for anything.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from moduprompt.domain.run.intents import KeepRun
from moduprompt.effects.agents.port import Work
from moduprompt.effects.git.port import GitRefusal, StatusFacts

FOOTING_NAME: Final = "footing"
LEFT_NAME: Final = "left"
NOTHING_SEEN: Final = "unseen"

log = logging.getLogger(__name__)


class Trees(Protocol):
    """Who can look at worktrees."""

    async def status(self, path: str) -> StatusFacts | GitRefusal:
        """How a working tree differs from its head."""
        ...


class Footings:
    """How the worktrees of runs stood when they began."""

    def __init__(self, trees: Trees, *, run_dir: Callable[[str], Path]) -> None:
        self._trees = trees
        self._run_dir = run_dir

    async def note(self, intent: KeepRun) -> None:
        """Before the program starts. What was noted stays, however often the start is tried."""
        path = self._run_dir(intent.run_id) / FOOTING_NAME
        if path.is_file() or (now := await self._now(intent)) is None:
            return
        await asyncio.to_thread(_write, path, f"{now.head or '-'} {now.uncommitted}")

    async def left(self, intent: KeepRun) -> Work | None:
        """What the run left, when it is over; None where nobody can say. The first answer stays."""
        path = self._run_dir(intent.run_id) / LEFT_NAME
        if not path.is_file():
            await asyncio.to_thread(_write, path, await self._difference(intent))
        words = (await asyncio.to_thread(path.read_text, "utf-8")).split()
        if NOTHING_SEEN in words:
            return None
        return Work(has_changes="changes" in words, has_commits="commits" in words)

    async def _difference(self, intent: KeepRun) -> str:
        path = self._run_dir(intent.run_id) / FOOTING_NAME
        if not path.is_file() or (now := await self._now(intent)) is None:
            return NOTHING_SEEN
        head, _, uncommitted = (await asyncio.to_thread(path.read_text, "utf-8")).strip().partition(" ")
        changes = "changes " if not now.is_clean and now.uncommitted != uncommitted else ""
        return changes + ("commits" if now.head is not None and now.head != head else "")

    async def _now(self, intent: KeepRun) -> StatusFacts | None:
        if intent.cwd is None:
            return None
        found = await self._trees.status(intent.cwd)
        if isinstance(found, GitRefusal):
            log.info("worktree.not_seen", extra={"run_id": intent.run_id, "why": found.message})
            return None
        return found


def _write(path: Path, line: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(f"{line}\n", encoding="utf-8")
    beside.replace(path)
