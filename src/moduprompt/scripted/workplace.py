"""The folder the agent works in. Paths of a script lead nowhere else.

Links are followed before a path is judged, so that neither `..` nor a link leads out. Inside
`.git` nothing is read or written by name: that is for `git`.
"""

import os
from pathlib import Path


class OutsideError(Exception):
    """A path that the script may not use."""


class Workplace:
    def __init__(self, root: str) -> None:
        self._root = os.path.realpath(root)

    def find(self, path: str) -> Path:
        """Where the path really leads."""
        found = os.path.realpath(os.path.join(self._root, path))  # noqa: PTH118 — an absolute one may be inside
        if os.path.commonpath((self._root, found)) != self._root or found == self._root:
            raise OutsideError(f"{path} leads out of the working directory")
        inside = Path(found).relative_to(self._root)
        if ".git" in (part.casefold() for part in inside.parts):
            raise OutsideError(f"{path} leads into .git")
        return Path(found)

    def find_file(self, path: str) -> Path:
        """A file, or a place where one can be made; no folder, device or pipe."""
        found = self.find(path)
        if found.exists() and not found.is_file():
            raise OutsideError(f"{path} is no file")
        return found
