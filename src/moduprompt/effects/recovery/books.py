"""The log as the read models have it: every run and worktree, also of workspaces that nobody has loaded."""

from contextlib import suppress

from moduprompt.domain.run.state import RunState
from moduprompt.kernel.kernel import Kernel
from moduprompt.protocol import Refused, RunId


class KernelBooks:
    """The `Books` of a kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def wait(self) -> None:
        """Until the views hold what was durable when this was asked. Raises Refused."""
        for workspace_id in await self._kernel.cabinet.listed():
            head = self._kernel.feed.head(workspace_id)
            await self._kernel.projector.wait_for(workspace_id, head, of=("runs", "worktrees"))

    async def has_ended(self, run_id: RunId) -> bool:
        """Whether the log itself knows its end; where nobody can say, it does not."""
        row = await self._kernel.view_store.row("runs", run_id)
        with suppress(Refused):
            ledger = await self._kernel.find(row[0]) if row else None
            run = ledger.find(RunState, run_id) if ledger else None
            return run is not None and not run.is_live()
        return False

    async def row(self, collection: str, id_: str) -> bytes | None:
        """The JSON of an item, or None."""
        found = await self._kernel.view_store.row(collection, id_)
        return None if found is None else found[1]

    async def rows(self, collection: str, *, after: str, limit: int) -> list[tuple[str, bytes]]:
        """Ids and items of all workspaces, in the order of ids."""
        return await self._kernel.view_store.rows(collection, workspace_id=None, after=after, limit=limit)
