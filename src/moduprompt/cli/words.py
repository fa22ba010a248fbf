"""What was typed for a verb: each word by its name, its type checked once."""

import argparse
from collections.abc import Mapping
from typing import NamedTuple


class Misused(Exception):
    """What was typed does not parse. `where` is the command whose --help says how it goes."""

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(message)
        self.where = where


class Program(NamedTuple):
    """What stands behind `--`: a program and its own words."""

    words: tuple[str, ...]


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

    def texts(self, name: str) -> tuple[str, ...]:
        """Words of which there may be any number."""
        value = self._given[name]
        assert isinstance(value, list), f"BUG: {name} is no list"
        return tuple(map(str, value))  # pyright: ignore[reportUnknownArgumentType] - argparse says no more

    def number(self, name: str) -> int:
        """A whole number that was given or has a default."""
        value = self._given[name]
        assert isinstance(value, int), f"BUG: {name} is no number"
        return value

    def count(self, name: str) -> int | None:
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

    def program(self) -> tuple[str, ...]:
        """The command line of a program; empty where none was typed."""
        value = self._given.get("program")
        return value.words if isinstance(value, Program) else ()
