"""Reads JSON whose shape nobody promised: what isn't there or is of another type reads as empty, never raises.

Requests come from other people's programs and change with their versions; only the script is read strictly.
"""

import json
from collections.abc import Iterable
from typing import TypeGuard

NESTING_MAX = 200  # beyond it writers fail where readers didn't; no request of a real client comes near


class NoJson(Exception):
    """The bytes are no JSON."""


def parse(raw: bytes | str) -> object:
    """The value, or `NoJson` with why: also for numbers and nestings that no reader holds."""
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError) as broken:
        raise NoJson(str(broken) or type(broken).__name__) from broken
    if _is_deeper(value, NESTING_MAX):
        raise NoJson(f"it is nested deeper than {NESTING_MAX}")
    return value


def _is_deeper(value: object, levels: int) -> bool:
    """Level by level, without a recursion of our own."""
    level: list[object] = [value]
    for _ in range(levels):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    if is_table(value):
        return value.values()
    return value if is_list(value) else ()


def is_table(value: object) -> TypeGuard[dict[str, object]]:
    """JSON has no keys but texts."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def table(value: object) -> dict[str, object]:
    return value if is_table(value) else {}


def tables(value: object) -> list[dict[str, object]]:
    """The tables of a list; what else stands in it is left out."""
    return [each for each in value if is_table(each)] if is_list(value) else []


def text(value: object) -> str:
    return value if isinstance(value, str) else ""


def to_text(value: object) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
