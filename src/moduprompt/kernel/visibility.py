"""What an actor may see. A thing that may not be seen does not exist for them."""

from collections.abc import Iterable
from typing import TypeVar

from moduprompt.domain.decider import Command, State
from moduprompt.domain.run.state import RunState
from moduprompt.domain.scope import sees
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.user.state import UserState
from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.kernel.feed import Glance
from moduprompt.kernel.ledger import Ledger
from moduprompt.policy.rights import Right
from moduprompt.protocol import SYSTEM_WORKSPACE, Actor, Subject, WorkspaceId

S = TypeVar("S", bound=State)


class Watched:
    """A ledger that remembers what was looked at, and at which version: what a verdict relies on."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._versions: dict[str, int] = {}

    @property
    def workspace_id(self) -> WorkspaceId:
        """The workspace all of it belongs to."""
        return self._ledger.workspace_id

    def find(self, state: type[S], id_: str) -> S | None:
        """The state of one aggregate, or None."""
        self._versions[id_] = self._ledger.version(id_)
        return self._ledger.find(state, id_)

    def related(self, state: type[S], to: str) -> Iterable[S]:
        """Those of one kind whose index field has this value now."""
        return self._noted(self._ledger.related_ids(state, to), self._ledger.related(state, to))

    def every(self, state: type[S]) -> Iterable[S]:
        """All of one kind, in the order they came to be."""
        return self._noted(self._ledger.ids(state), self._ledger.every(state))

    def looked_at(self) -> tuple[tuple[str, int], ...]:
        """Ids and versions; 0 for what was not there."""
        return tuple(self._versions.items())

    def _noted(self, ids: Iterable[str], found: Iterable[S]) -> Iterable[S]:
        self._versions |= {id_: self._ledger.version(id_) for id_ in ids}
        return found


def may_enter(actor: Actor, ledger: Ledger, *, command: Command | None = None) -> bool:
    """Whether a workspace exists for this actor.

    A session knows of its own workspace alone. The system workspace is entered by users.
    """
    if actor.kind == "system":
        return True
    if ledger.workspace_id == SYSTEM_WORKSPACE:
        if actor.kind == "session":
            return command is not None
        return ledger.find(UserState, actor.id) is not None
    if actor.kind == "user":
        own = ledger.find(WorkspaceState, ledger.workspace_id)
        # A frozen one still names its owner elsewhere; the users of this daemon decide about it.
        return own is not None and (ledger.is_frozen or own.owner_id == actor.id)
    return actor.kind == "session" and ledger.find(SessionState, actor.id) is not None


def may_see_all(actor: Actor) -> bool:
    """Whether everything in a workspace that this actor may enter exists for it."""
    return actor.kind in ("system", "user")


def may_see(actor: Actor, ledger: Ledger, subject: Subject) -> bool:
    """Whether a subject exists for this actor, within a workspace it may enter."""
    if may_see_all(actor):
        return True
    asker = ledger.find(SessionState, actor.id)
    if asker is None or Right.READ_LINEAGE not in asker.may:
        return False
    return sees(asker, subject, ledger)


def sees_event(actor: Actor, ledger: Ledger, glance: Glance) -> bool:
    """Whether an event of a stream is shown to this actor."""
    return may_see(actor, ledger, glance.subject)


def run_of_token(ledger: Ledger, run_id: str, token_sha256: str) -> RunState | None:
    """The live run that a token belongs to. None where it runs on the machine a frozen workspace came from."""
    if ledger.is_frozen:
        return None
    run = ledger.find(RunState, run_id)
    if run is None or not run.is_live() or run.token_sha256 != token_sha256:
        return None
    return run
