"""Journals as keepers leave them on the disk: what was meant to be sent, what was, and what was cut short."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from moduprompt.keeper.journal import JOURNAL_NAME
from tests.support.fake_runner import RUN

Line: TypeAlias = tuple[str, Mapping[str, object]]


def kept(folder: Path, *entries: Line) -> None:
    """A run's journal on disk."""
    run_dir = folder / RUN
    run_dir.mkdir(exist_ok=True)
    lines = (
        json.dumps({"number": number, "at_us": 1, "kind": kind, "data": data})
        for number, (kind, data) in enumerate(entries, 1)
    )
    (run_dir / JOURNAL_NAME).write_text("".join(f"{line}\n" for line in lines))


def intended(input_id: str) -> Line:
    """About to be written; alone, nobody can say whether it was."""
    return "input_intended", {"input_id": input_id}


def applied(input_id: str) -> Line:
    """The program's pipe or terminal has all of it."""
    return "input_applied", {"input_id": input_id, "bytes": 3, "output_bytes": 9}


def failed(input_id: str) -> Line:
    """The program ended first: it has the first bytes at most."""
    return "input_failed", {"input_id": input_id, "bytes": 3, "output_bytes": 9}
