"""Which collection holds which items: derived from the views, written nowhere else."""

from typing import Final, Generic, TypeVar

import msgspec

from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import Item

I = TypeVar("I", bound=Item)  # noqa: E741 - the item's type

COLLECTIONS: Final[dict[type[Item], str]] = {kind: name for view in VIEWS for name, kind in view.collections}


class ItemPage(msgspec.Struct, Generic[I], frozen=True, kw_only=True):
    """Some items of a collection, in the order of their ids, and where to go on."""

    items: tuple[I, ...]
    next: str | None = None
    seq_global: int


def collection_of(kind: type[Item]) -> str:
    """The noun in the path: `runs` of `/v1/runs`."""
    return COLLECTIONS[kind]
