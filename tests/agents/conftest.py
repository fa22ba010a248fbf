"""A scripted model for all tests of a process, in a network of its own where the machine allows it."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.model_server import RunningModel, running_model
from tests.support.programs import Place, alone


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningModel]:
    """The server that every program here talks to; it is stateless, so they may share it."""
    with running_model(tmp_path_factory.mktemp("model"), start=alone()) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A repository, and a session's homes."""
    return Place(tmp_path)
