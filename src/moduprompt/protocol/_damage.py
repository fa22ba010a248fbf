"""What is wrong with a store: one shape for everybody who finds something and everybody who tells it."""

import msgspec

from moduprompt.protocol._ids import WorkspaceId


class Damage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place that does not hold: the file it lies in, where in it as far as that is known, and the error.

    `seq` is the first event that can't be had; those before it are whole.
    """

    path: str
    error: str
    page: int | None = None
    workspace_id: WorkspaceId | None = None
    seq: int | None = None

    def __str__(self) -> str:
        """`log.sqlite, page 7, workspace 0190…, event 12: …`."""
        places = (("page", self.page), ("workspace", self.workspace_id), ("event", self.seq))
        named = "".join(f", {what} {which}" for what, which in places if which is not None)
        return f"{self.path}{named}: {self.error}"
