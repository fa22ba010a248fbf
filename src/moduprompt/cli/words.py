"""What was typed for a verb: each word by its name, its type checked once."""

import argparse
from collections.abc import Mapping, Sequence
from typing import cast


class Words:
    """Reads an argparse namespace. A name that no parser defines, or of another type, is a bug."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given: Mapping[str, object] = dict(vars(given))

    def text(self, name: str) -> str:
        """A word that was given or has a default."""
        value = self._given[name]
        assert isinstance(value, str), f"BUG: {name} is no text"
        return value

    def maybe(self, name: str) -> str | None:
        """A word that may be left out."""
        value = self._given.get(name)
        assert value is None or isinstance(value, str), f"BUG: {name} is no text"
        return value

    def number(self, name: str) -> int:
        """A whole number that was given or has a default."""
        value = self._given[name]
        assert isinstance(value, int), f"BUG: {name} is no number"
        return value

    def maybe_number(self, name: str) -> int | None:
        """A whole number that may be left out."""
        return None if self._given.get(name) is None else self.number(name)

    def real(self, name: str) -> float | None:
        """A number that may be left out."""
        value = self._given.get(name)
        assert value is None or isinstance(value, float | int), f"BUG: {name} is no number"
        return None if value is None else float(value)

    def is_set(self, name: str) -> bool:
        """A switch."""
        return self._given.get(name) is True

    def many(self, name: str) -> tuple[str, ...]:
        """Words that may be repeated."""
        value = self._given.get(name)
        if not isinstance(value, list | tuple):
            return ()
        return tuple(str(each) for each in cast("Sequence[object]", value))
