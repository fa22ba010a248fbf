"""How aider is started, and what is made of the text that it prints for people."""

from __future__ import annotations

from typing import Final

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import ToolCalled, ToolEnded, TroubleSeen, TurnBegan, TurnEnded, UsageReported
from moduprompt.effects.agents.port import AgentRefused, AgentRequest, Work
from tests.support.transcripts import adapter_of, heard, reader_of, transcripts, verdict_on
from tests.unit.effects.agents.started import started

UNTOUCHED: Final = Work(has_changes=False, has_commits=False)
CHANGED: Final = Work(has_changes=True, has_commits=False)
ERROR: Final = b"litellm.RateLimitError: RateLimitError: OpenAIException - wait"
ANSWER: Final = b"Tokens: 1.2k sent, 300 cache hit, 20 received. Cost: $0.0012 message, $0.03 session."


def test_nothing_of_it_lies_in_its_worktree_and_nothing_is_committed() -> None:
    command = started("aider", words=("--model", "gpt-x"), prompt_file="/run/prompt.txt")
    words = list(command.argv)

    assert command.env["HOME"] == "/home"
    assert [word for word in words if word.startswith("/")] == [
        "/home/input.history",
        "/home/chat.history.md",
        "/home/llm.history",
        "/run/prompt.txt",
    ]
    assert {"--no-auto-commits", "--no-dirty-commits", "--map-tokens=0"} <= set(words)
    assert (command.io, command.stdin) == ("pipes", "none")


def test_a_server_of_its_own_is_led_to_by_the_names_that_aider_has() -> None:
    command = started("aider", words=("--model", "m"), variables={"OPENAI_BASE_URL": "http://x/v1"})

    assert command.env["OPENAI_API_BASE"] == "http://x/v1"
    assert "openai/m" in command.argv


def test_a_flag_of_its_vendor_is_no_option() -> None:
    assert isinstance(adapter_of("aider").command(AgentRequest(words=("--auto-test",))), AgentRefused)


def test_a_run_that_went_well_is_told_with_its_files() -> None:
    output = transcripts("aider")["good"]
    said = heard(reader_of("aider"), output)

    assert [type(each) for each in said] == [TurnBegan, UsageReported, TurnEnded, ToolCalled, ToolEnded]
    assert [each.paths for each in said if isinstance(each, ToolCalled)] == [("hello.txt",)]
    assert (verdict_on("aider", output, work=CHANGED).outcome) == "succeeded"


@pytest.mark.parametrize(
    ("case", "failure"),
    [("unauthorised", FailureClass.AUTH_REQUIRED), ("server_fault", FailureClass.NETWORK)],
)
@pytest.mark.parametrize("work", [UNTOUCHED, CHANGED, None])
def test_trouble_without_an_answer_after_it_is_a_failure_whatever_the_exit_code(
    case: str, failure: FailureClass, work: Work | None
) -> None:
    verdict = verdict_on("aider", transcripts("aider")[case], code=0, work=work)

    assert (verdict.outcome, verdict.failure, verdict.rule) == ("failed", failure, "words_of_trouble")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (
            b"litellm.AuthenticationError: Incorrect API key provided: sk-SECRET",
            "litellm.AuthenticationError",
        ),
        (b"litellm.sk_SECRET: of a class that nobody knows", "internal"),
        (b"Model sk-SECRET has hit a token limit!", "invalid_output"),
    ],
)
def test_of_what_it_printed_only_the_name_of_the_error_is_evidence(line: bytes, named: str) -> None:
    """Evidence stands in the log for ever; what a program prints may hold a key."""
    evidence = verdict_on("aider", line, work=CHANGED).evidence
    assert evidence == f"no answer of its model came after {named}"


@pytest.mark.parametrize("work", [UNTOUCHED, None])
def test_where_nothing_was_left_or_nobody_looked_nobody_can_say(work: Work | None) -> None:
    assert verdict_on("aider", transcripts("aider")["talk"], work=work).rule == "left_nothing"


def test_an_answer_is_the_end_of_the_trouble_before_it_and_new_trouble_begins_anew() -> None:
    got_over = b"\n".join((ERROR, ANSWER))
    again = b"\n".join((ANSWER, ERROR))

    assert verdict_on("aider", got_over, work=CHANGED).outcome == "succeeded"
    assert verdict_on("aider", again, work=CHANGED).failure is FailureClass.RATE_LIMITED


def test_tokens_and_cost_are_told_as_it_rounds_them() -> None:
    (usage,) = (each for each in heard(reader_of("aider"), ANSWER) if isinstance(each, UsageReported))

    assert usage == UsageReported(input_tokens=1_200, output_tokens=20, cost_micros=1_200)


@pytest.mark.parametrize(
    "line",
    [b"Only 3 reflections allowed, stopping.", b"Model openai/m has hit a token limit!"],
)
def test_what_it_gives_up_on_is_no_success(line: bytes) -> None:
    output = b"\n".join((ANSWER, line))

    assert [type(each) for each in heard(reader_of("aider"), output)][-1] is TroubleSeen
    assert verdict_on("aider", output, work=CHANGED).failure is FailureClass.INVALID_OUTPUT


@pytest.mark.parametrize("number", [b"1.2.3", b".", b"9" * 400])
def test_numbers_that_are_none_cost_nothing_but_themselves(number: bytes) -> None:
    said = heard(reader_of("aider"), b"Tokens: " + number + b" sent, 5 received.")

    assert said[-1] == TurnEnded(how="done")


def test_an_exit_code_is_believed_when_it_is_a_failure() -> None:
    assert verdict_on("aider", b"", code=2, work=CHANGED).failure is FailureClass.EXIT_NONZERO
