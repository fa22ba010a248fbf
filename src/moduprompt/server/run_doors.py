"""A socket for each live run: agents reach the daemon there, and only with their own run's token.

The name is the end of the run's id, which is its random part: short enough for the
107 bytes of a socket's path, and the same after a restart of the daemon.
"""

from pathlib import Path

from starlette.types import ASGIApp

from moduprompt.config import run_socket_name
from moduprompt.protocol import RunId
from moduprompt.server.doors import Door, Porter, bind_unix


class RunDoors:
    """Opens and closes them. Who has the folder's lock may take away what an earlier daemon left."""

    def __init__(self, folder: Path, *, porter: Porter, app: ASGIApp) -> None:
        self._folder = folder
        self._porter = porter
        self._app = app
        self._open: dict[RunId, Door] = {}

    def path(self, run_id: RunId) -> Path:
        """Where a run's socket lies."""
        return self._folder / run_socket_name(run_id)

    def clear(self) -> None:
        """Begin without the sockets of runs that may have ended since."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for left in self._folder.glob("*.sock"):
            if left.is_socket():
                left.unlink()

    async def open(self, run_id: RunId) -> str:
        """The run's socket, listening from now on; opening it twice is fine. Raises ConfigRefused."""
        path = self.path(run_id)
        if run_id not in self._open:
            self._open[run_id] = await self._porter.open(bind_unix(path), self._app, run_id=run_id)
        return str(path)

    async def close(self, run_id: RunId) -> None:
        """The run is over; closing twice is fine."""
        door = self._open.pop(run_id, None)
        if door is not None:
            self.path(run_id).unlink(missing_ok=True)
            await door.close()
