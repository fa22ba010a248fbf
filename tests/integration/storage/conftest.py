"""A small file system for what has to do with room."""

import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

ROOM = 3 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A real file system with little room, where this machine lets us have one."""
    place = tmp_path / "small"
    place.mkdir()
    try:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(place)],
            capture_output=True,
            check=False,
        )
    except OSError:
        pytest.skip("no mount program here")
    if made.returncode != 0:
        pytest.skip("may not mount here; the simulated disk covers it")
    yield place
    subprocess.run(["umount", str(place)], check=True)
