"""What every run gets, whatever its program."""

from __future__ import annotations

from pathlib import Path

import pytest

from moduprompt.effects.agents.surroundings import SYSTEM_PATH, install_commands, run_environment


def test_an_environment_is_what_is_declared_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAEMON_SECRET", "must not leak")

    environment = run_environment(
        home="/home/ada", commands_dir=Path("/data/.bin"), variables={"MP_TOKEN": "t", "TERM": "dumb"}
    )

    assert environment == {
        "PATH": f"/data/.bin:{SYSTEM_PATH}",
        "HOME": "/home/ada",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "MP_TOKEN": "t",
    }


def test_our_own_commands_lie_in_a_folder_that_holds_nothing_else(tmp_path: Path) -> None:
    install_commands(tmp_path)
    folder = install_commands(tmp_path)

    assert [entry.name for entry in folder.iterdir()] == ["mpctl"]
    assert (folder / "mpctl").readlink().name == "mpctl"
    assert not folder.name[0].isalnum()
