"""Erases what a closed session's programs kept for it, and says so."""

import asyncio
import logging
from pathlib import Path

from moduprompt.domain.decider import Intent
from moduprompt.domain.leaving import EraseHome
from moduprompt.domain.session.commands import ReportHomeErased
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner.homes import Homes

log = logging.getLogger(__name__)


class HomesHand:
    """The `Hand` for sessions' homes."""

    handles = (EraseHome,)

    def __init__(self, reporter: Reporter, *, runs_dir: Path) -> None:
        self._reporter = reporter
        self._homes = Homes(runs_dir)

    async def carry_out(self, intent: Intent) -> bool:
        """All of it, or it is tried again."""
        assert isinstance(intent, EraseHome), f"BUG: {type(intent).__name__} is not for homes"
        try:
            await asyncio.to_thread(self._homes.erase, intent.session_id)
        except OSError as fault:
            log.warning("home.not_erased", extra={"session_id": intent.session_id, "why": str(fault)})
            return False
        erased = ReportHomeErased(workspace_id=intent.workspace_id, session_id=intent.session_id)
        await report(self._reporter, erased, key=f"{intent.name}/done")
        return True
