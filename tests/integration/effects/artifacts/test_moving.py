"""What an older version kept for all workspaces comes to each that names it, and to no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from moduprompt.domain.session.commands import PromptSession
from moduprompt.effects.artifacts import moving
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.artifacts.moving import give_each_its_own
from moduprompt.protocol import WorkspaceId
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.served import serve_in

TEXT = b"said twice"
REF = content_hash(TEXT)


async def an_old_folder(path: Path) -> tuple[WorkspaceId, WorkspaceId, WorkspaceId]:
    """Two workspaces that name a text, one that doesn't, and the text where it lay before."""
    async with serve_in(path) as daemon:
        homes = [await daemon.make_workspace(name) for name in "abc"]
        for home in homes[:2]:
            line = await daemon.make_session(home, await daemon.make_project(home))
            said = PromptSession(workspace_id=home, session_id=line.session_id, prompt=TEXT.decode())
            await daemon.accepted(said)
    digest = REF.removeprefix("blake3:")
    old = path / "artifacts" / digest[:2] / digest
    old.parent.mkdir()
    artifacts = FolderArtifacts(path / "artifacts")
    artifacts.path_of(homes[0], REF).rename(old)
    await artifacts.erase(homes[1], REF)
    return homes[0], homes[1], homes[2]


async def moved(path: Path) -> FolderArtifacts:
    log = await SqliteLog.open(path / "log.sqlite")
    try:
        await give_each_its_own(path / "artifacts", log)
    finally:
        await log.close()
    return FolderArtifacts(path / "artifacts")


async def test_each_workspace_gets_what_it_names_and_nothing_is_shared(tmp_path: Path) -> None:
    one, two, three = await an_old_folder(tmp_path)

    artifacts = await moved(tmp_path)

    assert await artifacts.get(one, REF) == await artifacts.get(two, REF) == TEXT
    assert await artifacts.get(three, REF) is None
    await artifacts.erase(one, REF)
    assert await artifacts.get(two, REF) == TEXT
    assert sorted(each.name for each in (tmp_path / "artifacts").iterdir()) == sorted([one, two])


async def test_a_crash_in_the_middle_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, _ = await an_old_folder(tmp_path)

    def dies(*_: object) -> None:
        raise OSError("the machine stops")

    with monkeypatch.context() as patched:
        patched.setattr(moving, "_remove", dies)
        with pytest.raises(OSError, match="stops"):
            await moved(tmp_path)
    artifacts = await moved(tmp_path)

    assert await artifacts.get(one, REF) == await artifacts.get(two, REF) == TEXT


async def test_a_new_folder_is_left_alone(tmp_path: Path) -> None:
    async with serve_in(tmp_path):
        pass

    await moved(tmp_path)

    assert not (tmp_path / "artifacts").exists()
