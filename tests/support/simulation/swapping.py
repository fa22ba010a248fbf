"""One thing in the place of another while a block lasts."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def swapped(place: Any, name: str, broken: object) -> Generator[None]:
    """The broken thing in its place while the block lasts."""
    whole = getattr(place, name)
    setattr(place, name, broken)
    try:
        yield
    finally:
        setattr(place, name, whole)
