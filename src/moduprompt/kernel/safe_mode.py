"""Over a damaged store the kernel reads and decides nothing; this is what it answers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from moduprompt.domain.workspace.state import WorkspaceState
from moduprompt.kernel.ledger import Ledger
from moduprompt.protocol import (
    SYSTEM_WORKSPACE,
    Code,
    Damage,
    Rejection,
    UserId,
    WorkspaceId,
    refusal,
)

SHOWN_MAX: Final = 5  # damages in a refusal; `mpctl daemon status` names them all
HINT: Final = (
    "mpctl log export --whole FOLDER saves what is whole; mpd restore BACKUP --replace brings back a backup"
)


def safe_mode(damages: Sequence[Damage]) -> Rejection:
    """The refusal of every order."""
    return refusal(
        Code.UNAVAILABLE,
        f"safe mode: the store is damaged and only read ({damages[0]})",
        hint=HINT,
        details={"reason": "safe_mode", "damage": [str(each) for each in damages[:SHOWN_MAX]]},
    )


def likely_owner(ledgers: Iterable[Ledger]) -> UserId:
    """Who owns most of the workspaces, where the system's own can't be read; nobody where there is none."""
    found = (ledger.find(WorkspaceState, ledger.workspace_id) for ledger in ledgers)
    owners = Counter(own.owner_id for own in found if own is not None)
    return next((owner for owner, _ in owners.most_common(1)), UserId(SYSTEM_WORKSPACE))


def damaged_workspace(damages: Sequence[Damage], workspace_id: WorkspaceId) -> Rejection | None:
    """The refusal of a read in a workspace that does not hold; None where nothing is known against it."""
    own = [each for each in damages if each.workspace_id == workspace_id]
    return safe_mode(own) if own else None
