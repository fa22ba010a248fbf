"""Looks at runs: asks the keeper, draws the screen where that can tell more, and applies the rules.

A screen is drawn only while its terminal is in raw mode, or while a line is waited for: that a program waits
in line mode says the system itself, and its last line may be a question. What cannot be drawn is no reason to see nothing: then the keeper's facts stand alone.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.runner import port
from moduprompt.effects.runner.keeping import passes
from moduprompt.effects.runner.status.drawing import Drawing
from moduprompt.effects.runner.status.engine import observe, shows_question
from moduprompt.effects.runner.status.facts import Look, Seen
from moduprompt.effects.runner.status.rules import rules_for
from moduprompt.keeper.recording import RECORDING_NAME, RecordingError

log: Final = logging.getLogger(__name__)


def rules_of(*, adapter: str, argv: Sequence[str]) -> str | None:
    """Whose rules fit its screen: any program may stand behind the words of a command. None: it has no screen."""
    known = adapter_named(adapter)
    if known is not None and known.level not in ("terminal", "hooks"):
        return None
    return Path(argv[0]).name if adapter == "command" and argv else adapter


class Onlooker:
    """Who looks at one run, over one link. Close it when the run is over or the link broke.

    `program`: whose rules fit its screen; None where what it prints is for programs to read.
    """

    def __init__(
        self, link: port.RunLink, *, run_dir: Path, program: str | None, drawing: Drawing | None = None
    ) -> None:
        """`drawing`: of this run, from an earlier onlooker; it goes on from where it is."""
        self._link = link
        self._recording = run_dir / RECORDING_NAME
        self._rules = None if program is None else rules_for(program)
        self._drawing = drawing
        self._is_blind = False

    def close(self) -> None:
        """Let go of the recording. Safe twice."""
        if self._drawing is not None:
            self._drawing.close()
            self._drawing = None

    def leave_drawing(self) -> Drawing | None:
        """For the next onlooker; this one has none any more. Not after a look that was broken off."""
        drawing, self._drawing = self._drawing, None
        return drawing

    async def look(self) -> Seen | None:
        """What it does now; None where that can't be told at this moment. Raises LinkClosedError."""
        return self.meaning(await self.glance())

    async def glance(self) -> Look:
        """What is there now, and its screen where that can tell more. Raises LinkClosedError."""
        reply = await self._link.status()
        has_told = reply.state != "running" or (reply.canonical and not reply.waiting_on_tty)
        if self._rules is None or has_told:
            return Look(reply=reply)
        drawing = self._drawn()
        return Look(reply=reply, sight=None if drawing is None else await drawing.follow())

    def meaning(self, look: Look) -> Seen | None:
        """What the rules of its program say to that."""
        return observe(look, self._rules)

    def _drawn(self) -> Drawing | None:
        rules = self._rules
        if self._drawing is None and rules is not None and not self._is_blind:
            try:
                self._drawing = Drawing(self._recording, asks=lambda sight: shows_question(sight, rules))
            except (OSError, RecordingError) as fault:
                # Without a free file for a moment: the next look draws. Else what waits would look busy for ever.
                self._is_blind = not passes(fault)
                log.warning("screen.not_drawn", extra={"recording": str(self._recording), "why": str(fault)})
        return self._drawing
