"""Which collection holds which items: derived from the views, written nowhere else."""

from typing import Final, Generic, TypeVar

import msgspec

from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.item import Item

ItemT = TypeVar("ItemT", bound=Item)  # the item's type

COLLECTIONS: Final[dict[type[Item], str]] = {kind: name for view in VIEWS for name, kind in view.collections}


class ItemPage(msgspec.Struct, Generic[ItemT], frozen=True, kw_only=True):
    """Some items of a collection, in the order of their ids, and where to go on."""

    items: tuple[ItemT, ...]
    next: str | None = None
    seq_global: int


def collection_of(kind: type[Item]) -> str:
    """The noun in the path: `runs` of `/v1/runs`."""
    return COLLECTIONS[kind]
