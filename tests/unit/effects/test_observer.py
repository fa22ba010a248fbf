"""What is looked at before a decision: programs, without starting any."""

from __future__ import annotations

from pathlib import Path

import pytest

from moduprompt.domain.decider import Observation
from moduprompt.domain.project.commands import CreateProject, RenameProject
from moduprompt.domain.session.commands import AgentSpec, ForkSession, SpawnSession
from moduprompt.effects.git.program import GitProgram
from moduprompt.effects.observer import LocalObserver
from moduprompt.protocol import Code, ProjectId, Rejection, SessionId, WorkspaceId

WORKSPACE = WorkspaceId("00000000-0000-7000-8000-0000000000a1")
PROJECT = ProjectId("00000000-0000-7000-8000-0000000000b1")
SESSION = SessionId("00000000-0000-7000-8000-0000000000c1")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder on the PATH with one program and one file that is none."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "agent").write_text("#!/bin/sh\n")
    (folder / "agent").chmod(0o755)
    (folder / "notes").write_text("not a program")
    return folder


def observer(programs: Path) -> LocalObserver:
    return LocalObserver(GitProgram(environment={}), program_path=str(programs))


async def spawned(programs: Path, adapter: str, *argv: str) -> Observation:
    command = SpawnSession(
        workspace_id=WORKSPACE,
        project_id=PROJECT,
        name="s",
        agent=AgentSpec(adapter=adapter, argv=argv),
    )
    return await observer(programs).observe(command)


def reason_of(seen: Observation) -> object:
    """The rule that refused; nothing is refused without words and a hint."""
    assert isinstance(seen, Rejection)
    assert seen.code is Code.VALIDATION_FAILED
    assert seen.message
    assert seen.hint
    return (seen.details or {})["reason"]


async def test_a_program_on_the_path_is_there(programs: Path) -> None:
    assert await spawned(programs, "command", "agent", "--fast") is None


async def test_a_program_by_its_full_path_is_there(programs: Path) -> None:
    assert await spawned(programs, "command", str(programs / "agent")) is None


async def test_a_program_of_the_repository_is_looked_for_when_it_is_started(programs: Path) -> None:
    assert await spawned(programs, "command", "./tools/agent") is None


@pytest.mark.parametrize("name", ["missing", "notes"])
@pytest.mark.parametrize("full", [False, True])
async def test_what_cant_be_executed_is_missing(programs: Path, name: str, full: bool) -> None:
    seen = await spawned(programs, "command", str(programs / name) if full else name)

    assert reason_of(seen) == "program_missing"
    assert isinstance(seen, Rejection)
    assert name in seen.message


async def test_a_folder_is_no_program(programs: Path) -> None:
    assert reason_of(await spawned(programs, "command", str(programs))) == "program_missing"


async def test_a_command_without_words_is_refused(programs: Path) -> None:
    assert reason_of(await spawned(programs, "command")) == "agent_spec"


async def test_an_adapter_that_is_none_is_refused_with_those_there_are(programs: Path) -> None:
    seen = await spawned(programs, "unheard-of", "agent")

    assert reason_of(seen) == "adapter_unknown"
    assert isinstance(seen, Rejection)
    assert "scripted, command" in (seen.hint or "")


async def test_a_script_is_looked_for_by_its_full_path(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = programs / "script.toml"
    script.write_text("")
    monkeypatch.chdir(programs)

    assert await spawned(programs, "scripted", str(script)) is None
    assert reason_of(await spawned(programs, "scripted", "script.toml")) == "script_missing"
    assert reason_of(await spawned(programs, "scripted", str(programs / "other.toml"))) == "script_missing"
    assert reason_of(await spawned(programs, "scripted", str(programs))) == "script_missing"
    assert reason_of(await spawned(programs, "scripted")) == "agent_spec"


async def test_a_forks_own_program_is_looked_for_and_an_inherited_one_is_not(programs: Path) -> None:
    fork = ForkSession(workspace_id=WORKSPACE, session_id=SESSION, name="f")
    other = ForkSession(
        workspace_id=WORKSPACE,
        session_id=SESSION,
        name="f",
        agent=AgentSpec(adapter="command", argv=("missing",)),
    )

    assert await observer(programs).observe(fork) is None
    assert reason_of(await observer(programs).observe(other)) == "program_missing"


async def test_nothing_is_looked_at_where_nothing_needs_to_be(programs: Path) -> None:
    rename = RenameProject(workspace_id=WORKSPACE, project_id=PROJECT, name="x")

    assert await observer(programs).observe(rename) is None
    assert await observer(programs).observe(CreateProject(workspace_id=WORKSPACE, name="x")) is None
