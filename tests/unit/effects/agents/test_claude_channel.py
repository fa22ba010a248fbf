"""What is heard from Claude Code over its control channel, and what is said to it."""

from __future__ import annotations

import msgspec
import pytest

from moduprompt.domain.run.said import (
    PermissionWithdrawn,
    PromptAwaited,
    PromptTaken,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
)
from moduprompt.effects.agents.claude import ClaudeAdapter
from moduprompt.effects.agents.claude_channel import QUESTIONS_MAX, ClaudeChannel
from moduprompt.effects.agents.port import AgentCommand, AgentRequest, Asked, Heard, InputOver, Owed
from moduprompt.protocol import PromptId
from tests.support.transcripts import transcripts

OUTPUT = transcripts("claude")["control"].splitlines()
RUN = "01920000-0000-7000-8000-000000000001"
PROMPT = "01920000-0000-7000-8000-000000000005"


class ToldResponse(msgspec.Struct):
    """What stands in an answer."""

    response: dict[str, object]


class Told(msgspec.Struct):
    """An answer as it is sent."""

    response: ToldResponse


def a_channel(*, is_for_one_turn: bool = False) -> ClaudeChannel:
    return ClaudeChannel(is_for_one_turn=is_for_one_turn)


def fed(channel: ClaudeChannel, *lines: object) -> list[Heard]:
    encoded = (each if isinstance(each, bytes) else msgspec.json.encode(each) for each in lines)
    return [heard for line in encoded for heard in channel.read(line)]


def a_question(request_id: str = "r1", **request: object) -> dict[str, object]:
    asked = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}, **request}
    return {"type": "control_request", "request_id": request_id, "request": asked}


def asked_in(heard: list[Heard]) -> Asked:
    (found,) = [each for each in heard if isinstance(each, Asked)]
    return found


def answer(asked: Asked, option: str) -> dict[str, object]:
    (line, nothing) = asked.answers[option].split(b"\n")
    assert not nothing
    return msgspec.json.decode(line, type=Told).response.response


def test_a_conversation_of_four_prompts_is_heard_step_by_step() -> None:
    heard = fed(a_channel(), *OUTPUT)
    taken = [each.prompt_id[-1] for each in heard if isinstance(each, PromptTaken)]
    turns = [each.how for each in heard if isinstance(each, TurnEnded)]
    tools = [each.how for each in heard if isinstance(each, ToolEnded)]
    assert taken == ["1", "2", "3", "4"]
    assert turns == ["done", "done", "interrupted", "done"]
    assert tools == ["done", "refused", "refused"]
    assert sum(isinstance(each, TurnBegan) for each in heard) == 4
    assert sum(isinstance(each, Asked) for each in heard) == 3


def test_an_interrupted_question_is_withdrawn_and_an_answered_one_is_not() -> None:
    heard = fed(a_channel(), *OUTPUT)
    asked = [each.said.request_id for each in heard if isinstance(each, Asked)]
    withdrawn = [each.request_id for each in heard if isinstance(each, PermissionWithdrawn)]
    assert withdrawn == asked[-1:]


def test_a_yes_repeats_the_arguments_as_they_came() -> None:
    arguments = {"command": "echo 'ä'", "timeout": 3, "deep": {"a": [1, None]}}
    asked = asked_in(fed(a_channel(), a_question(input=arguments)))
    assert answer(asked, "allow_once") == {"behavior": "allow", "updatedInput": arguments}
    assert answer(asked, "reject_once")["behavior"] == "deny"
    assert "echo 'ä'" in asked.text
    assert asked.text.startswith("Bash")


def test_a_name_that_stands_for_an_open_question_stands_for_no_other() -> None:
    """Else the answer to what was shown would be the answer to something else."""
    channel = a_channel()
    first = asked_in(fed(channel, a_question()))
    assert fed(channel, a_question()) == [], "the same question again is the same question"
    again = fed(channel, a_question(input={"command": "rm -rf ~"}))
    assert [type(each) for each in again] == [TroubleSeen]
    assert answer(first, "allow_once")["updatedInput"] == {"command": "ls"}

    told = {"type": "control_response", "response": {"request_id": "r1"}}
    assert asked_in(fed(channel, told, a_question(input={"command": "pwd"}))).said.request_id == "r1"


def test_what_is_always_allowed_is_allowed_for_the_session_alone() -> None:
    rule = {"type": "addRules", "behavior": "allow", "rules": [{"toolName": "Bash"}]}
    asked = asked_in(
        fed(a_channel(), a_question(permission_suggestions=[{**rule, "destination": "localSettings"}]))
    )
    assert [each.kind for each in asked.said.options] == ["allow_once", "allow_always", "reject_once"]
    assert answer(asked, "allow_always")["updatedPermissions"] == [{**rule, "destination": "session"}]


@pytest.mark.parametrize(
    "suggestions",
    [
        None,
        [],
        [{"type": "setMode", "mode": "auto"}],
        [{"type": "setMode", "mode": "bypassPermissions"}],
        [{"type": "setMode", "mode": "acceptEdits"}, {"type": "removeRules"}],
        ["acceptEdits"],
        {"type": "setMode", "mode": "acceptEdits"},
    ],
)
def test_always_is_not_offered_where_it_would_take_decisions_from_people(suggestions: object) -> None:
    asked = asked_in(fed(a_channel(), a_question(permission_suggestions=suggestions)))
    assert set(asked.answers) == {"allow_once", "reject_once"}
    assert [each.id for each in asked.said.options] == ["allow_once", "reject_once"]


def test_a_fresh_channel_that_has_read_the_same_says_the_same() -> None:
    first, second = fed(a_channel(), *OUTPUT), fed(a_channel(), *OUTPUT)
    assert first == second


def test_a_prompt_waits_for_the_end_of_a_turn_unless_it_steers() -> None:
    channel = a_channel()
    assert channel.say("go", prompt_id=PROMPT)
    fed(channel, {"type": "system", "subtype": "init", "session_id": RUN})
    assert channel.say("go", prompt_id=PROMPT) is None
    steering = channel.say("go", prompt_id=PROMPT, is_steering=True)
    fed(channel, {"type": "result", "subtype": "success", "is_error": False})
    assert channel.say("go", prompt_id=PROMPT) == steering


def test_any_text_is_one_line_under_its_prompts_name() -> None:
    text = 'two\nlines, "quoted"\x1b\x00 and \u2028 too'
    line = a_channel().say(text, prompt_id=PROMPT)
    assert line is not None
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    sent = msgspec.json.decode(line)
    assert (sent["uuid"], sent["message"]["content"][0]["text"]) == (PROMPT, text)


def test_what_comes_back_under_our_name_is_a_prompt_that_was_taken() -> None:
    echo = {"type": "user", "uuid": PROMPT, "isReplay": True, "message": {"content": "go"}}
    assert fed(a_channel(), echo) == [PromptTaken(prompt_id=PromptId(PROMPT))]
    assert fed(a_channel(), {**echo, "uuid": "f07e1b66-e628-484d-ae54-38ea653b4a0c"}) == []


def test_for_one_turn_the_input_ends_with_it() -> None:
    channel = a_channel(is_for_one_turn=True)
    heard = fed(channel, *OUTPUT)
    assert sum(isinstance(each, InputOver) for each in heard) == 1
    assert isinstance(heard[heard.index(InputOver()) - 1], TurnEnded)
    assert channel.say("more", prompt_id=PROMPT) is None
    assert channel.interrupt(request_id="interrupt/1") is None


def test_what_is_not_offered_is_refused_by_a_line_that_is_owed() -> None:
    (owed,) = fed(
        a_channel(), {"type": "control_request", "request_id": "h1", "request": {"subtype": "hook"}}
    )
    assert isinstance(owed, Owed)
    assert msgspec.json.decode(owed.line)["response"]["request_id"] == "h1"


def test_questions_without_end_are_refused_and_not_remembered() -> None:
    channel = a_channel()
    heard = fed(channel, *(a_question(f"r{number}") for number in range(QUESTIONS_MAX + 3)))
    assert sum(isinstance(each, Asked) for each in heard) == QUESTIONS_MAX
    assert sum(isinstance(each, Owed) for each in heard) == 3


def test_a_turn_that_ends_takes_its_open_questions_with_it() -> None:
    heard = fed(a_channel(), a_question("r1"), {"type": "result", "subtype": "success"})
    assert PermissionWithdrawn(request_id="r1") in heard


@pytest.mark.parametrize(
    ("words", "is_talked_to"),
    [((), False), (("--turns", "many"), True), (("--asks", "people"), True), (("--turns", "one"), False)],
)
def test_it_is_talked_to_where_its_words_ask_for_it(words: tuple[str, ...], is_talked_to: bool) -> None:
    request = AgentRequest(words=words, prompt="go", prompt_file="/prompts/1", run_id=RUN)
    command = ClaudeAdapter().command(request)
    assert isinstance(command, AgentCommand)
    assert (ClaudeAdapter().channel(request) is not None) == is_talked_to
    assert (command.stdin, bool(command.opening)) == (("open", True) if is_talked_to else ("file", False))
    assert ("stdio" in command.argv) == ("people" in words)


def test_without_a_prompt_it_is_greeted_and_its_answer_shows_that_it_is_ready() -> None:
    command = ClaudeAdapter().command(AgentRequest(words=("--turns", "many"), run_id=RUN))
    assert isinstance(command, AgentCommand)
    (asked, nothing) = command.opening.split(b"\n")
    assert (msgspec.json.decode(asked)["request"]["subtype"], nothing) == ("initialize", b"")
    response: dict[str, object] = {
        "subtype": "success",
        "request_id": msgspec.json.decode(asked)["request_id"],
        "response": {},
    }
    assert fed(a_channel(), {"type": "control_response", "response": response}) == [PromptAwaited()]


def test_an_answer_to_anything_else_shows_nothing() -> None:
    response: dict[str, object] = {"subtype": "success", "request_id": "r1", "response": {}}
    assert fed(a_channel(), {"type": "control_response", "response": response}) == []
