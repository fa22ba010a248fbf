"""Where a session's programs keep what is theirs: configuration, conversations, and a place to work without a worktree.

    <runs>/.homes/<session>     given to the adapter as its program's own folder
    <runs>/.scratch/<session>   the working directory of a session that has no worktree

Both are the session's and not a run's: a conversation is found again there, from the same directory. They begin
with a dot, so that they are no runs.
"""

import shutil
from pathlib import Path
from typing import Final

from moduprompt.protocol import SessionId

HOMES_NAME: Final = ".homes"
SCRATCH_NAME: Final = ".scratch"


class Homes:
    """All sessions' folders beside the runs."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir

    def home(self, session_id: SessionId) -> Path:
        """Its programs' configuration and conversations. Not made here: most programs need none."""
        return self._runs_dir / HOMES_NAME / session_id

    def scratch(self, session_id: SessionId) -> Path:
        """Where it works without a worktree."""
        return self._runs_dir / SCRATCH_NAME / session_id

    def make_scratch(self, session_id: SessionId) -> Path:
        """The same, and it is there."""
        folder = self.scratch(session_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def erase(self, session_id: SessionId) -> None:
        """Nothing of it is left. Safe to repeat; raises OSError where something can't be removed."""
        for folder in (self.home(session_id), self.scratch(session_id)):
            if folder.exists():
                shutil.rmtree(folder)
