"""Gives a session a status capsule when a run of it has ended and its agent wrote none.

It says what is known: how the run ended or on what evidence it is lost, what its adapter made of that, and what
lies in its worktree. The agent's own word always stands: the kernel leaves a capsule alone that somebody wrote.
"""

import logging
from typing import Final, Protocol

from moduprompt.domain.capsule.commands import CHARS_MAX, ReportMade
from moduprompt.domain.run.intents import KeepRun
from moduprompt.effects.agents.port import Verdict
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.git.port import GitRefusal, StatusFacts
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.protocol import Refused
from moduprompt.storage.port import StorageFailed

ORIGIN: Final = "Made from what is known; the agent has written no account of its own."
HEAD_CHARS: Final = 12  # of a commit: enough to find it in any repository

log = logging.getLogger(__name__)


class Places(Protocol):
    """Looks into worktrees."""

    async def status(self, path: str) -> StatusFacts | GitRefusal:
        """How a working tree differs from its head. Changes nothing."""
        ...


class Accountant:
    """Tells what is known of a run that has ended."""

    def __init__(
        self,
        reporter: Reporter,
        *,
        artifacts: FolderArtifacts,
        places: Places,
        chars_max: int = CHARS_MAX["status"],
    ) -> None:
        self._reporter = reporter
        self._artifacts = artifacts
        self._places = places
        self._chars_max = chars_max

    async def tell(self, intent: KeepRun, exited: port.Exited, verdict: Verdict | None) -> None:
        """Of one whose end is known. Never in the way of it: what can't be told is logged."""
        await self._tell(intent, _ending(exited), verdict)

    async def tell_lost(self, intent: KeepRun, evidence: str) -> None:
        """Of one of which nobody knows how it ended: what it left is all the more worth knowing."""
        await self._tell(intent, f"was lost ({evidence}): nobody knows how far it came", None)

    async def _tell(self, intent: KeepRun, ending: str, verdict: Verdict | None) -> None:
        seen = await self._places.status(intent.cwd) if intent.cwd else None
        text = account_of(intent.adapter, ending, verdict, place=seen)[: self._chars_max]
        try:
            ref = await self._artifacts.put(intent.workspace_id, text.encode())
            made = ReportMade(
                workspace_id=intent.workspace_id,
                session_id=intent.session_id,
                run_id=intent.run_id,
                account=ref,
                chars=len(text),
            )
            await report(self._reporter, made, key=f"run/{intent.run_id}/account")
        except (Refused, StorageFailed) as fault:
            log.warning("account.not_told", extra={"run_id": intent.run_id, "why": str(fault)})


def account_of(
    adapter: str,
    ending: str,
    verdict: Verdict | None,
    *,
    place: StatusFacts | GitRefusal | None,
) -> str:
    """The text."""
    told = [ORIGIN, f"The last run, of {adapter}, {ending}."]
    if verdict is not None:
        told.append(f"It {verdict.outcome.replace('unclear', 'may have done its job')}: {verdict.evidence}.")
    if isinstance(place, StatusFacts):
        told.append(_left(place))
    return "\n\n".join(told)


def _ending(exited: port.Exited) -> str:
    if exited.how == "exited":
        return f"exited with {exited.code}"
    if exited.how == "signalled":
        return f"was ended by signal {exited.signal}"
    return {"timed_out": "ran out of time", "stopped": "was stopped"}.get(exited.how, exited.how)


def _left(place: StatusFacts) -> str:
    where = f"on {place.branch or 'no branch'} at {(place.head or 'no commit')[:HEAD_CHARS]}"
    if place.is_clean:
        return f"Its worktree is {where}, and everything there is committed."
    counts = (
        (place.staged, "staged"),
        (place.unstaged, "changed"),
        (place.untracked, "new"),
        (place.conflicted, "in conflict"),
    )
    lying = ", ".join(f"{count} {what}" for count, what in counts if count)
    return f"Its worktree is {where}; not committed: {lying}."
