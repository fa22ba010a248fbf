"""How far each view has come in each workspace, why it stands still, and who waits for it.

A view that stands still does so alone and in one workspace alone: whoever reads it there is
told which event it can't take, and everything else goes on.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from moduprompt.domain.item import View
from moduprompt.protocol import Code, Refused, Rejection, WorkspaceId, refusal

WAIT_S: Final = 5.0  # the contract's: a read waits at most so long for its view


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a view can't take; it stands at the one before."""

    view: str
    workspace_id: WorkspaceId
    seq: int
    event_id: str
    fault: str

    def to_text(self) -> str:
        """In words."""
        return (
            f"view {self.view} can't take event {self.seq} ({self.event_id}) of workspace {self.workspace_id}"
        )


class Rebuild(msgspec.Struct, kw_only=True):
    """How far a rebuild has come, in events of all workspaces; `failure` says why it was given up."""

    done: int = 0
    total: int = 0
    failure: str | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether it goes on."""
        return self.failure is None


class Track:
    """One view. While it is being renewed another version serves, and only a rebuild moves it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.reached: dict[WorkspaceId, int] = {}
        self.stops: dict[WorkspaceId, Stop] = {}
        self.rebuild: Rebuild | None = None
        self.is_renewed = False

    def is_live(self, workspace_id: WorkspaceId) -> bool:
        """Whether new events of this workspace are folded."""
        return not self.is_renewed and workspace_id not in self.stops


class Tracks:
    """All views, and those who wait for them."""

    def __init__(self, views: tuple[View, ...]) -> None:
        self.all = tuple(Track(view) for view in views)
        self._of_collection = {name: track for track in self.all for name, _ in track.view.collections}
        self._moved = asyncio.Condition()
        self._waiting = 0

    @property
    def are_awaited(self) -> bool:
        """Whether somebody waits."""
        return self._waiting > 0

    def named(self, name: str) -> Track | None:
        """A view by its name."""
        return next((track for track in self.all if track.view.name == name), None)

    def of(self, collections: Iterable[str]) -> tuple[Track, ...]:
        """The views that these collections belong to; all where none is named."""
        named = {self._of_collection[name].view.name for name in collections}
        return tuple(track for track in self.all if not named or track.view.name in named)

    def lowest(self, workspace_id: WorkspaceId) -> int | None:
        """Where the live view stands that is furthest behind; None where no view is live."""
        live = [track.reached.get(workspace_id, 0) for track in self.all if track.is_live(workspace_id)]
        return min(live, default=None)

    async def tell(self) -> None:
        """Something has moved, or stopped."""
        if self._waiting:
            async with self._moved:
                self._moved.notify_all()

    async def wait_for(self, workspace_id: WorkspaceId, seq: int, *, tracks: tuple[Track, ...]) -> None:
        """Until these hold `seq`. Raises Refused (`unavailable`) at once where one stands still, or after WAIT_S."""

        def is_settled() -> bool:
            return any(workspace_id in track.stops for track in late()) or not late()

        def late() -> list[Track]:
            return [track for track in tracks if track.reached.get(workspace_id, 0) < seq]

        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S), self._moved:
                await self._moved.wait_for(is_settled)
        except TimeoutError:
            raise Refused(_late(late()[0])) from None
        finally:
            self._waiting -= 1
        for stop in [track.stops[workspace_id] for track in late() if workspace_id in track.stops]:
            raise Refused(_stopped(stop))


def _stopped(stop: Stop) -> Rejection:
    return refusal(
        Code.UNAVAILABLE,
        f"the read models have stopped: {stop.to_text()}",
        hint="the log is whole; stale=ok reads what was folded before it, and the daemon's log says more",
        details={
            "view": stop.view,
            "workspace_id": stop.workspace_id,
            "seq": stop.seq,
            "event_id": stop.event_id,
        },
    )


def _late(track: Track) -> Rejection:
    rebuild = track.rebuild
    if track.is_renewed and rebuild is not None and rebuild.failure is not None:
        message = f"view {track.view.name} could not be made again: {rebuild.failure}"
    elif track.is_renewed and rebuild is not None:
        message = f"view {track.view.name} is being made again: {rebuild.done} of {rebuild.total} events"
    else:
        message = f"view {track.view.name} is behind the log"
    return refusal(Code.UNAVAILABLE, message, hint="ask again, or with stale=ok for what there is")
