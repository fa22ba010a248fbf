"""Where a run starts: in its worktree, and in nothing that only lies in its place."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.domain.run.commands import ReportExited
from tests.unit.effects.runner.test_run_hand import KEEP, Scene, gone


@pytest.mark.parametrize("what", ["a folder without its link", "a link to another worktree"])
async def test_a_run_does_not_start_in_what_is_no_worktree_any_more(tmp_path: Path, what: str) -> None:
    scene, tree, other = Scene(tmp_path, gone()), tmp_path / "tree", tmp_path / "other"
    other.mkdir()
    (other / ".git").write_text("gitdir: elsewhere\n")
    if what == "a folder without its link":
        tree.mkdir()
    else:
        tree.symlink_to(other)

    assert await scene.hand.carry_out(replace(KEEP, cwd=str(tree))) is True
    assert scene.backend.starts == []
    (ended,) = scene.reports.commands
    assert isinstance(ended, ReportExited)
    assert (ended.how, str(tree) in (ended.reason or "")) == ("not_started", True)


async def test_a_run_starts_in_its_worktree(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())
    (tmp_path / ".git").write_text("gitdir: /srv/repo/.git/worktrees/one\n")

    await scene.hand.carry_out(replace(KEEP, cwd=str(tmp_path)))
    assert [spec.cwd for spec in scene.backend.starts] == [str(tmp_path)]


async def test_a_program_whose_home_is_its_sessions_is_told_where_its_user_lives(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())

    await scene.hand.carry_out(replace(KEEP, adapter="aider", argv=("--model", "m")))

    (spec,) = scene.backend.starts
    told = (Path(spec.env["HOME"]) / ".gitconfig").read_text()
    assert f'"{Path("/home/agent") / ".gitconfig"}"' in told
