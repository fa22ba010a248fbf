"""Query parameters, read strictly: what is not known or not well-formed is refused."""

from starlette.requests import HTTPConnection

from moduprompt.kernel.feed import EVERYTHING, Filter
from moduprompt.kernel.ledger import Ledger
from moduprompt.kernel.safe_mode import damaged_workspace
from moduprompt.kernel.visibility import may_enter
from moduprompt.protocol import (
    SEQ_MAX,
    Actor,
    Refused,
    Subject,
    WorkspaceId,
    invalid,
    is_id,
    misfit,
    missing,
)
from moduprompt.server.desk import desk_of

PATTERNS_MAX = 64  # of `types=`; more is a client that should filter by itself


def check_names(request: HTTPConnection, *known: str) -> None:
    """Refuse what no one reads: a misspelt filter must not show everything. Raises Refused."""
    for name in request.query_params:
        if name not in known:
            raise Refused(misfit(f"/{name[:80]}", "no such parameter", hint=f"known: {', '.join(known)}"))


def number(request: HTTPConnection, name: str, *, default: int, least: int = 0, most: int = SEQ_MAX) -> int:
    """A whole number within bounds. Raises Refused."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 16 or not least <= int(text) <= most:
        limit = "page" if name == "limit" else None
        raise Refused(misfit(f"/{name}", f"must be a whole number from {least} to {most}", limit=limit))
    return int(text)


def choice(request: HTTPConnection, name: str, *known: str) -> str | None:
    """One of a few words, or None where it is not given. Raises Refused."""
    text = request.query_params.get(name)
    if text is not None and text not in known:
        raise Refused(misfit(f"/{name}", f"must be {' or '.join(known)}"))
    return text


def workspace_id(request: HTTPConnection) -> WorkspaceId:
    """The workspace a request is about. Raises Refused."""
    text = request.query_params.get("workspace_id")
    if text is None or not is_id(text):
        raise Refused(
            misfit("/workspace_id", "must be the id of a workspace", hint="mpctl workspace list shows them")
        )
    return WorkspaceId(text)


async def entered(request: HTTPConnection, actor: Actor) -> Ledger:
    """The workspace of a request, when this actor may know of it. Raises Refused (`not_found`)."""
    wanted = workspace_id(request)
    kernel = desk_of(request).kernel
    ledger = await kernel.look(wanted)
    if ledger is None and actor.kind == "user" and (refused := damaged_workspace(kernel.damages, wanted)):
        raise Refused(refused)
    if ledger is None or not may_enter(actor, ledger):
        raise Refused(missing("workspace", wanted))
    return ledger


def filter_of(request: HTTPConnection) -> Filter:
    """`types=`, `project_id=`, `subject=kind:id`. Raises Refused."""
    types = request.query_params.get("types", "")
    patterns = tuple(each.strip() for each in types.split(",") if each.strip())
    if len(patterns) > PATTERNS_MAX:
        raise Refused(
            misfit(
                "/types", f"has more than {PATTERNS_MAX} patterns", limit="patterns", hint="filter yourself"
            )
        )
    subject = None
    if (text := request.query_params.get("subject")) is not None:
        kind, found, id_ = text.partition(":")
        if not found or not kind or not id_:
            raise Refused(misfit("/subject", "must be kind:id"))
        subject = Subject(kind=kind, id=id_)
    only = Filter(types=patterns, project_id=request.query_params.get("project_id"), subject=subject)
    return EVERYTHING if only == EVERYTHING else only  # nearly all streams: it is compared by identity


async def start_of(request: HTTPConnection, *, head: int) -> int:
    """`from=`, exclusive; `head` allowed; `Last-Event-ID` wins. Raises Refused.

    Who has applied more than there is knows another log, from before a restore: to wait until this one has
    grown past that would leave out what it writes meanwhile, without a word.
    """
    after = _start_said(request, head=head)
    if after > head:
        raise Refused(
            invalid(
                "from_beyond_head",
                f"the log ends at {head}, which is before {after}: it is not the one that was read",
                hint="begin again at 0 or at head, and forget what came after the end of this log",
                head=head,
            )
        )
    return after


def _start_said(request: HTTPConnection, *, head: int) -> int:
    last = request.headers.get("last-event-id")
    if last is not None:
        if not last.isascii() or not last.isdigit() or len(last) > 16:
            raise Refused(misfit("/Last-Event-ID", "must be the id of the last event"))
        return int(last)
    if request.query_params.get("from") == "head":
        return head
    return number(request, "from", default=0)
