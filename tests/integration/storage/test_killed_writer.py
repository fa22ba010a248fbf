"""What was acknowledged is there, once, however the process ended."""

import subprocess
import sys
from pathlib import Path

from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.stores import W1

LINES = (1, 2, 30, 200, 700)


def killed_after(lines: int, path: Path) -> int:
    """The last sequence that the process acknowledged before it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.appending", str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert process.stdout is not None
    for _ in range(lines):
        assert process.stdout.readline()
    process.kill()
    rest = process.stdout.read().split(b"\n")
    process.stdout.close()
    process.wait()
    said = [int(line) for line in rest[:-1] if line]  # the last line may be cut
    return max(said, default=3 * lines)


async def test_after_a_kill_everything_acknowledged_is_present_exactly_once(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    held = 0
    for lines in LINES:
        acknowledged = max(held + 3 * lines, killed_after(lines, path))

        log = await SqliteLog.open(path)
        stored = [event.seq for event in await log.read(W1, after=0, limit=10_000)]
        held = len(stored)
        assert stored == list(range(1, held + 1))
        assert held >= acknowledged
        assert held % 3 == 0
        for last in range(3, held + 1, 3):
            row = await log.find_key(W1, actor="user:u1", key=f"k{last}")
            assert row is not None
            assert (row.first_seq, row.last_seq) == (last - 2, last)
        await log.close()
