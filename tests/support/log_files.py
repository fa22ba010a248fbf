# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The driver declares its bindings as partly unknown types.
"""Log files with a real history in them: of the newest layout or an older one, whole or damaged on purpose."""

from collections.abc import Sequence
from pathlib import Path

import apsw

from moduprompt.protocol import SYSTEM_WORKSPACE, WorkspaceId
from moduprompt.storage.memory.log import MemoryLog
from moduprompt.storage.sqlite.connection import APPLICATION_IDS, layout_scripts
from tests.support.kernel import make_kernel

PAGE_BYTES = 4096  # SQLite's default


async def write_log(
    path: Path, *, layout: int | None = None, projects: Sequence[int] = (3, 2)
) -> list[WorkspaceId]:
    """A file with the system's workspace and one for each number of projects; gives all their ids."""
    memory = MemoryLog()
    async with make_kernel(log=memory) as house:
        ids = [SYSTEM_WORKSPACE]
        for place, count in enumerate(projects):
            ids.append(await house.workspace(f"w{place}"))
            for number in range(count):
                await house.project(ids[-1], f"p{number}")
    scripts = layout_scripts("log")[:layout]
    raw = apsw.Connection(str(path))
    for script in scripts:
        raw.execute(script)
    raw.pragma("user_version", len(scripts))
    raw.pragma("application_id", APPLICATION_IDS["log"])
    for ws, head in enumerate(await memory.heads(), start=1):
        bindings = (ws, head.workspace_id, head.seq, head.head_hash, head.epoch)
        raw.execute("INSERT INTO workspaces (ws, id, seq, head_hash, epoch) VALUES (?, ?, ?, ?, ?)", bindings)
        for event in await memory.read(head.workspace_id, after=0, limit=10_000):
            raw.execute(
                "INSERT INTO events (ws, seq, subject, data) VALUES (?, ?, ?, ?)",
                (ws, event.seq, event.subject_id, event.data),
            )
    raw.close()
    return ids


def layout_of(path: Path) -> int:
    """The number in the file's header."""
    return int.from_bytes(path.read_bytes()[60:64], "big")


def rewritten(path: Path, workspace_id: str, seq: int) -> None:
    """One stored event says something else than was written; it is as long, and still an event."""
    raw = apsw.Connection(str(path))
    where = "seq = ? AND ws = (SELECT ws FROM workspaces WHERE id = ?)"
    triggers = raw.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        raw.execute(f"DROP TRIGGER {name}")
    data = raw.execute(f"SELECT data FROM events WHERE {where}", (seq, workspace_id)).get
    assert isinstance(data, bytes)
    other = data.replace(b'"timestamp":"2', b'"timestamp":"3', 1)
    assert other != data
    raw.execute(f"UPDATE events SET data = ? WHERE {where}", (other, seq, workspace_id))
    for _, sql in triggers:
        raw.execute(str(sql))
    raw.close()


def tampered(path: Path, statement: str) -> None:
    """One statement carried out, whatever the triggers say; they are gone afterwards."""
    raw = apsw.Connection(str(path))
    for name in [row[0] for row in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")]:
        raw.execute(f"DROP TRIGGER {name}")
    raw.execute(statement)
    raw.close()
