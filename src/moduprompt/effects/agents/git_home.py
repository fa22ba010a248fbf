"""git's configuration for a program whose HOME, or whose folder of configurations, is its session's: it leads to its user's own.

Without it git there knows neither who commits nor what its user ignores everywhere. What the repository says goes before it.
"""

import os
from collections.abc import Iterable
from typing import Final

from moduprompt.effects.git.identity import FALLBACK_EMAIL, FALLBACK_NAME

XDG_FILE: Final = ".config/git/config"  # in a user's home, as the others
HOME_FILE: Final = ".gitconfig"
# Where git looks for them below the folder of configurations, unless its configuration says where.
LISTS: Final = (("excludesFile", ".config/git/ignore"), ("attributesFile", ".config/git/attributes"))
NOBODY: Final = ("[user]", f"\tname = {FALLBACK_NAME}", f"\temail = {FALLBACK_EMAIL}")


def led_home(user_home: str, *, files: Iterable[str], first: Iterable[str] = ()) -> bytes:
    """The text of a configuration: lines of ours, then those of the user's files that are there; what git reads last wins."""
    lines = list(first)
    if user_home:
        lines += ["[core]", *(f"\t{name} = {_quoted(f'{user_home}/{path}')}" for name, path in LISTS)]
        lines += [f"[include]\n\tpath = {_quoted(f'{user_home}/{file}')}" for file in files]
    return os.fsencode("\n".join([*lines, ""]))


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
