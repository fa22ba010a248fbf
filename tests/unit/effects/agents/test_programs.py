"""What is made of the output of each program that tells what it does in lines, case by case: one table for all."""

from __future__ import annotations

import re
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
from moduprompt.effects.agents.port import AgentRefused, AgentRequest, Work
from tests.support.transcripts import adapter_of, heard, reader_of, transcripts, verdict_on
from tests.unit.effects.agents.started import RUN, started

UNTOUCHED: Final = Work(has_changes=False, has_commits=False)
CHANGED: Final = Work(has_changes=True, has_commits=False)
PROGRAMS: Final = ("codex", "gemini", "opencode", "pi")
EXITS: Final = {"codex": 1, "gemini": 145, "opencode": 1, "pi": 0}  # of a run whose key was refused
each_program = pytest.mark.parametrize("name", PROGRAMS)


def said_in(name: str, case: str) -> list[Said]:
    return heard(reader_of(name), transcripts(name)[case])


@each_program
def test_a_run_that_went_well_is_told_step_by_step(name: str) -> None:
    kinds = [type(each) for each in said_in(name, "good") if not isinstance(each, UsageReported)]

    assert kinds == [
        ConversationNamed,
        TurnBegan,
        ToolCalled,
        ToolEnded,
        ToolCalled,
        ToolEnded,
        TurnEnded,
    ]
    assert verdict_on(name, transcripts(name)["good"], work=CHANGED).outcome == "succeeded"


@each_program
def test_each_call_is_told_with_its_file_and_its_end(name: str) -> None:
    said = said_in(name, "good")
    writing, running = (each for each in said if isinstance(each, ToolCalled))
    ends = [(each.call_id, each.how) for each in said if isinstance(each, ToolEnded)]

    assert ends == [(writing.call_id, "done"), (running.call_id, "done")]
    assert writing.arguments_digest != running.arguments_digest
    assert (name == "codex") == (writing.paths == ())  # codex wrote by its shell
    assert running.paths == ()


@each_program
def test_what_was_used_is_counted_with_what_came_from_the_cache(name: str) -> None:
    reported = [each for each in said_in(name, "good") if isinstance(each, UsageReported)]

    assert sum(each.cached_tokens for each in reported) == 400
    assert sum(each.input_tokens for each in reported) > 1_000


@each_program
@pytest.mark.parametrize(
    ("case", "failure"),
    [
        ("unauthorised", FailureClass.AUTH_REQUIRED),
        ("rate_limited", FailureClass.RATE_LIMITED),
        ("server_fault", FailureClass.NETWORK),
        ("cut", FailureClass.NETWORK),
    ],
)
def test_a_fault_ends_in_its_class_whatever_the_exit_code(
    name: str, case: str, failure: FailureClass
) -> None:
    if name == "opencode" and case != "unauthorised":
        return  # it never ends by itself: there is no output to judge
    for code in (EXITS[name], 0):
        verdict = verdict_on(name, transcripts(name)[case], code=code, work=UNTOUCHED)

        assert (verdict.outcome, verdict.failure) == ("failed", failure)


@each_program
@pytest.mark.parametrize("case", ["one_fault", "malformed"])
def test_a_fault_that_it_got_over_is_none(name: str, case: str) -> None:
    assert verdict_on(name, transcripts(name)[case], work=UNTOUCHED).outcome == "succeeded"


@each_program
def test_an_output_that_ends_early_is_no_success(name: str) -> None:
    lines = transcripts(name)["good"].splitlines()
    told = {
        "codex": b"turn.completed",
        "gemini": b'"result"',
        "opencode": b'"reason":"stop"',
        "pi": b'"stopReason":"stop"',
    }[name]
    last = next(number for number, line in enumerate(lines) if told in line and b'"end' not in line)

    assert verdict_on(name, b"\n".join(lines[: last - 2]), code=0).outcome == "failed"
    assert verdict_on(name, b"", code=0).outcome == "failed"


def test_a_warning_about_the_model_is_no_trouble_of_codex() -> None:
    assert not [each for each in said_in("codex", "good") if isinstance(each, TroubleSeen)]


def test_codex_tells_each_attempt_and_only_the_last_is_final() -> None:
    troubles = [each.is_final for each in said_in("codex", "rate_limited") if isinstance(each, TroubleSeen)]

    assert troubles == [False] * (len(troubles) - 1) + [True]
    assert len(troubles) > 1


def test_nobody_can_say_whether_codex_did_it_where_every_tool_failed_and_nothing_was_left() -> None:
    output = transcripts("codex")["tool_failed"]

    assert verdict_on("codex", output, work=UNTOUCHED).rule == "every_tool_failed"
    assert verdict_on("codex", output, work=CHANGED).outcome == "succeeded"
    assert verdict_on("codex", output).outcome == "succeeded"


def test_codex_counts_from_the_beginning_and_we_from_the_last_time() -> None:
    line = b'{"type":"turn.completed","usage":{"input_tokens":%d,"output_tokens":%d}}'
    said = heard(reader_of("codex"), b"\n".join((line % (10, 1), line % (25, 4))))

    assert [each.input_tokens for each in said if isinstance(each, UsageReported)] == [10, 15]


@pytest.mark.parametrize(
    ("item", "tool", "paths", "how"),
    [
        (
            b'"type":"file_change","changes":[{"path":"a","kind":"add"},{"path":"b"}],"status":"completed"',
            "file_change",
            ("a", "b"),
            "done",
        ),
        (b'"type":"mcp_tool_call","server":"s","tool":"t","status":"failed"', "s.t", (), "failed"),
        (
            b'"type":"command_execution","command":"rm","status":"declined"',
            "command_execution",
            (),
            "refused",
        ),
        (b'"type":"web_search","query":"q"', "web_search", (), "done"),
    ],
)
def test_what_codex_tells_only_at_its_end_is_called_and_ended(
    item: bytes, tool: str, paths: tuple[str, ...], how: str
) -> None:
    called, ended = heard(reader_of("codex"), b'{"type":"item.completed","item":{"id":"i",%s}}' % item)

    assert isinstance(called, ToolCalled)
    assert (called.tool, called.paths) == (tool, paths)
    assert isinstance(ended, ToolEnded)
    assert ended.how == how


def test_opencode_stops_at_a_refusal_and_that_is_no_success() -> None:
    verdict = verdict_on("opencode", transcripts("opencode")["not_allowed"], work=UNTOUCHED)

    assert (verdict.rule, verdict.failure) == ("stopped_at_a_refusal", FailureClass.PERMISSION_DENIED)


def test_a_step_of_opencode_that_ends_in_calls_is_not_the_end() -> None:
    line = '{"type":"step_finish","part":{"reason":"%s"}}'
    ends = {
        reason: heard(reader_of("opencode"), line.replace("%s", reason).encode())[-1]
        for reason in ("tool-calls", "stop", "length")
    }

    assert isinstance(ends["tool-calls"], UsageReported)
    assert ends["stop"] == TurnEnded(how="done")
    assert ends["length"] == TurnEnded(how="failed", failure=FailureClass.INVALID_OUTPUT)


@pytest.mark.parametrize("name", ["opencode", "pi"])
def test_another_address_needs_a_model_and_keeps_the_key_out_of_the_files(name: str) -> None:
    variables = {"OPENAI_BASE_URL": "http://h/v1", "OPENAI_API_KEY": "secret"}
    command = started(name, variables=variables, words=["--model", "m"])

    assert isinstance(adapter_of(name).command(AgentRequest(variables=variables)), AgentRefused)
    assert all(b"secret" not in file.content for file in command.files)


def test_opencode_has_its_permissions_in_its_configuration() -> None:
    edits, everything = (
        started("opencode", words=["--permissions", mode]).files[0].content for mode in ("edits", "all")
    )

    assert b'"permission":{"edit":"allow","bash":"ask"' in edits
    assert b'"bash":"allow"' in everything
    assert b"provider" not in edits


def test_a_turn_of_pi_begins_once_however_often_it_is_tried() -> None:
    said = said_in("pi", "rate_limited")

    assert [type(each) for each in said].count(TurnBegan) == 1
    assert [each.retry_after_s for each in said if isinstance(each, TroubleSeen)].count(None) > 1
    assert said[-1] == TurnEnded(how="failed", failure=FailureClass.RATE_LIMITED)


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("stop", TurnEnded(how="done")),
        ("aborted", TurnEnded(how="interrupted")),
        ("length", TurnEnded(how="failed", failure=FailureClass.INVALID_OUTPUT)),
    ],
)
def test_a_turn_of_pi_ends_as_its_last_message_says(reason: str, end: TurnEnded) -> None:
    line = f'{{"type":"message_end","message":{{"role":"assistant","stopReason":"{reason}"}}}}'

    assert heard(reader_of("pi"), line.encode())[-1] == end


@each_program
def test_its_configuration_is_ours_and_its_prompt_comes_from_a_file(name: str) -> None:
    command = started(name, prompt_file="/run/prompt.txt", words=[])
    homes = {
        "codex": "CODEX_HOME",
        "gemini": "GEMINI_CLI_HOME",
        "opencode": "XDG_DATA_HOME",
        "pi": "PI_CODING_AGENT_DIR",
    }

    assert command.env[homes[name]].startswith("/home")
    assert (command.io, command.stdin, command.stdin_file) == ("pipes", "file", "/run/prompt.txt")
    assert all(not file.path.startswith("/") for file in command.files)


@each_program
def test_a_conversation_is_carried_on_by_its_name(name: str) -> None:
    flags = {"codex": "resume", "gemini": "--resume", "opencode": "--session", "pi": "--session"}
    argv = started(name, conversation_id="c").argv

    assert argv[argv.index(flags[name]) + 1] == "c"
    assert flags[name] not in started(name).argv
    assert (RUN in started(name).argv) == adapter_of(name).resuming.is_named_by_us


@each_program
@pytest.mark.parametrize(
    "words",
    [("--permissions", "auto"), ("--approve-for-me",), ("-c", "approval_policy=x"), ("--yolo",)],
)
def test_no_word_lets_a_model_decide_about_permission(name: str, words: tuple[str, ...]) -> None:
    refused = adapter_of(name).command(AgentRequest(words=words))

    assert isinstance(refused, AgentRefused)
    assert refused.hint


@pytest.mark.parametrize(
    ("name", "permissions", "pinned"),
    [
        ("codex", "ask", ("--sandbox", "read-only")),
        ("codex", "edits", ("--sandbox", "workspace-write")),
        ("codex", "all", ("--dangerously-bypass-approvals-and-sandbox",)),
        ("gemini", "ask", ("--approval-mode", "default")),
        ("gemini", "edits", ("--approval-mode", "auto_edit")),
        ("gemini", "all", ("--approval-mode", "yolo")),
    ],
)
def test_the_mode_is_always_pinned(name: str, permissions: str, pinned: tuple[str, ...]) -> None:
    argv = started(name, words=["--permissions", permissions]).argv
    at = argv.index(pinned[0])

    assert argv[at : at + len(pinned)] == pinned


def test_codex_is_led_to_another_address_by_a_provider_of_its_own() -> None:
    command = started("codex", variables={"OPENAI_BASE_URL": 'http://h/"v1', "OPENAI_API_KEY": "k"})
    (config,) = command.files

    assert b'base_url = "http://h/\\"v1"' in config.content
    assert config.content.index(b"model_provider") < config.content.index(b"[")
    assert command.env["CODEX_API_KEY"] == "k"
    assert "OPENAI_BASE_URL" not in command.env
    assert b"model_provider" not in started("codex").files[0].content


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ("You've hit your usage limit.", FailureClass.QUOTA_EXHAUSTED),
        ("We’re currently experiencing high demand", FailureClass.NETWORK),
        ("unexpected status 401 Unauthorized", FailureClass.AUTH_REQUIRED),
    ],
)
def test_codex_has_sentences_of_its_own(message: str, failure: FailureClass) -> None:
    said = heard(reader_of("codex"), f'{{"type":"turn.failed","error":{{"message":"{message}"}}}}'.encode())

    assert said[-1] == TurnEnded(how="failed", failure=failure)


@pytest.mark.parametrize("name", [*PROGRAMS, "claude", "acp"])
def test_amounts_beyond_every_bound_are_told_as_much_as_the_log_can_hold(name: str) -> None:
    boasting = [
        re.sub(rb'("\w*(?:[tT]oken|nput|utput|ache|ead|rite|easoning)\w*":)\d+', rb"\g<1>9e15", output)
        for output in transcripts(name).values()
    ]

    used = [each for output in boasting for each in heard(reader_of(name), output)]

    most = max((each.input_tokens for each in used if isinstance(each, UsageReported)), default=0)
    assert most > 8 * 10**15


@pytest.mark.parametrize("name", ["claude", "opencode", "pi"])
def test_a_cost_that_is_not_told_any_more_is_unknown_and_not_nothing(name: str) -> None:
    told = transcripts(name)["good"]
    untold = re.sub(rb'"(?:cost|total_cost_usd|total)":', b'"price":', told)

    def costs(output: bytes) -> set[int | None]:
        return {
            each.cost_micros for each in heard(reader_of(name), output) if isinstance(each, UsageReported)
        }

    assert None not in costs(told)
    assert costs(untold) == {None}
