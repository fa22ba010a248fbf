"""What the demo's programs ask before they use a tool: allowed as the owner, where that was wished; else a person is told.

Each question is dealt with once. Nobody is answered no: whoever wants that says so by `mpctl approval deny`.
"""

from collections.abc import Awaitable, Callable, Sequence

from moduprompt.cli.demo.follower import Follower
from moduprompt.cli.faults import CallFailed
from moduprompt.domain.approval.view import WAITING, ApprovalItem
from moduprompt.domain.session.view import SessionItem

Say = Callable[[Sequence[str]], Awaitable[None]]


class Permissions:
    """Of one demo. `allows`: the owner has said yes to all of it beforehand. `tell`: a line for a person."""

    def __init__(self, follower: Follower, *, allows: bool, say: Say, tell: Callable[[str], None]) -> None:
        self._follower = follower
        self._allows = allows
        self._say = say
        self._tell = tell
        self._dealt_with: set[str] = set()

    async def attend(self) -> None:
        """Deal with each as it comes, for ever."""
        while True:
            asked = await self._follower.until(self._next)
            self._dealt_with.add(asked.id)
            if not self._allows:
                self._call_for_a_person(asked)
                continue
            try:
                await self._say(("approval", "grant", asked.id, "--reason", "allowed to the demo"))
            except CallFailed:  # its program has taken it back, or a person was faster; else it still waits
                self._call_for_a_person(asked)

    def _next(self) -> ApprovalItem | None:
        waiting = (each for each in self._follower.every(ApprovalItem) if each.status == WAITING)
        return next((each for each in waiting if each.run_id and each.id not in self._dealt_with), None)

    def _call_for_a_person(self, asked: ApprovalItem) -> None:
        session = self._follower.find(SessionItem, asked.session_id or "")
        name = session.name if session else "an agent"
        self._tell(f"{name} waits for a person: mpctl approval show {asked.id}, then grant or deny it")
