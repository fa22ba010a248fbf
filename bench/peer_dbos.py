# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUntypedFunctionDecorator=false, reportUnknownArgumentType=false
# The library is in the environment of the benchmarks only.
"""The same work on `dbos`: one durable workflow with one step for each command, on SQLite, synced.

Reads a `Work` from standard input and prints a `Done`. A workflow leaves its status and its input, then
the step's output, then its result.
"""

import sqlite3
import sys
from pathlib import Path

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig

from bench.peer_work import Done, Work, in_threads, serve


@DBOS.step()
def renamed(name: str) -> str:
    """What is done once."""
    return name


@DBOS.workflow()
def rename(name: str) -> str:
    """One command."""
    return renamed(name)


def measured(work: Work) -> Done:
    """Commands a second, and what its connections say of durability."""
    path = Path(work.folder) / "dbos.sqlite"
    if work.journal:
        # Not an option of the library, but the file keeps it: we give it the faster journal.
        made = sqlite3.connect(path)
        made.execute(f"PRAGMA journal_mode = {work.journal}")
        made.close()
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": f"sqlite:///{path}",
        "sys_db_pool_size": work.writers,
        "max_executor_threads": work.writers,
        "run_admin_server": False,
        "console_log_level": "ERROR",
        "log_level": "ERROR",
    }
    instance = DBOS(config=config)
    DBOS.launch()
    rename("warm")
    rate = in_threads(work, lambda _, name: rename(name))
    engine = instance._sys_db.engine  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001 - to ask it
    with engine.connect() as connection:
        said = {
            pragma: str(connection.execute(sa.text(f"PRAGMA {pragma}")).scalar())
            for pragma in ("synchronous", "journal_mode")
        }
        kept = connection.execute(
            sa.text("SELECT count(*) FROM workflow_status WHERE status = 'SUCCESS'")
        ).scalar()
    assert kept == work.writers * work.each + 1, f"{kept} workflows are done"
    DBOS.destroy()
    return Done(per_s=rate, settings=said)


if __name__ == "__main__":
    sys.exit(serve(measured))
