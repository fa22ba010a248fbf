"""Each benchmark comes to figures. Which ones is none of a test's business."""

import subprocess
import sys

import msgspec
import pytest
from bench.benchmarks import BENCHMARKS
from bench.figures import Figure

from tests.support.source_tree import ROOT


@pytest.mark.parametrize("name", [name for name, _ in BENCHMARKS])
def test_a_benchmark_comes_to_figures_with_goals(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.benchmarks", name, "--quick"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr.decode()
    figures = msgspec.json.decode(done.stdout, type=list[Figure])
    assert figures
    assert all(figure.value >= 0 and figure.of_goal >= 0 for figure in figures)


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "hint: there are commands, " in done.stderr
