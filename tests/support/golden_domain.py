"""Golden files of the domain: what was ever stored, what can be ordered, where it can lead."""

from __future__ import annotations

from moduprompt.domain.registry import COMMANDS, EVENTS
from moduprompt.protocol import COMMAND_REJECTED, CommandRejected, encode
from tests.support.golden import GOLDEN
from tests.support.samples import least, sample

STORED = GOLDEN / "events"
DIGESTED = GOLDEN / "digested"


def stored_events() -> dict[str, bytes]:
    """One stored payload for each event that was ever released, by name and version.

    What lies there is kept as it is, whatever the types have become: a log that was written
    must be read for ever. Only what is new is written.
    """
    kept = {path.name: path.read_bytes() for path in STORED.glob("*.json")}
    rejected = {f"{COMMAND_REJECTED}.v1.json": encode(sample(CommandRejected)) + b"\n"}
    new = {
        f"{wire}.v{version}.json": encode(sample(kind)) + b"\n" for (wire, version), kind in EVENTS.items()
    }
    return rejected | new | kept


def digested() -> dict[str, bytes]:
    """What an idempotency key was ever kept with, for each order in its least form; kept as it is, like the events."""
    kept = {path.name: path.read_bytes() for path in DIGESTED.glob("*.json")}
    new = {
        f"{wire}.v{version}.json": encode(least(kind).identity()) + b"\n"
        for (wire, version), kind in COMMANDS.items()
    }
    return new | kept


def domain() -> dict[str, bytes]:
    """Every order: its name and version, what it is about, and who may give it."""
    lines = [
        f"{wire} v{version} {kind.kind}:{kind.key or '(new)'} "
        f"{'kernel' if kind.internal else 'users'}"
        f"{f' and sessions with {kind.right.value}' if kind.right else ''}"
        for (wire, version), kind in sorted(COMMANDS.items())
    ]
    return {"commands.txt": "".join(f"{line}\n" for line in lines).encode()}
