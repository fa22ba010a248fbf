"""Removes a worktree: save, put aside, unregister, delete.

    1. save what would be lost (salvage.py); what can't be saved refuses the removal
    2. rename the folder to a hidden name beside it
    3. unregister it: git accepts a worktree whose folder is gone
    4. delete the renamed folder

A daemon killed after any step finishes the rest when asked again, and never takes a
half-deleted folder for an agent's work, because deleting starts after the renaming.
"""

import asyncio
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from moduprompt.effects.git.creating import UNFINISHED, find_entry
from moduprompt.effects.git.nested import repositories_with_unsaved_work
from moduprompt.effects.git.parse import WorktreeEntry, shown_files
from moduprompt.effects.git.place import (
    Place,
    find_place,
    is_folder,
    own_path,
    real_path,
    require_own_folder,
    require_utf8,
)
from moduprompt.effects.git.port import SALVAGE_PREFIX, RemoveFacts, RemoveSpec
from moduprompt.effects.git.process import GitProcess, refuse
from moduprompt.effects.git.reading import find_ref, list_worktrees
from moduprompt.effects.git.salvage import Salvage, salvage_worktree, save_head


async def remove_worktree(git: GitProcess, spec: RemoveSpec, *, place: Place) -> RemoveFacts:
    """The caller holds the locks of the repository and of the worktree."""
    require_utf8(spec.path)
    require_own_folder(spec.path)
    path = own_path(spec.path)
    aside = Path(path).with_name(f".{Path(path).name}.removed")
    entries = await list_worktrees(git, at=place.top)
    here = find_entry(entries, path=path)
    if here is None:
        await asyncio.to_thread(_require_gone, path)
        await asyncio.to_thread(_delete, aside)
        return await _facts_of_removed(git, spec, path=path, place=place)
    _require_removable(here, is_main=here is entries[0], place=place)
    saved = await _save(git, here, spec=spec, place=place)
    await asyncio.to_thread(_put_aside, path, aside)
    await git.run("worktree", "remove", "--force", "--force", "--", here.path, at=place.top)
    await asyncio.to_thread(_delete, aside)
    return RemoveFacts(
        path=path,
        salvage_ref=saved.ref if saved else None,
        salvage_commit=saved.commit if saved else None,
    )


def _require_gone(path: str) -> None:
    if os.path.lexists(path) and not (Path(path).is_dir() and not any(Path(path).iterdir())):
        message = f"{path} is no worktree of this repository"
        raise refuse("worktree_conflict", message, path=path, hint="git worktree list")


async def _facts_of_removed(git: GitProcess, spec: RemoveSpec, *, path: str, place: Place) -> RemoveFacts:
    ref = f"{SALVAGE_PREFIX}{spec.worktree_id}"
    commit = await find_ref(git, ref, at=place.top)
    return RemoveFacts(path=path, salvage_ref=ref if commit else None, salvage_commit=commit)


def _require_removable(here: WorktreeEntry, *, is_main: bool, place: Place) -> None:
    if is_main:
        message = f"{here.path} is the repository itself, not a worktree that was added to it"
        raise refuse("worktree_conflict", message, path=here.path)
    if here.locked is not None and here.locked != UNFINISHED:
        why = f": {here.locked}" if here.locked else ""
        hint = f"git -C {place.top} worktree unlock {here.path}"
        raise refuse("worktree_conflict", f"{here.path} is locked{why}", path=here.path, hint=hint)


async def _save(git: GitProcess, here: WorktreeEntry, *, spec: RemoveSpec, place: Place) -> Salvage | None:
    if not is_folder(here.path):
        return await save_head(
            git, head=here.head, branch=here.branch, worktree_id=spec.worktree_id, at=place.top
        )
    inside = await find_place(git, here.path)
    if inside.common_dir != place.common_dir or inside.top != real_path(here.path):
        message = f"{here.path} has lost its link to {place.top}, so that its work can't be saved"
        hint = f"git -C {place.top} worktree repair {here.path}"
        raise refuse("worktree_conflict", message, path=here.path, hint=hint)
    unsaved = shown_files(await repositories_with_unsaved_work(git, top=inside.top))
    if unsaved:
        message = f"{here.path} holds repositories with work that is nowhere else: {', '.join(unsaved)}"
        hint = "push what they hold, or move them away"
        raise refuse("worktree_conflict", message, path=here.path, hint=hint, files=unsaved)
    return await salvage_worktree(git, place=inside, worktree_id=spec.worktree_id)


def _put_aside(path: str, aside: Path) -> None:
    if not Path(path).exists():
        return
    _delete(aside)
    try:
        Path(path).rename(aside)
    except OSError as broken:
        message = f"{path} can't be moved: {broken.strerror}"
        raise refuse("git_failed", message, path=path) from broken


def _delete(aside: Path) -> None:
    if not os.path.lexists(aside):
        return
    try:
        shutil.rmtree(aside, onerror=_make_writable_and_retry)
    except OSError as broken:
        message = f"{aside} can't be deleted: {broken.strerror}"
        raise refuse("git_failed", message, path=str(aside), hint=f"remove {aside}") from broken


def _make_writable_and_retry(function: Callable[[str], object], path: str, _: object) -> None:
    """An agent's build may leave folders without write permission (a module cache, for one)."""
    for target in (os.path.dirname(path), path):
        if os.path.isdir(target) and not os.path.islink(target):
            os.chmod(target, stat.S_IRWXU)
    if function in {os.unlink, os.rmdir}:
        function(path)
    else:
        shutil.rmtree(path)
