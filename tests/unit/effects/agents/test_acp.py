"""How agents of the Agent Client Protocol are started, what is made of what three of them said, and the verdict on it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from signal import SIGKILL
from typing import Final

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    ConversationNamed,
    Said,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.effects.agents.acp_agents import ENDS_WITH_ITS_INPUT, KNOWN
from moduprompt.effects.agents.acp_messages import greeting
from moduprompt.effects.agents.port import AgentCommand, AgentRefused, AgentRequest, End, Work
from moduprompt.effects.agents.summary import Summary
from tests.support.deadline import HANG_S
from tests.support.transcripts import adapter_of, heard, reader_of, transcripts, verdict_on
from tests.unit.effects.agents.started import started

CROWD: Final = 64  # at once, on few cores: each way of its processes to come late is met

UNTOUCHED: Final = Work(has_changes=False, has_commits=False)
CHANGED: Final = Work(has_changes=True, has_commits=False)
CREDENTIALS: Final = {"ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "g", "OPENAI_API_KEY": "o"}
each_agent = pytest.mark.parametrize("agent", [known.program for known in KNOWN])


def output(agent: str, case: str) -> bytes:
    return transcripts("acp")[f"{agent}_{case}"]


def said_in(agent: str, case: str) -> list[Said]:
    return heard(reader_of("acp"), output(agent, case))


def test_an_agent_that_nobody_knows_gets_its_words_and_nothing_else() -> None:
    command = started("acp", words=("/opt/agent", "--stdio"), variables=CREDENTIALS)

    assert command == AgentCommand(
        argv=("/opt/agent", "--stdio"), io="pipes", stdin="open", opening=greeting()
    )


@pytest.mark.parametrize(
    ("words", "argv"),
    [
        (("gemini",), ("gemini", "--acp", "--skip-trust")),
        (("--turns", "many", "gemini"), ("gemini", "--acp", "--skip-trust")),
        (("--turns=one", "gemini", "--turns"), ("gemini", "--acp", "--skip-trust", "--turns")),
        (("/opt/gemini", "--acp"), ("/opt/gemini", "--skip-trust", "--acp")),
        (
            ("codex-acp", "-c", "model=m"),
            ("sh", "-c", ENDS_WITH_ITS_INPUT, "sh", "codex-acp", "-c", "model=m"),
        ),
    ],
)
def test_a_known_agent_is_named_by_its_program_alone(words: tuple[str, ...], argv: tuple[str, ...]) -> None:
    assert started("acp", words=words).argv == argv


@pytest.mark.parametrize(
    "words", [("--turns", "many"), ("--yolo", "gemini"), ("--turns",), ("--turns=", "x")]
)
def test_options_before_the_command_line_are_ours_and_checked(words: tuple[str, ...]) -> None:
    refused = adapter_of("acp").command(AgentRequest(words=words))

    assert isinstance(refused, AgentRefused)
    assert refused.hint


@pytest.mark.parametrize(
    ("agent", "folder", "key"),
    [
        ("gemini", "GEMINI_CLI_HOME", "GEMINI_API_KEY"),
        ("codex-acp", "CODEX_HOME", "OPENAI_API_KEY"),
        ("claude-agent-acp", "CLAUDE_CONFIG_DIR", "ANTHROPIC_API_KEY"),
    ],
)
def test_a_known_agent_has_a_folder_of_its_own_and_its_own_key_only(
    agent: str, folder: str, key: str
) -> None:
    command = started("acp", words=(agent,), variables=CREDENTIALS)

    assert command.env[folder] == "/home"
    assert command.env.keys() & CREDENTIALS.keys() == {key}


@pytest.mark.parametrize(("agent", "is_closed", "code"), [("sleep 300", True, 0), ("exit 7", False, 7)])
def test_an_agent_that_stays_ends_with_its_input_and_the_rest_with_the_agent_also_in_a_crowd(
    agent: str, is_closed: bool, code: int
) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(around(agent)) for _ in range(CROWD)]
        for process in crowd:
            assert process.stdin is not None
            if is_closed:
                process.stdin.close()

        assert [process.wait(HANG_S) for process in crowd] == [code] * CROWD


def test_an_agent_that_stays_reads_its_own_input_from_the_first_byte() -> None:
    with around('read -r line && [ "$line" = hello ] && exit 5') as process:
        assert process.stdin is not None
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.wait(HANG_S) == 5


@contextmanager
def around(agent: str) -> Generator[subprocess.Popen[bytes]]:
    words = ("sh", "-c", ENDS_WITH_ITS_INPUT, "sh", "sh", "-c", agent)
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # where it ended as it should, nobody is left
                os.killpg(process.pid, SIGKILL)


def test_codex_asks_before_it_does_anything_and_is_told_where_its_model_is() -> None:
    command = started("acp", words=("codex-acp",), variables={"OPENAI_BASE_URL": "http://x/v1"})
    (file,) = command.files

    assert file.path == "config.toml"
    assert b'approval_policy = "untrusted"' in file.content
    assert b'base_url = "http://x/v1"' in file.content
    assert "OPENAI_BASE_URL" not in command.env


@each_agent
def test_a_run_that_went_well_is_told_step_by_step(agent: str) -> None:
    told = said_in(agent, "good")
    kinds = (ConversationNamed, TurnBegan, ToolCalled, ToolEnded, TurnEnded)

    assert [type(each) for each in told if isinstance(each, kinds)] == [
        ConversationNamed,
        TurnBegan,
        ToolCalled,
        ToolEnded,
        ToolCalled,
        ToolEnded,
        TurnEnded,
    ]
    assert {each.how for each in told if isinstance(each, ToolEnded)} == {"done"}
    assert verdict_on("acp", output(agent, "good"), work=CHANGED).outcome == "succeeded"


@each_agent
def test_what_was_used_is_told_where_the_agent_tells_it(agent: str) -> None:
    used = [each for each in said_in(agent, "good") if isinstance(each, UsageReported)]

    assert [each.output_tokens for each in used] == ([] if agent == "codex-acp" else [36])
    assert [each.cost_micros is not None for each in used if agent == "claude-agent-acp"] == [True] * (
        agent == "claude-agent-acp"
    )


@each_agent
def test_a_no_is_heard_as_a_refusal_however_the_agent_tells_it(agent: str) -> None:
    told = said_in(agent, "refused")
    verdict = verdict_on("acp", output(agent, "refused"), work=UNTOUCHED)

    assert [each.how for each in told if isinstance(each, ToolEnded)] == ["refused"]
    assert (verdict.outcome, verdict.failure) == ("failed", FailureClass.PERMISSION_DENIED)


@each_agent
def test_a_turn_that_was_cancelled_is_interrupted(agent: str) -> None:
    assert said_in(agent, "cancelled")[-1] == TurnEnded(how="interrupted")


@each_agent
@pytest.mark.parametrize(
    ("case", "failure"),
    [("unauthorised", FailureClass.AUTH_REQUIRED), ("rate_limited", FailureClass.RATE_LIMITED)],
)
def test_a_fault_ends_in_its_class_whatever_the_exit_code(
    agent: str, case: str, failure: FailureClass
) -> None:
    verdict = verdict_on("acp", output(agent, case), code=0, work=UNTOUCHED)

    assert (verdict.outcome, verdict.failure) == ("failed", failure)


@pytest.mark.parametrize("agent", ["codex-acp", "claude-agent-acp"])
def test_a_conversation_that_is_carried_on_tells_the_new_turn_only(agent: str) -> None:
    assert [each for each in said_in(agent, "loaded") if isinstance(each, TurnBegan | TurnEnded)] == [
        TurnBegan(),
        TurnEnded(how="done"),
    ]


def test_gemini_finds_no_conversation_again_and_that_is_no_success() -> None:
    assert [each.is_final for each in said_in("gemini", "loaded") if isinstance(each, TroubleSeen)] == [True]
    assert verdict_on("acp", output("gemini", "loaded")).rule == "turn_not_ended"


@each_agent
def test_an_output_that_ends_early_is_no_success(agent: str) -> None:
    lines = output(agent, "good").splitlines()

    assert verdict_on("acp", b"\n".join(lines[:-1])).outcome == "failed"
    assert verdict_on("acp", b"").outcome == "failed"


def test_a_turn_that_somebody_cancelled_is_a_cancelled_run() -> None:
    said = Summary(turns_begun=1, turns_ended=1, last_turn=TurnEnded(how="interrupted"))
    verdict = adapter_of("acp").verdict(End(said=said, how="exited", code=0, work=UNTOUCHED))

    assert (verdict.outcome, verdict.failure, verdict.rule) == (
        "failed",
        FailureClass.CANCELLED,
        "turn_failed",
    )
