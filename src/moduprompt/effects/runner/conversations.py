"""Chooses whether a run carries a conversation on, by what its adapter knows and what lies on the disk.

A program that is told to carry on what it hasn't got ends with an error, asks a question that nobody answers, or
works in the wrong directory. So it is looked first: whether the conversation has a name, whether its file is
there, and whether the program carries it on from this directory. Where a copy of the file at another place is
all it takes, the copy is made; it holds whole lines only, for the other program may be writing. Everything else
begins fresh, with the reason.
"""

import re
import shutil
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.domain.run.commands import Begun
from moduprompt.domain.run.conversations import Earlier
from moduprompt.effects.agents.port import AgentAdapter

# It becomes a word of a command line and a part of a path, and a program chose it: nothing that reads as an
# option or leads out of a folder.
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """How a run begins; with which conversation where it carries one on."""

    begun: Begun
    why: str
    conversation_id: str | None = None


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """A directory to work in, and the home of who works there."""

    home: Path
    cwd: str


def choose(adapter: AgentAdapter, earlier: Earlier, *, here: Ground, there: Ground) -> Chosen:
    """`there` is where the conversation was held, `here` where it is to go on. Copies it where that is needed."""
    resuming = adapter.resuming
    if earlier.adapter != adapter.name:
        return _fresh(f"it was held by {earlier.adapter}")
    if not resuming.is_possible:
        return _fresh(f"{adapter.name} can't carry a conversation on")
    name = earlier.conversation_id or (earlier.run_id if resuming.is_named_by_us else None)
    if name is None or NAME.fullmatch(name) is None:
        return _fresh("its program never named it" if name is None else "its name can't be used")
    is_same_home, is_same_place = there.home == here.home, there.cwd == here.cwd
    if not resuming.kept_in:  # nobody can look into it
        if is_same_home and is_same_place:
            return _carried_on(name, "in the same directory")
        return _fresh(f"{adapter.name} carries on in the same directory only")
    kept = _newest(there.home, resuming.kept_in.format(name=name, short=name[:8]))
    if kept is None:
        return _fresh("nothing of it was saved")
    if is_same_home and (is_same_place or resuming.from_anywhere):
        return _carried_on(name, "in the same directory" if is_same_place else "from another directory")
    place = _place_of_copy(adapter, kept, here=here, there=there)
    if place is None:
        return _fresh(f"{adapter.name} carries on in the same directory only")
    _copy(kept, place)
    return _carried_on(name, "from another directory, as a copy")


def _fresh(why: str) -> Chosen:
    return Chosen(begun="fresh", why=why)


def _carried_on(name: str, why: str) -> Chosen:
    return Chosen(begun="carried_on", why=why, conversation_id=name)


def _newest(home: Path, pattern: str) -> Path | None:
    """The same conversation may lie for several directories: it went on in the one that was written last."""
    found = [path for path in home.glob(pattern) if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)


def _place_of_copy(adapter: AgentAdapter, kept: Path, *, here: Ground, there: Ground) -> Path | None:
    if adapter.resuming.from_anywhere:
        return here.home / kept.relative_to(there.home)
    folder = adapter.resuming.folder_of(here.cwd) if adapter.resuming.folder_of else None
    return None if folder is None else here.home / folder / kept.name


def _copy(kept: Path, place: Path) -> None:
    """With what lies in a folder of its name beside it: outputs that are too long for the file itself."""
    if place == kept:
        return
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = kept.with_suffix("")
    if beside.is_dir():
        shutil.copytree(beside, place.with_suffix(""), dirs_exist_ok=True)
    fresh = place.with_name(f".{place.name}.new")
    content = kept.read_bytes()
    fresh.touch(mode=0o600)
    fresh.write_bytes(content[: content.rfind(b"\n") + 1])
    fresh.replace(place)
