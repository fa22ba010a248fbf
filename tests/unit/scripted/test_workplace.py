"""No path of a script leads out of the working directory."""

from pathlib import Path

import pytest

from moduprompt.scripted.workplace import OutsideError, Workplace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / ".git").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "gitlink").symlink_to(tmp_path / "root" / ".git")
    return tmp_path / "root"


@pytest.mark.parametrize(
    "path",
    ["..", "../outside/a", "a/../../outside", "link/a", "link", ".", "/etc/passwd", ".git/config",
     "a/../.GIT/config", "gitlink/config", "sub/.git/hooks/x"],
)  # fmt: skip
def test_a_path_that_leads_out_or_into_git_is_refused(root: Path, path: str) -> None:
    with pytest.raises(OutsideError):
        Workplace(str(root)).find(path)


def test_a_sibling_with_the_same_beginning_is_outside(root: Path) -> None:
    with pytest.raises(OutsideError):
        Workplace(str(root)).find("../rootless/a")


@pytest.mark.parametrize("path", ["a", "a/b/../c", ".gitignore", "..a", "a.git"])
def test_a_path_inside_is_found(root: Path, path: str) -> None:
    assert Workplace(str(root)).find(path).is_relative_to(root.resolve())


def test_an_absolute_path_inside_is_inside(root: Path) -> None:
    assert Workplace(str(root)).find(str(root / "a")) == root.resolve() / "a"


def test_a_folder_is_no_file(root: Path) -> None:
    (root / "sub").mkdir()
    with pytest.raises(OutsideError, match="no file"):
        Workplace(str(root)).find_file("sub")
