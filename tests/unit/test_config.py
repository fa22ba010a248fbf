"""What a person can set in `config.toml`, and what is said to what can't be."""

from pathlib import Path
from typing import get_args

import pytest

from moduprompt.config import AdapterLimits, CapsuleKindWord, Choices, Config, ConfigRefused, load_config
from moduprompt.domain.capsule.commands import CHARS_MAX


def loaded(home: Path, text: str) -> Config:
    folder = home / "moduprompt"
    folder.mkdir()
    (folder / "config.toml").write_text(text)
    runtime = {"XDG_CONFIG_HOME": str(home), "HOME": "/h"}
    return load_config(Choices(runtime_dir="/run/mp", listen="127.0.0.1:1"), runtime)


def test_limits_are_read_in_words_of_people(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        'listen = "127.0.0.1:2"\nlive_runs_max = 7\n[limits.command]\nmemory = "512M"\nwall = "8h"\n'
        'idle = "90s"\noutput = "1024"\nprocesses = 50\ncores = 1.5\n[limits.scripted]\n',
    )

    assert config.limits == {
        "command": AdapterLimits(
            wall_s=28_800,
            idle_s=90,
            memory_bytes_max=512 * 1024**2,
            output_bytes_max=1024,
            processes_max=50,
            cpu_cores_max=1.5,
        ),
        "scripted": AdapterLimits(),
    }
    assert (config.live_runs_max, config.listen) == (7, "127.0.0.1:1"), "a flag wins over the file"


@pytest.mark.parametrize(
    "line",
    [
        'memory = "lots"',
        'memory = "4h"',
        'wall = "8"',
        'wall = "0s"',
        'wall = "-1h"',
        'memory = "1.5G"',
        "memory = 512",
        "processes = 0",
        "cores = 0",
        "nice = 3",
    ],
)
def test_a_limit_that_says_nothing_is_refused_with_a_hint(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        loaded(tmp_path, f"[limits.command]\n{line}\n")

    assert "config.toml" in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("line", ["live_runs_max = 0", 'live_runs_max = "7"', "runs = 1"])
def test_a_setting_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        loaded(tmp_path, line)

    assert "live_runs_max" in refused.value.hint


def test_capsules_are_bounded_by_their_kind(tmp_path: Path) -> None:
    assert loaded(tmp_path, "[capsules]\nstatus = 4000").capsules == {"status": 4_000}


@pytest.mark.parametrize("line", ["mood = 5", "status = 0", "status = 20001", 'status = "5"'])
def test_a_bound_of_capsules_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigRefused):
        loaded(tmp_path, f"[capsules]\n{line}")


def test_the_kinds_of_capsules_are_those_that_there_are() -> None:
    assert get_args(CapsuleKindWord) == tuple(CHARS_MAX)
