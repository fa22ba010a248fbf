"""What passes between us and an agent of the Agent Client Protocol, line by line; its makers' library judges ours."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    ConversationNamed,
    PermissionWithdrawn,
    PromptAwaited,
    PromptTaken,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.effects.agents.acp import AcpAdapter
from moduprompt.effects.agents.acp_channel import QUESTIONS_MAX, AcpChannel
from moduprompt.effects.agents.acp_messages import greeting
from moduprompt.effects.agents.port import AgentRequest, Asked, Heard, InputOver, Owed
from moduprompt.protocol import PromptId
from tests.support.acp_judge import judged

RUN: Final = "01920000-0000-7000-8000-000000000001"
PROMPT: Final = PromptId("01920000-0000-7000-8000-000000000002")
OPTIONS: Final = [
    {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
    {"optionId": "no", "name": "No", "kind": "reject_once"},
]


class Agent:
    """The other side: what it says is fed to a channel, and what comes of it is judged."""

    def __init__(self, *, is_for_one_turn: bool = False, **request: Any) -> None:
        started_by = AgentRequest(run_id=RUN, cwd="/work", **request)
        self.channel = AcpChannel(started_by, is_for_one_turn=is_for_one_turn)

    def says(self, **message: Any) -> list[Heard]:
        heard = list(self.channel.read(json.dumps({"jsonrpc": "2.0", **message}).encode()))
        for each in heard:
            if isinstance(each, Owed):
                judged(each.line)
            if isinstance(each, Asked):
                assert all(judged(line) for line in each.answers.values())
        return heard

    def answers(self, request: str, result: object) -> list[Heard]:
        return self.says(id=request, result=result)

    def fails(self, request: str, code: int, message: str, /, **data: Any) -> list[Heard]:
        return self.says(id=request, error={"code": code, "message": message, "data": data or None})

    def updates(self, kind: str, /, **fields: Any) -> list[Heard]:
        update = {"sessionUpdate": kind, **fields}
        return self.says(method="session/update", params={"sessionId": "s", "update": update})

    def asks(self, own_id: object, call: str, /, **fields: Any) -> list[Heard]:
        params = {"sessionId": "s", "options": OPTIONS, "toolCall": {"toolCallId": call, **fields}}
        return self.says(id=own_id, method="session/request_permission", params=params)

    def greets(self, *, load: bool = False, resume: bool = False, **fields: Any) -> list[Heard]:
        carrying_on: dict[str, object] = {"resume": {}} if resume else {}
        capabilities = {"loadSession": load, "sessionCapabilities": carrying_on}
        result: dict[str, object] = {"protocolVersion": 1, "agentCapabilities": capabilities, **fields}
        return self.answers("initialize", result)


def ready(**request: Any) -> Agent:
    agent = Agent(**request)
    agent.greets(load=True)
    agent.answers("session/new", {"sessionId": "s"})
    return agent


def owed(heard: list[Heard]) -> list[dict[str, Any]]:
    return [judged(each.line)[0] for each in heard if isinstance(each, Owed)]


def of(kind: type, heard: list[Heard]) -> list[Any]:
    return [each for each in heard if isinstance(each, kind)]


def test_the_first_line_offers_neither_files_nor_terminals() -> None:
    (message,) = judged(greeting())

    assert message["params"]["clientCapabilities"] == {
        "fs": {"readTextFile": False, "writeTextFile": False},
        "terminal": False,
    }


def test_a_conversation_is_opened_step_by_step_and_the_first_prompt_follows() -> None:
    agent = Agent(prompt="Do it.")
    (begin,) = owed(agent.greets())
    heard = agent.answers("session/new", {"sessionId": "s"})
    (prompt,) = owed(heard)

    assert begin["params"] == {"cwd": "/work", "mcpServers": []}
    assert of(ConversationNamed, heard) == [ConversationNamed(conversation_id="s")]
    assert TurnBegan() in heard, "it is at work from the moment the prompt is on its way"
    assert (prompt["id"], prompt["params"]["prompt"][0]["text"]) == (RUN, "Do it.")


def test_a_fresh_channel_that_read_the_same_is_owed_the_same_under_the_same_names() -> None:
    def all_of_it() -> list[Heard]:
        agent = Agent(prompt="Do it.")
        return [
            *agent.greets(),
            *agent.answers("session/new", {"sessionId": "s"}),
            *agent.says(id=0, method="fs/read_text_file", params={}),
            *agent.asks(1, "c", title="write"),
        ]

    names = [each.name for each in all_of_it() if isinstance(each, Owed)]
    assert all_of_it() == all_of_it()
    assert len(set(names)) == len(names) == 3


@pytest.mark.parametrize(
    ("can", "method"), [({"load": True}, "session/load"), ({"resume": True}, "session/resume")]
)
def test_an_old_conversation_is_carried_on_as_the_agent_can(can: dict[str, bool], method: str) -> None:
    agent = Agent(conversation_id="old")
    (message,) = owed(agent.greets(**can))

    assert (message["method"], message["params"]["sessionId"]) == (method, "old")
    assert agent.answers(method, {}) == [ConversationNamed(conversation_id="old"), PromptAwaited()]
    assert agent.channel.say("Next.", prompt_id=PROMPT) is not None


def test_the_past_that_is_told_again_while_it_is_loaded_is_no_news() -> None:
    agent = Agent(conversation_id="old")
    agent.greets(load=True)

    assert agent.updates("agent_message_chunk", content={"type": "text", "text": "Once."}) == []
    assert agent.updates("tool_call", toolCallId="c", status="completed", rawInput={"a": 1}) == []


def test_where_a_conversation_cant_be_carried_on_no_other_one_begins() -> None:
    cant = Agent(conversation_id="old").greets()
    agent = Agent(conversation_id="old")
    agent.greets(load=True)
    gone = agent.fails("session/load", -32603, "Internal error", details="No such session.")

    for heard in (cant, gone):
        assert [each.is_final for each in of(TroubleSeen, heard)] == [True]
        assert isinstance(heard[-1], InputOver)
        assert owed(heard) == []


def test_an_agent_of_another_version_is_left_alone() -> None:
    agent = Agent()
    heard = agent.answers("initialize", {"protocolVersion": 2})

    assert "version 2" in of(TroubleSeen, heard)[0].message
    assert agent.channel.say("Do it.", prompt_id=PROMPT) is None
    assert agent.channel.interrupt(request_id=RUN) is None


WAYS: Final = [
    {"id": "browser", "name": "In a browser"},
    {"id": "key", "name": "By key", "type": "env_var", "vars": [{"name": "KEY"}]},
]


def test_who_must_sign_in_and_can_by_a_variable_does_once() -> None:
    agent = Agent(variables={"KEY": "none"})
    agent.greets(authMethods=WAYS)
    (sign_in,) = owed(agent.fails("session/new", -32000, "Authentication required"))
    (again,) = owed(agent.answers("authenticate", {}))

    assert (sign_in["method"], sign_in["params"]) == ("authenticate", {"methodId": "key"})
    assert again["method"] == "session/new"
    heard = agent.fails("session/new", -32000, "Authentication required")
    assert [each.failure for each in of(TroubleSeen, heard)] == [FailureClass.AUTH_REQUIRED]


def test_who_must_sign_in_and_cant_says_so_and_ends() -> None:
    agent = Agent()
    agent.greets(authMethods=WAYS[:1])
    heard = agent.fails("session/new", -32000, "Authentication required")

    assert [each.failure for each in of(TroubleSeen, heard)] == [FailureClass.AUTH_REQUIRED]
    assert heard[-1] == InputOver()


@pytest.mark.parametrize(
    ("code", "message", "failure"),
    [
        (-32603, "Internal error: KEY is not set", FailureClass.AUTH_REQUIRED),
        (-32603, "fetch failed: ECONNREFUSED", FailureClass.NETWORK),
    ],
)
def test_who_signs_in_in_vain_says_why_and_ends(code: int, message: str, failure: FailureClass) -> None:
    agent = Agent()
    agent.greets(authMethods=WAYS)
    agent.fails("session/new", -32000, "Authentication required")
    heard = agent.fails("authenticate", code, message)

    assert [(each.failure, each.message) for each in of(TroubleSeen, heard)] == [(failure, message)]
    assert heard[-1] == InputOver()


def test_a_daemon_without_the_variables_of_the_one_before_goes_on_with_who_has_signed_in() -> None:
    agent = Agent()
    agent.greets(authMethods=WAYS)
    heard = agent.fails("session/new", -32000, "Authentication required")
    heard += agent.answers("authenticate", {})
    heard += agent.answers("session/new", {"sessionId": "s"})

    assert InputOver() not in heard
    assert agent.channel.say("Go on.", prompt_id=PROMPT) is not None


def test_a_mode_in_which_a_model_decides_is_left() -> None:
    modes = {"currentModeId": "auto", "availableModes": [{"id": "auto"}, {"id": "default"}]}
    agent = Agent()
    agent.greets()
    (first,) = owed(agent.answers("session/new", {"sessionId": "s", "modes": modes}))
    (second,) = owed(agent.updates("current_mode_update", currentModeId="dontAsk"))

    assert first["params"] == second["params"] == {"sessionId": "s", "modeId": "default"}


def test_a_turn_begins_with_the_first_work_and_ends_with_the_answer_to_its_prompt() -> None:
    agent = ready()

    assert agent.updates("available_commands_update", availableCommands=[]) == []
    assert agent.updates("agent_thought_chunk", content={"type": "text", "text": "Hm"}) == [TurnBegan()]
    assert agent.updates("agent_message_chunk", content={"type": "text", "text": "Yes"}) == []
    assert agent.channel.say("More.", prompt_id=RUN) is None, "it takes none in a turn"
    assert agent.answers(PROMPT, {"stopReason": "end_turn"}) == [
        PromptTaken(prompt_id=PROMPT),
        TurnEnded(how="done"),
    ]
    assert agent.channel.say("More.", prompt_id=RUN) is not None
    assert agent.channel.say("More.", prompt_id=RUN, is_steering=True) is None


@pytest.mark.parametrize(
    ("reason", "how", "failure"),
    [
        ("end_turn", "done", None),
        ("cancelled", "interrupted", None),
        ("max_tokens", "failed", FailureClass.INVALID_OUTPUT),
        ("max_turn_requests", "failed", FailureClass.BUDGET_EXCEEDED),
        ("refusal", "failed", FailureClass.POLICY_DENIED),
        ("tired", "failed", FailureClass.INVALID_OUTPUT),
        (None, "failed", FailureClass.INVALID_OUTPUT),
    ],
)
def test_each_stop_reason_is_an_end_of_its_kind(
    reason: str | None, how: str, failure: FailureClass | None
) -> None:
    (end,) = of(TurnEnded, ready().answers(PROMPT, {"stopReason": reason}))

    assert (end.how, end.failure) == (how, failure)


@pytest.mark.parametrize(
    ("code", "message", "data", "failure"),
    [
        (-32000, "Authentication required", {}, FailureClass.AUTH_REQUIRED),
        (401, "no", {}, FailureClass.AUTH_REQUIRED),
        (429, "slow down", {}, FailureClass.RATE_LIMITED),
        (-32603, "Internal error", {"errorKind": "rate_limit"}, FailureClass.RATE_LIMITED),
        (-32603, "Internal error", {"message": "last status: 429 Too Many"}, FailureClass.RATE_LIMITED),
        (-32603, "Internal error", {"details": "fetch failed"}, FailureClass.NETWORK),
        (
            -32603,
            "Internal error",
            {"message": "High demand.", "codex_error_info": "internal_server_error"},
            FailureClass.NETWORK,
        ),
        (-32603, "Internal error", {}, FailureClass.INTERNAL),
    ],
)
def test_an_error_is_of_the_class_that_its_code_or_kind_or_words_say(
    code: int, message: str, data: dict[str, str], failure: FailureClass
) -> None:
    heard = ready().fails(PROMPT, code, message, **data)

    assert [(each.failure, each.is_final) for each in of(TroubleSeen, heard)] == [(failure, True)]
    assert heard[-1] == TurnEnded(how="failed", failure=failure)


def test_a_turn_that_is_cancelled_by_an_error_is_no_failure() -> None:
    assert ready().fails(PROMPT, -32800, "Request cancelled")[-1] == TurnEnded(how="interrupted")


def test_a_call_is_told_when_it_is_known_what_it_does() -> None:
    agent = ready()
    announced = agent.updates("tool_call", toolCallId="c", status="pending", kind="edit", rawInput={})
    (called,) = agent.updates(
        "tool_call_update", toolCallId="c", kind="edit", rawInput={"path": "a"}, locations=[{"path": "/a"}]
    )
    ended = agent.updates("tool_call_update", toolCallId="c", status="completed")

    assert of(ToolCalled, announced) == []
    assert isinstance(called, ToolCalled)
    assert (called.tool, called.paths) == ("edit", ("/a",))
    assert ended == [ToolEnded(call_id="c", how="done")]


def test_the_same_call_has_the_same_digest_whatever_the_agent_numbers_it() -> None:
    def call(**arguments: object) -> str:
        (called,) = of(ToolCalled, ready().updates("tool_call", toolCallId="c", rawInput=arguments))
        return called.arguments_digest

    assert call(command="ls", turn_id="1") == call(command="ls", turn_id="2", started_at_ms=9)
    assert call(command="ls") != call(command="rm")


def test_a_question_comes_with_the_bytes_of_each_answer() -> None:
    agent = ready()
    began, called, asked = agent.asks("q-1", "c", kind="edit", title="Write a", rawInput={"path": "a"})

    assert began == TurnBegan()
    assert isinstance(called, ToolCalled)
    assert isinstance(asked, Asked)
    assert [(each.id, each.kind) for each in asked.said.options] == [
        ("yes", "allow_once"),
        ("no", "reject_once"),
    ]
    assert "Write a" in asked.text
    assert '"path": "a"' in asked.text
    assert judged(asked.answers["no"]) == [
        {
            "jsonrpc": "2.0",
            "id": "q-1",
            "result": {"outcome": {"outcome": "selected", "optionId": "no"}},
        }
    ]


def test_questions_have_names_of_their_own_also_where_the_agent_repeats_its_numbers() -> None:
    agent = ready()
    names = [each.said.request_id for _ in range(2) for each in of(Asked, agent.asks(0, "c"))]

    assert len(set(names)) == 2


@pytest.mark.parametrize("options", [[], [{"optionId": "x", "name": "x", "kind": "perhaps"}], None])
def test_a_question_without_an_answer_that_we_know_is_withdrawn_by_us(options: object) -> None:
    agent = ready()
    params = {"sessionId": "s", "options": options, "toolCall": {"toolCallId": "c"}}
    (message,) = owed(agent.says(id=5, method="session/request_permission", params=params))

    assert message == {"jsonrpc": "2.0", "id": 5, "result": {"outcome": {"outcome": "cancelled"}}}


def test_a_call_that_goes_on_was_allowed_and_its_question_is_closed() -> None:
    agent = ready()
    agent.asks(1, "c", kind="execute")

    assert agent.updates("tool_call", toolCallId="c", status="in_progress") == [
        PermissionWithdrawn(request_id="permission 1")
    ]
    assert agent.updates(
        "tool_call_update", toolCallId="c", status="failed", rawOutput="rejected by hook"
    ) == [ToolEnded(call_id="c", how="failed")]
    assert PermissionWithdrawn(request_id="permission 1") not in agent.answers(
        PROMPT, {"stopReason": "end_turn"}
    )


def test_a_call_that_was_asked_about_and_fails_by_a_no_was_refused() -> None:
    agent = ready()
    agent.asks(1, "c", kind="execute")
    heard = agent.updates(
        "tool_call_update", toolCallId="c", status="failed", rawOutput="User refused permission"
    )

    assert heard == [
        PermissionWithdrawn(request_id="permission 1"),
        ToolEnded(call_id="c", how="refused"),
    ]


def test_a_call_that_was_asked_about_and_is_never_heard_of_again_was_refused() -> None:
    agent = ready()
    agent.asks(1, "c", kind="execute")

    assert agent.answers(PROMPT, {"stopReason": "end_turn"}) == [
        PromptTaken(prompt_id=PROMPT),
        PermissionWithdrawn(request_id="permission 1"),
        ToolEnded(call_id="c", how="refused"),
        TurnEnded(how="done"),
    ]


def test_an_interrupt_lets_the_open_questions_go_as_the_protocol_wants() -> None:
    agent = ready()
    agent.asks(7, "c")
    agent.asks("seven", "d")
    line = agent.channel.interrupt(request_id=RUN)

    assert line is not None
    cancel, *withdrawn = judged(line)
    assert cancel["method"] == "session/cancel"
    assert [each["id"] for each in withdrawn] == [7, "seven"]
    assert {each["result"]["outcome"]["outcome"] for each in withdrawn} == {"cancelled"}


def test_a_question_that_the_agent_takes_back_is_answered_as_withdrawn() -> None:
    agent = ready()
    agent.asks(7, "c")
    heard = agent.says(method="$/cancel_request", params={"requestId": 7})

    assert heard[0] == PermissionWithdrawn(request_id="permission 1")
    assert [each["id"] for each in owed(heard)] == [7]
    assert agent.says(method="$/cancel_request", params={"requestId": 7}) == []


@pytest.mark.parametrize("method", ["fs/write_text_file", "terminal/create", "elicitation/create", "x"])
def test_what_was_never_offered_is_refused(method: str) -> None:
    (message,) = owed(ready().says(id="f", method=method, params={"path": "/etc/passwd"}))

    assert (message["id"], message["error"]["code"]) == ("f", -32601)


def test_usage_is_told_for_its_turn_and_cost_on_top_of_what_was_told() -> None:
    agent = ready()

    def turn(amount: float, **result: Any) -> UsageReported:
        agent.updates("usage_update", used=1, size=2, cost={"amount": amount, "currency": "USD"})
        (usage,) = of(UsageReported, agent.answers(PROMPT, {"stopReason": "end_turn", **result}))
        return usage

    first = turn(
        0.5, usage={"inputTokens": 10, "cachedReadTokens": 4, "cachedWriteTokens": 1, "outputTokens": 2}
    )
    quota = {"quota": {"token_count": {"input_tokens": 7, "output_tokens": 3}}}
    second = turn(0.75, _meta=quota)

    assert first == UsageReported(input_tokens=15, cached_tokens=4, output_tokens=2, cost_micros=500_000)
    assert second == UsageReported(input_tokens=7, output_tokens=3, cost_micros=250_000)
    assert of(UsageReported, agent.answers(PROMPT, {"stopReason": "end_turn"})) == []


def test_what_an_agent_makes_us_remember_is_bounded() -> None:
    agent = ready()
    heard = [each for number in range(QUESTIONS_MAX + 50) for each in agent.asks(number, f"c{number}")]

    assert len(of(Asked, heard)) == QUESTIONS_MAX
    assert len(owed(heard)) == 50
    line = agent.channel.interrupt(request_id=RUN)
    assert line is not None
    assert len(judged(line)) == QUESTIONS_MAX + 1


@pytest.mark.parametrize("own_id", [None, {"a": 1}, [1], "x" * 300, 1.5])
def test_a_request_whose_name_is_none_gets_no_answer(own_id: object) -> None:
    assert ready().asks(own_id, "c") == []
    assert ready().says(id=own_id, method="fs/read_text_file", params={}) == []


def test_answers_to_what_nobody_asked_are_passed_over() -> None:
    agent = ready()

    assert agent.answers("session/new", {"sessionId": "another"}) == []
    assert agent.answers("nonsense", {}) == []
    assert agent.says(id=None, error={"code": -32700, "message": "Parse error"}) == []


def test_a_run_for_one_turn_reads_the_end_of_its_input_when_it_is_over() -> None:
    agent = Agent(is_for_one_turn=True, prompt="Do it.")
    agent.greets()
    agent.answers("session/new", {"sessionId": "s"})

    assert agent.answers(RUN, {"stopReason": "end_turn"})[-2:] == [TurnEnded(how="done"), InputOver()]
    assert agent.channel.say("More.", prompt_id=PROMPT) is None
    assert agent.channel.interrupt(request_id=RUN) is None


def test_a_conversation_that_begins_without_a_prompt_waits_for_one() -> None:
    agent = Agent()
    agent.greets()
    heard = agent.answers("session/new", {"sessionId": "s"})
    assert heard[-1] == PromptAwaited()
    assert agent.channel.say("Go on.", prompt_id=PROMPT) is not None


def test_who_only_listens_does_not_say_that_a_prompt_is_awaited() -> None:
    reader = AcpAdapter().reader()
    assert reader is not None
    opened = b'{"jsonrpc": "2.0", "id": "session/new", "result": {"sessionId": "s"}}'
    assert PromptAwaited() not in reader.read(opened)
