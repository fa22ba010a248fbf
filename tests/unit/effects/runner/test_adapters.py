"""How agent programs are started, and in which environment."""

from pathlib import Path

import pytest

from moduprompt.effects.runner.adapters import (
    ADAPTERS,
    SYSTEM_PATH,
    AgentCommand,
    AgentRefused,
    AgentRequest,
    adapter_named,
    install_commands,
    run_environment,
)


def command_of(name: str, request: AgentRequest) -> AgentCommand | AgentRefused:
    adapter = adapter_named(name)
    assert adapter is not None
    return adapter.command(request)


def test_adapters_have_names_of_their_own() -> None:
    assert len({adapter.name for adapter in ADAPTERS}) == len(ADAPTERS)
    assert adapter_named("nobody") is None


def test_a_command_is_run_as_given_and_told_where_its_prompt_is() -> None:
    request = AgentRequest(program=("sh", "work.sh"), prompt="/prompts/1")

    assert command_of("command", request) == AgentCommand(
        argv=("sh", "work.sh"), env={"MP_PROMPT_FILE": "/prompts/1"}
    )


def test_the_scripted_agent_is_started_from_its_folder_with_its_script() -> None:
    command = command_of("scripted", AgentRequest(script="/scripts/demo.toml"))

    assert isinstance(command, AgentCommand)
    *_, folder, script = command.argv
    assert (Path(folder) / "__main__.py").is_file()
    assert script == "/scripts/demo.toml"
    assert command.env == {}


@pytest.mark.parametrize("name", [adapter.name for adapter in ADAPTERS])
def test_a_request_without_what_the_adapter_needs_is_refused_with_a_hint(name: str) -> None:
    refused = command_of(name, AgentRequest())

    assert isinstance(refused, AgentRefused)
    assert refused.hint


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
