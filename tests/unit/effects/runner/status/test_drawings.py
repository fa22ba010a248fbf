"""A drawing has one caller at a time, and what is kept has a bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from moduprompt.effects.runner.status.drawing import Drawing
from moduprompt.effects.runner.status.drawings import DRAWINGS_MAX, Drawings
from moduprompt.keeper.recording import Recording


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "recording.mprec"
    Recording(str(made), started_us=1).close()
    return made


def open_files(path: Path) -> int:
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            found += each.readlink() == path
        except FileNotFoundError:  # the folder's own
            continue
    return found


def test_what_was_taken_is_nobody_elses(path: Path) -> None:
    drawings = Drawings()
    assert drawings.take("run") is None
    drawing = Drawing(path)
    drawings.bring_back("run", drawing)

    assert drawings.take("run") is drawing
    assert drawings.take("run") is None
    drawing.close()


def test_of_two_the_later_one_is_kept_and_the_other_one_closed(path: Path) -> None:
    drawings = Drawings()
    second = Drawing(path)
    drawings.bring_back("run", Drawing(path))
    drawings.bring_back("run", second)

    assert open_files(path) == 1
    assert drawings.take("run") is second
    drawings.bring_back("run", second)
    drawings.forget("run")
    drawings.forget("run")
    assert open_files(path) == 0


def test_who_was_not_looked_at_for_longest_is_let_go(path: Path) -> None:
    drawings = Drawings()
    for number in range(DRAWINGS_MAX + 3):
        drawings.bring_back(str(number), Drawing(path))

    assert open_files(path) == DRAWINGS_MAX
    assert drawings.take("2") is None
    drawings.bring_back("another", None)
    for number in range(3, DRAWINGS_MAX + 3):
        drawings.forget(str(number))
    assert open_files(path) == 0
