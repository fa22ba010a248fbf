"""What is made of Claude Code's lines, and of its ends."""

from __future__ import annotations

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
from moduprompt.effects.agents.claude import ClaudeAdapter
from moduprompt.effects.agents.claude_reader import ClaudeReader
from moduprompt.effects.agents.port import AgentCommand, AgentRefused, AgentRequest, Work
from tests.support.transcripts import heard, transcripts, verdict_on

OUTPUTS = transcripts("claude")
UNTOUCHED = Work(has_changes=False, has_commits=False)
CHANGED = Work(has_changes=True, has_commits=False)
RUN = "01920000-0000-7000-8000-000000000001"


def said_in(case: str) -> list[Said]:
    return heard(ClaudeReader(), OUTPUTS[case])


def started(**request: object) -> AgentCommand:
    command = ClaudeAdapter().command(AgentRequest(run_id=RUN, home="/home", **request))  # pyright: ignore[reportArgumentType] - a request's own fields
    assert isinstance(command, AgentCommand)
    return command


def test_a_run_that_went_well_is_told_step_by_step() -> None:
    match said_in("good"):
        case [
            ConversationNamed(conversation_id=name),
            TurnBegan(),
            ToolCalled(call_id="toolu_0", tool="Write", paths=("/repo/hello.txt",)),
            ToolEnded(call_id="toolu_0", how="done"),
            ToolCalled(call_id="toolu_1", tool="Bash", paths=()),
            ToolEnded(call_id="toolu_1", how="done"),
            UsageReported(input_tokens=300, output_tokens=30, cost_micros=2_250),
            TurnEnded(how="done"),
        ]:
            assert name == RUN
        case other:
            pytest.fail(f"said {other}")


def test_success_with_an_error_is_a_failure_of_its_class() -> None:
    classes = {
        "unauthorised": FailureClass.AUTH_REQUIRED,
        "rate_limited": FailureClass.RATE_LIMITED,
        "server_fault": FailureClass.NETWORK,
    }
    for case, failure in classes.items():
        *_, retried, usage, trouble, ended = said_in(case)

        assert isinstance(retried, TroubleSeen)
        assert (retried.failure, retried.retry_after_s, retried.is_final) == (failure, 1, False)
        assert usage == UsageReported(cost_micros=0)
        assert isinstance(trouble, TroubleSeen)
        assert (trouble.failure, trouble.is_final) == (failure, True)
        assert ended == TurnEnded(how="failed", failure=failure)
        assert verdict_on("claude", OUTPUTS[case], code=1).failure is failure
        assert verdict_on("claude", OUTPUTS[case], code=0).outcome == "failed"


def test_a_write_that_nobody_allowed_is_no_success_though_it_exits_with_zero() -> None:
    said = said_in("not_allowed")

    assert ToolEnded(call_id="toolu_0", how="refused") in said
    assert (
        verdict_on("claude", OUTPUTS["not_allowed"], work=UNTOUCHED).failure is FailureClass.PERMISSION_DENIED
    )
    assert verdict_on("claude", OUTPUTS["good"], work=CHANGED).outcome == "succeeded"


def test_a_denial_that_no_tool_result_showed_is_told_at_the_end_of_the_turn() -> None:
    line = (
        b'{"type":"result","subtype":"success","is_error":false,"permission_denials":[{"tool_use_id":"t"}]}'
    )

    assert ToolEnded(call_id="t", how="refused") in heard(ClaudeReader(), line)


def test_an_end_without_a_result_is_no_success() -> None:
    cut = OUTPUTS["good"].rpartition(b'{"type":"result"')[0]

    assert verdict_on("claude", cut, code=0).rule == "turn_not_ended"
    assert verdict_on("claude", b"", code=0).outcome == "failed"


def test_what_a_process_costs_is_counted_once_though_it_tells_the_sum() -> None:
    lines = [
        b'{"type":"result","subtype":"success","total_cost_usd":%s}' % cost for cost in (b"0.5", b"0.75")
    ]
    costs = [
        each.cost_micros
        for each in heard(ClaudeReader(), b"\n".join(lines))
        if isinstance(each, UsageReported)
    ]

    assert costs == [500_000, 250_000]


def test_a_turn_begins_once_however_often_it_is_announced() -> None:
    init = OUTPUTS["good"].splitlines()[0]

    assert [type(each) for each in heard(ClaudeReader(), init + b"\n" + init)] == [
        ConversationNamed,
        TurnBegan,
    ]


def test_an_interrupted_turn_is_no_failure() -> None:
    line = b'{"type":"result","subtype":"error_during_execution","is_error":true,"terminal_reason":"aborted_tools"}'

    assert heard(ClaudeReader(), line)[-1] == TurnEnded(how="interrupted")


def test_a_fresh_run_names_its_conversation_and_a_later_one_carries_it_on() -> None:
    assert "--session-id" in started().argv
    assert started().argv[-1] == RUN
    assert started(conversation_id="c").argv[-2:] == ("--resume", "c")


def test_its_configuration_is_ours_and_its_prompt_comes_from_a_file() -> None:
    command = started(prompt_file="/run/prompt.txt", variables={"ANTHROPIC_API_KEY": "k"})

    assert command.env["CLAUDE_CONFIG_DIR"] == "/home"
    assert command.env["ANTHROPIC_API_KEY"] == "k"
    assert (command.io, command.stdin, command.stdin_file) == ("pipes", "file", "/run/prompt.txt")


@pytest.mark.parametrize(
    "words",
    [
        ("--permissions", "auto"),
        ("--dangerously-skip-permissions",),
        ("--permission-mode", "auto"),
        ("-p", "x"),
    ],
)
def test_no_word_lets_a_model_decide_about_permission(words: tuple[str, ...]) -> None:
    refused = ClaudeAdapter().command(AgentRequest(words=words))

    assert isinstance(refused, AgentRefused)
    assert refused.hint


def test_the_mode_is_always_pinned() -> None:
    modes = {value: started(words=("--permissions", value)).argv for value in ("ask", "edits", "all")}

    assert [argv[argv.index("--permission-mode") + 1] for argv in modes.values()] == [
        "default",
        "acceptEdits",
        "bypassPermissions",
    ]
