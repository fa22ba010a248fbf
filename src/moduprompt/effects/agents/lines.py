"""Lines of JSON from a program that may print anything: fields by name, of the right kind, or absent.

A reader asks for what it needs and gets a default where the line has something else, so that a new
version of a program which moves one field costs that field and not the whole line. Nothing here raises.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeGuard

import msgspec
from blake3 import blake3

from moduprompt.domain.run.said import MARK_MAX, PATHS_MAX, TOUCHED_MAX
from moduprompt.protocol import REASON_MAX

COUNT_MAX = 2**53  # what the log can hold
ITEMS_MAX = 1_000  # of one list in one line; a program's messages have some ten
NESTED_MAX = (
    256  # levels of one line, some twenty in those seen; what the interpreter bears hangs on who calls
)
SHOWN_MAX = 100_000  # characters of a value that a person is to read
INDENTED_BYTES_MAX, INDENTED_LEVELS_MAX = 16 * 1024, 32  # beyond, indentation would be most of it
# JavaScript cuts strings between the halves of a pair and writes the half; only a whole pair is a character.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# Names under which programs pass the file that a tool works on.
PATH_NAMES = ("file_path", "filePath", "path", "notebook_path", "absolute_path", "filename")


class Fields:
    """An object of a line. What is missing or of another kind reads as empty."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def __bool__(self) -> bool:
        return bool(self._fields)

    def has(self, name: str) -> bool:
        """Whether there is something, and it is not null."""
        return self._fields.get(name) is not None

    def text(self, name: str) -> str:
        """A string as it stands."""
        value = self._fields.get(name)
        return value if isinstance(value, str) else ""

    def mark(self, name: str, *, otherwise: str = "?") -> str:
        """A name that fits into a fact: never empty, never long."""
        return self.text(name)[:MARK_MAX] or otherwise

    def reason(self, name: str) -> str:
        """A message, as much of it as a fact takes."""
        return self.text(name)[:REASON_MAX]

    def count(self, name: str) -> int:
        """A whole number that is not negative; a float is rounded down."""
        return _bounded(self._number(name))

    def signed(self, name: str) -> int:
        """A whole number that may be negative, as codes of errors are."""
        number = self._number(name)
        return _bounded(number) if number >= 0 else -_bounded(-number)

    def micros(self, name: str) -> int:
        """A decimal amount in millionths."""
        return _bounded(_clamped(self._number(name)) * 1_000_000 + 0.5)

    def flag(self, name: str) -> bool:
        """True only where it says true."""
        return self._fields.get(name) is True

    def inner(self, name: str) -> "Fields":
        """An object in this one."""
        value = self._fields.get(name)
        return Fields(value) if _is_object(value) else Fields({})

    def items(self, name: str) -> tuple["Fields", ...]:
        """The objects of a list; its other elements are left out."""
        value = self._fields.get(name)
        if not _is_list(value):
            return ()
        return tuple(Fields(item) for item in value[:ITEMS_MAX] if _is_object(item))

    def digest(self, name: str) -> str:
        """Of a value, whatever it is; the same for the same value, however its fields are ordered."""
        return digest_of(self._fields.get(name))

    def paths(self, name: str) -> tuple[str, ...]:
        """Files that an object of arguments names."""
        return self.inner(name).own_paths()

    def own_paths(self) -> tuple[str, ...]:
        """Files that this object names."""
        named = (self.text(each)[:TOUCHED_MAX] for each in PATH_NAMES)
        return tuple(dict.fromkeys(path for path in named if path))[:PATHS_MAX]

    def pretty(self, name: str) -> str:
        """A value as a person reads it, up to SHOWN_MAX characters; what is large stands on one line."""
        value = self._fields.get(name)
        written = msgspec.json.encode(value)
        if len(written) <= INDENTED_BYTES_MAX and not _is_nested(value, deeper_than=INDENTED_LEVELS_MAX):
            written = msgspec.json.format(written, indent=2)
        return written.decode()[:SHOWN_MAX]

    def all_but(self, names: frozenset[str]) -> Mapping[str, object]:
        """The fields as they came, without these."""
        return {name: value for name, value in self._fields.items() if name not in names}

    def raw(self, name: str) -> object:
        """A value to hand back as it came."""
        return self._fields.get(name)

    def _number(self, name: str) -> float:
        value = self._fields.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def read_object(line: bytes) -> Fields | None:
    """The object of a line; None where it is anything else, which programs print between their lines.

    None too where it is nested deeper than NESTED_MAX. Half a character reads as U+FFFD.
    """
    if not line.lstrip().startswith(b"{"):
        return None
    value = _decoded(line)
    if not _is_object(value):
        return None
    may_be_deep = line.count(b"{") + line.count(b"[") > NESTED_MAX
    return None if may_be_deep and _is_nested(value, deeper_than=NESTED_MAX) else Fields(value)


def _decoded(line: bytes) -> object:
    """None where it is no JSON."""
    for written in (line, _ESCAPES.sub(_whole, line)):
        try:
            return msgspec.json.decode(written)
        except (ValueError, RecursionError):
            continue
    return None


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[1] else escape[0]


def _is_nested(value: object, *, deeper_than: int) -> bool:
    """Level by level, since what is nested deeply can't be walked through by calls."""
    level = [value]
    for _ in range(deeper_than):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return False
    return any(_is_object(each) or _is_list(each) for each in level)


def _inside(value: object) -> Iterable[object]:
    if _is_object(value):
        return value.values()
    return value if _is_list(value) else ()


def digest_of(value: object) -> str:
    """The same for the same value, however its fields are ordered."""
    return blake3(msgspec.json.encode(value, order="deterministic")).hexdigest()


def total(*counts: int) -> int:
    """Of several amounts, as much of it as the log can hold: each of them may be all that it can."""
    return min(sum(counts), COUNT_MAX)


def write_line(message: Mapping[str, object]) -> bytes:
    """A message as one line."""
    return msgspec.json.encode(message) + b"\n"


def _clamped(number: float) -> float:
    # Before anything is done with it: a whole number may have more digits than a float can hold.
    return min(max(number, 0), COUNT_MAX)


def _bounded(number: float) -> int:
    # A float may be infinite only by overflow of the sum: JSON itself has no infinity.
    return int(_clamped(number))


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)
