# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUntypedBaseClass=false, reportUntypedFunctionDecorator=false, reportUnknownArgumentType=false
# The library is in the environment of the benchmarks only.
"""The same work on `eventsourcing`: an aggregate renamed and saved with its notification, synced.

Reads a `Work` from standard input and prints a `Done`. Each writer has an aggregate of its own, so none
meets another's version; aggregates stay in the library's cache.
"""

import os
import sys
from pathlib import Path

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench.peer_work import Done, Work, in_threads, serve


class Project(Aggregate):
    """What has a name."""

    @event("Created")
    def __init__(self, name: str) -> None:
        self.name = name

    @event("Renamed")
    def rename(self, name: str) -> None:
        """One event."""
        self.name = name


class Projects(Application):
    """As the library's documentation writes one: load, change, save."""

    def create(self) -> Project:
        """A fresh one."""
        project = Project("a project")
        self.save(project)
        return project

    def rename(self, project_id: object, name: str) -> None:
        """One command."""
        project = self.repository.get(project_id)
        project.rename(name)
        self.save(project)


def measured(work: Work) -> Done:
    """Commands a second, and what its connections say of durability."""
    os.environ |= {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "SQLITE_DBNAME": str(Path(work.folder) / "events.sqlite"),
        "SQLITE_LOCK_TIMEOUT": "60",
        "AGGREGATE_CACHE_MAXSIZE": "1000",
        # One process writes each aggregate, so the cache needs no look into the table: the faster setting.
        "AGGREGATE_CACHE_FASTFORWARD": "n",
    }
    application = Projects()
    ids = [application.create().id for _ in range(work.writers)]
    rate = in_threads(work, lambda writer, name: application.rename(ids[writer], name))
    with application.factory.datastore.get_connection(commit=True) as connection:
        said = {
            pragma: str(connection.cursor().sqlite_cursor.execute(f"PRAGMA {pragma}").fetchone()[0])
            for pragma in ("synchronous", "journal_mode")
        }
    kept = application.recorder.max_notification_id()
    assert kept == work.writers * (work.each + 1), f"{kept} events are in the log"
    application.close()
    return Done(per_s=rate, settings=said)


if __name__ == "__main__":
    sys.exit(serve(measured))
