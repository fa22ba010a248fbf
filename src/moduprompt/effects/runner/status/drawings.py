"""Drawings that wait for the next look: whoever looks at a run again draws what has come since, and not all of it anew.

One at a time has a drawing: it is taken out, and brought back when the look was whole. The ones that were used least lately go first.
"""

from typing import Final

from moduprompt.effects.runner.status.drawing import Drawing

DRAWINGS_MAX: Final = 16  # open files and screens; whose was let go costs a second's work at the worst


class Drawings:
    """Of the runs of one daemon, by id."""

    def __init__(self) -> None:
        self._kept: dict[str, Drawing] = {}

    def take(self, run_id: str) -> Drawing | None:
        """It is the caller's, who closes it or brings it back."""
        return self._kept.pop(run_id, None)

    def bring_back(self, run_id: str, drawing: Drawing | None) -> None:
        """For the next one. Of two of the same run the later one is kept."""
        self.forget(run_id)
        if drawing is None:
            return
        self._kept[run_id] = drawing
        while len(self._kept) > DRAWINGS_MAX:
            self.forget(next(iter(self._kept)))

    def forget(self, run_id: str) -> None:
        """Nobody looks at it again. Safe twice."""
        drawing = self._kept.pop(run_id, None)
        if drawing is not None:
            drawing.close()
