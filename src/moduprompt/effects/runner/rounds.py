"""When a worktree is worth a look: a program has done once more what it had done already.

A look costs a call of git, and almost every call of a tool is a new one. So only a call that names files, that worked,
and that was made before with the same arguments is followed by one; the kernel decides what it means that a tree stands
again as it stood (`domain/run/progress.py`).
"""

from collections.abc import Iterable
from typing import Protocol

from moduprompt.domain.run.progress import CIRCLE_CALLS_MAX, OPEN_CALLS_MAX
from moduprompt.domain.run.said import ToolCalled, ToolEnded
from moduprompt.effects.agents.port import Heard


class Contents(Protocol):
    """Who can say what stands in a working tree."""

    async def contents(self, path: str) -> str | None:
        """A digest of its head and all that is not committed, by bytes; None where nobody can say."""
        ...


class Rounds:
    """The last calls of one run, as far as it has been heard."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[str, str] | None] = {}
        self._made: list[tuple[str, str]] = []

    def is_worth_a_look(self, heard: Iterable[Heard]) -> bool:
        """Whether any of these was made before."""
        repeated = [each for each in heard if self._is_repeated(each)]  # each of them is taken in
        return bool(repeated)

    def _is_repeated(self, heard: Heard) -> bool:
        if isinstance(heard, ToolCalled):
            self._open[heard.call_id] = (heard.tool, heard.arguments_digest) if heard.paths else None
            if len(self._open) > OPEN_CALLS_MAX:
                del self._open[next(iter(self._open))]
        if not isinstance(heard, ToolEnded) or heard.how != "done":
            return False
        call = self._open.pop(heard.call_id, None)
        if call is None:
            return False
        is_repeated = call in self._made
        if not is_repeated:
            self._made = [*self._made, call][-CIRCLE_CALLS_MAX:]
        return is_repeated
