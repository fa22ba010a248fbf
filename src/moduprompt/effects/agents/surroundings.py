"""What every run gets, whatever its program: an exact environment, and our own commands.

A run's environment is declared here: a PATH, a HOME, a language, a terminal, and MP_*. Nothing of the
daemon's own environment leaks, except what an adapter names.
"""

import sysconfig
from collections.abc import Mapping
from pathlib import Path

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMANDS_DIR_NAME = ".bin"  # in the runs directory; begins with a dot so that it is no run
COMMANDS = ("mpctl",)  # what an agent may call of ours


def run_environment(
    *, home: str, commands_dir: Path, variables: Mapping[str, str], path: str = SYSTEM_PATH
) -> dict[str, str]:
    """The exact environment of a run. `variables` holds the MP_* and the adapter's own, and wins."""
    return {
        "PATH": f"{commands_dir}:{path}",
        "HOME": home,
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        **variables,
    }


def install_commands(runs_dir: Path) -> Path:
    """A directory that holds our `mpctl` and nothing else, to go first in a run's PATH.

    Not the environment's whole bin directory: its `python3` must not shadow the one the repository's own
    tools expect. Safe to repeat; a link to an older installation is replaced.
    """
    directory = runs_dir.absolute() / COMMANDS_DIR_NAME
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in COMMANDS:
        target = Path(sysconfig.get_path("scripts")) / name
        fresh = directory / f".{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(directory / name)
    return directory
