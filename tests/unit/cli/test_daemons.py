"""Whether a process is gone, and what a daemon that did not come up had to say."""

import subprocess
import sys
from pathlib import Path

from moduprompt.cli.daemons import is_gone, is_locked
from moduprompt.config import Config
from tests.support.deadline import eventually


def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path, runtime_dir=tmp_path, log_db=tmp_path / "log.sqlite", listen=None)


def test_a_process_that_nobody_has_waited_for_is_gone() -> None:
    process = subprocess.Popen(["true"])

    eventually(lambda: is_gone(process.pid))

    assert process.wait() == 0
    assert is_gone(process.pid)


def test_a_process_that_runs_is_not_gone() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        assert not is_gone(process.pid)


def test_a_lock_is_seen_for_as_long_as_it_is_held(tmp_path: Path) -> None:
    own = config(tmp_path)
    assert not is_locked(own.lock_file)
    hold = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(own.lock_file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert is_locked(own.lock_file)
    assert not is_locked(own.lock_file)
