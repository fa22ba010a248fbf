"""What every adapter promises, and how each is started."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import get_args

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ExitHow
from moduprompt.domain.run.said import TroubleSeen, TurnEnded
from moduprompt.effects.agents.catalogue import ADAPTERS, adapter_named
from moduprompt.effects.agents.judging import RULES
from moduprompt.effects.agents.port import (
    AgentAdapter,
    AgentCommand,
    AgentRefused,
    AgentRequest,
    End,
    Work,
)
from moduprompt.effects.agents.summary import Summary

HOUR_S = 3_600.0
NIGHT_S = 8 * HOUR_S

each_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)


def command_of(name: str, request: AgentRequest) -> AgentCommand | AgentRefused:
    adapter = adapter_named(name)
    assert adapter is not None
    return adapter.command(request)


def test_adapters_have_names_of_their_own() -> None:
    assert len({adapter.name for adapter in ADAPTERS}) == len(ADAPTERS)
    assert adapter_named("nobody") is None


def test_a_command_is_run_as_given_and_told_where_its_prompt_is() -> None:
    request = AgentRequest(words=("sh", "work.sh"), prompt_file="/prompts/1")

    assert command_of("command", request) == AgentCommand(
        argv=("sh", "work.sh"), env={"MP_PROMPT_FILE": "/prompts/1"}
    )


def test_the_scripted_agent_is_started_from_its_folder_with_its_script() -> None:
    command = command_of("scripted", AgentRequest(words=("/scripts/demo.toml",)))

    assert isinstance(command, AgentCommand)
    *_, folder, script = command.argv
    assert (Path(folder) / "__main__.py").is_file()
    assert script == "/scripts/demo.toml"
    assert command.env == {}


@pytest.mark.parametrize("name", ["scripted", "command", "acp"])
def test_a_request_without_what_the_adapter_needs_is_refused_with_a_hint(name: str) -> None:
    refused = command_of(name, AgentRequest())

    assert isinstance(refused, AgentRefused)
    assert refused.hint


@each_adapter
def test_what_an_adapter_claims_its_level_can_do(adapter: AgentAdapter) -> None:
    is_understood = adapter.level in ("control", "acp", "json")

    assert (adapter.reader() is not None) == is_understood
    channel = adapter.channel(
        AgentRequest(words=("x",) if adapter.name in ("command", "scripted", "acp") else ())
    )
    assert channel is None or adapter.level in ("control", "acp")
    assert adapter.memory_bytes > 0
    assert adapter.limits.wall_s


@each_adapter
def test_who_may_wait_for_a_person_is_not_ended_for_its_silence(adapter: AgentAdapter) -> None:
    if adapter.level != "json":
        assert adapter.limits.idle_s is None


@pytest.mark.parametrize("name", ["codex", "gemini", "opencode", "pi"])
def test_who_gets_one_prompt_and_tries_for_ever_has_no_longer_than_a_night(name: str) -> None:
    adapter = adapter_named(name)

    assert adapter is not None
    assert adapter.limits.wall_s == NIGHT_S
    assert adapter.limits.idle_s == HOUR_S


@each_adapter
def test_a_run_that_was_stopped_or_timed_out_is_no_success(adapter: AgentAdapter) -> None:
    verdicts = [adapter.verdict(End(said=Summary(), how=how, code=0)) for how in ("stopped", "timed_out")]

    assert [each.outcome for each in verdicts] == ["failed", "failed"]
    assert all(each.failure and each.rule and each.evidence for each in verdicts)


@each_adapter
def test_a_program_that_says_what_it_does_is_not_believed_by_its_exit_code(adapter: AgentAdapter) -> None:
    verdict = adapter.verdict(End(said=Summary(), how="exited", code=0))

    assert (verdict.outcome == "succeeded") == (adapter.reader() is None)


HOWS: tuple[ExitHow, ...] = get_args(ExitHow)
TURNS = (None, TurnEnded(how="done"), TurnEnded(how="failed", failure=FailureClass.NETWORK))
TROUBLES = (None, TroubleSeen(failure=FailureClass.AUTH_REQUIRED, message="401"))
WORKS = (None, *(Work(has_changes=each, has_commits=False) for each in (True, False)))


@each_adapter
def test_a_verdict_names_a_rule_that_its_adapter_announces(adapter: AgentAdapter) -> None:
    summaries = [
        Summary(
            last_turn=turn, last_trouble=trouble, tools_called=2, tools_refused=refused, tools_failed=failed
        )
        for turn, trouble, refused, failed in itertools.product(TURNS, TROUBLES, (0, 2), (0, 2))
    ]
    ends = itertools.product(summaries, HOWS, (0, 1), WORKS)
    rules = {
        adapter.verdict(End(said=said, how=how, code=code, work=work)).rule for said, how, code, work in ends
    }

    assert rules <= set(adapter.rules) <= set(RULES)


@each_adapter
def test_a_turn_is_reached_as_its_program_is_started(adapter: AgentAdapter) -> None:
    for words in ((), ("--turns", "many"), ("sh",), ("claude",), ("opencode",)):
        reach = adapter.reach(words)
        is_talked_to = adapter.channel(AgentRequest(words=words)) is not None
        assert (reach.interrupted_by == "line") == is_talked_to
        assert bool(reach.keys) == (reach.interrupted_by == "keys")
        assert is_talked_to or not reach.takes_words
        assert ("steer" in reach.abilities()) == reach.takes_words
        assert ("interrupt" in reach.abilities()) == (reach.interrupted_by is not None)


@pytest.mark.parametrize(
    ("words", "keys"),
    [(("make",), b"\x03"), ((), b"\x03"), (("/opt/bin/codex", "-m", "x"), b"\x1b"), (("opencode",), b"")],
)
def test_a_program_in_a_terminal_has_its_own_key(words: tuple[str, ...], keys: bytes) -> None:
    adapter = adapter_named("command")
    assert adapter is not None
    assert adapter.reach(words).keys == keys
