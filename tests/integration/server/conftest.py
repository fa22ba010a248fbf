"""One daemon for each test, in the test's own process."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.support.served import Served, serve_in


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncGenerator[Served]:
    """A daemon that answers on its socket."""
    async with serve_in(tmp_path) as served:
        yield served
