"""How read models stand: what is folded, how far, and what keeps one of them back."""

from typing import Literal

import msgspec

from moduprompt.protocol._ids import WorkspaceId


class ViewStop(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a view can't take; in that workspace it stands at the one before."""

    workspace_id: WorkspaceId
    seq: int
    event_id: str


class ViewReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One read model. `position` and `head` are events, summed over all workspaces.

    While it is rebuilt, `rebuilt` of `head` events are in the rows that will take over. `failure` says
    why the last rebuild was given up; the rows that stood before it serve.
    """

    name: str
    version: int
    state: Literal["live", "rebuilding", "stopped"]
    position: int
    head: int
    rows: int
    rebuilt: int | None = None
    failure: str | None = None
    stops: tuple[ViewStop, ...] = ()


class ViewReports(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/views`."""

    items: tuple[ViewReport, ...]
