"""Snapshots all the time: limits so small that a short run meets every edge of them.

Slices of three states, pieces handed over one by one, a rewrite after a dozen, two workspaces in memory.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Final

from moduprompt.kernel import cabinet, snapshots, snapshotter
from tests.support.simulation.swapping import swapped

SMALL: Final = (
    (snapshotter, "SNAPSHOT_EVENTS", 7),
    (snapshotter, "REST_S", 2.0),
    (snapshotter, "DURABLE_S", 5.0),
    (snapshotter, "ADD_BYTES", 300),
    (snapshotter, "REWRITE_LEAST", 12),
    (snapshots, "SLICE_STATES", 3),
    (snapshots, "SLICE_ENTRIES", 2),
    (snapshots, "READ_PIECES", 2),
    (cabinet, "KEPT_MAX", 2),
    (cabinet, "SLICE_EVENTS", 5),
)


@contextmanager
def snapshots_often() -> Generator[None]:
    """While the block lasts."""
    with ExitStack() as small:
        for module, name, value in SMALL:
            small.enter_context(swapped(module, name, value))
        yield
