"""What is on the wire in each dialect: the next step from the history, whole and in pieces, and the faults."""

import json
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import pytest

from tests.support.model_server import RunningModel, running_model, scripted

PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}}
USAGE = {"input_tokens": 70, "cached_tokens": 20, "output_tokens": 3}
Json = Any


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningModel]:
    with running_model(tmp_path_factory.mktemp("model")) as server:
        yield server


class Heard(NamedTuple):
    """What a client of a dialect understands of an answer."""

    text: str
    call: tuple[str, str] | None
    usage: tuple[int, int, int]
    end: str


class Client(NamedTuple):
    """A dialect as its clients speak it."""

    name: str
    path: Callable[[bool], str]
    ask: Callable[[str, int, bool], Json]
    hear: Callable[[Json], Heard]
    gather: Callable[[list[Json]], Heard]
    broken: Callable[[Json], object]
    ends: tuple[str, str]


def anthropic_ask(prompt: str, results: int, is_streamed: bool) -> Json:
    messages: list[Json] = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]
    for number in range(results):
        used: Json = {"type": "tool_use", "id": f"t{number}", "name": "Bash", "input": {}}
        messages.append({"role": "assistant", "content": [used]})
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": prompt}
        messages.append({"role": "user", "content": [result]})
    tool = {"name": "Bash", "input_schema": PARAMETERS}
    return {"model": "m", "messages": messages, "tools": [tool], "stream": is_streamed}


def anthropic_usage(usage: Json) -> tuple[int, int, int]:
    cached = usage["cache_read_input_tokens"]
    return usage["input_tokens"] + cached, cached, usage["output_tokens"]


def anthropic_hear(answer: Json) -> Heard:
    texts = [part["text"] for part in answer["content"] if part["type"] == "text"]
    calls = [(part["name"], json.dumps(part["input"])) for part in answer["content"] if "input" in part]
    return Heard(
        "".join(texts), calls[0] if calls else None, anthropic_usage(answer["usage"]), answer["stop_reason"]
    )


def anthropic_gather(events: list[Json]) -> Heard:
    texts, arguments, name = "", "", ""
    for event in events:
        delta = event.get("delta", {})
        texts += delta.get("text", "")
        arguments += delta.get("partial_json", "")
        name = event.get("content_block", {}).get("name", name)
    end = [event for event in events if event["type"] == "message_delta"][-1]
    call = (name, arguments) if name else None
    return Heard(texts, call, anthropic_usage(end["usage"]), end["delta"]["stop_reason"])


def responses_ask(prompt: str, results: int, is_streamed: bool) -> Json:
    items: list[Json] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}
    ]
    for number in range(results):
        call = {"type": "function_call", "call_id": f"t{number}", "name": "shell", "arguments": "{}"}
        items += [call, {"type": "function_call_output", "call_id": f"t{number}", "output": prompt}]
    tool = {"type": "function", "name": "shell", "parameters": PARAMETERS}
    return {"model": "m", "input": items, "tools": [tool], "stream": is_streamed}


def responses_hear(answer: Json) -> Heard:
    texts = [part["text"] for item in answer["output"] for part in item.get("content", [])]
    calls = [(item["name"], item["arguments"]) for item in answer["output"] if "arguments" in item]
    usage = answer["usage"]
    counts = (
        usage["input_tokens"],
        usage["input_tokens_details"]["cached_tokens"],
        usage["output_tokens"],
    )
    return Heard("".join(texts), calls[0] if calls else None, counts, answer["status"])


def responses_gather(events: list[Json]) -> Heard:
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    whole = responses_hear(events[-1]["response"])
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    deltas = [event["delta"] for event in events if event["type"].endswith("_arguments.delta")]
    assert (text, "".join(deltas)) == (whole.text, whole.call[1] if whole.call else "")
    return whole


def chat_ask(prompt: str, results: int, is_streamed: bool) -> Json:
    messages: list[Json] = [{"role": "system", "content": "be good"}, {"role": "user", "content": prompt}]
    for number in range(results):
        function = {"name": "bash", "arguments": "{}"}
        call = {"id": f"t{number}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"t{number}", "content": prompt})
    tool = {"type": "function", "function": {"name": "bash", "parameters": PARAMETERS}}
    return {"model": "m", "messages": messages, "tools": [tool], "stream": is_streamed}


def chat_usage(usage: Json) -> tuple[int, int, int]:
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return usage["prompt_tokens"], cached, usage["completion_tokens"]


def chat_hear(answer: Json) -> Heard:
    (choice,) = answer["choices"]
    calls = [call["function"] for call in choice["message"].get("tool_calls", [])]
    call = (calls[0]["name"], calls[0]["arguments"]) if calls else None
    return Heard(
        choice["message"]["content"] or "", call, chat_usage(answer["usage"]), choice["finish_reason"]
    )


def chat_gather(events: list[Json]) -> Heard:
    choices = [choice for event in events for choice in event["choices"]]
    calls = [call["function"] for choice in choices for call in choice["delta"].get("tool_calls", [])]
    call = (calls[0]["name"], "".join(each["arguments"] for each in calls)) if calls else None
    text = "".join(choice["delta"].get("content", "") for choice in choices)
    return Heard(text, call, chat_usage(events[-1]["usage"]), choices[-1]["finish_reason"])


def gemini_ask(prompt: str, results: int, is_streamed: bool) -> Json:
    contents: list[Json] = [{"role": "user", "parts": [{"text": prompt}]}]
    for _ in range(results):
        contents.append({"role": "model", "parts": [{"functionCall": {"name": "bash", "args": {}}}]})
        answer = {"name": "bash", "response": {"output": prompt}}
        contents.append({"role": "user", "parts": [{"functionResponse": answer}]})
    declared = {"name": "bash", "parametersJsonSchema": PARAMETERS}
    return {"contents": contents, "tools": [{"functionDeclarations": [declared]}]}


def gemini_gather(events: list[Json]) -> Heard:
    parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    usage = events[-1]["usageMetadata"]
    counts = (usage["promptTokenCount"], usage["cachedContentTokenCount"], usage["candidatesTokenCount"])
    call = (calls[0]["name"], json.dumps(calls[0]["args"])) if calls else None
    text = "".join(part.get("text", "") for part in parts)
    return Heard(text, call, counts, events[-1]["candidates"][0]["finishReason"])


def gemini_path(is_streamed: bool) -> str:
    call = "streamGenerateContent?alt=sse" if is_streamed else "generateContent"
    return f"/v1beta/models/gemini-2.5-pro:{call}"


def at(path: str) -> Callable[[bool], str]:
    """The same place for whole answers and for those in pieces."""

    def whichever(is_streamed: bool) -> str:
        return path

    return whichever


def error(key: str) -> Callable[[Json], object]:
    """What an error calls itself."""

    def kind(answer: Json) -> object:
        return answer["error"][key]

    return kind


def gemini_hear(answer: Json) -> Heard:
    return gemini_gather([answer])


CLIENTS = (
    Client(
        name="anthropic",
        path=at("/v1/messages?beta=true"),
        ask=anthropic_ask,
        hear=anthropic_hear,
        gather=anthropic_gather,
        broken=error("type"),
        ends=("tool_use", "end_turn"),
    ),
    Client(
        name="responses",
        path=at("/v1/responses"),
        ask=responses_ask,
        hear=responses_hear,
        gather=responses_gather,
        broken=error("code"),
        ends=("completed", "completed"),
    ),
    Client(
        name="chat",
        path=at("/v1/chat/completions"),
        ask=chat_ask,
        hear=chat_hear,
        gather=chat_gather,
        broken=error("code"),
        ends=("tool_calls", "stop"),
    ),
    Client(
        name="gemini",
        path=gemini_path,
        ask=gemini_ask,
        hear=gemini_hear,
        gather=gemini_gather,
        broken=error("status"),
        ends=("STOP", "STOP"),
    ),
)
IN_EVERY_DIALECT = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
TOOLS = {"anthropic": "Bash", "responses": "shell", "chat": "bash", "gemini": "bash"}


def events_of(raw: bytes) -> list[Json]:
    """The events that came whole."""
    blocks = raw.decode().split("\n\n")[:-1]
    lines = [block.splitlines()[-1].removeprefix("data: ") for block in blocks]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def heard(model: RunningModel, client: Client, prompt: str, *, results: int, is_streamed: bool) -> Heard:
    status, headers, raw = model.post(client.path(is_streamed), client.ask(prompt, results, is_streamed))
    assert (status, headers.get("Cut")) == (200, None), raw
    return client.gather(events_of(raw)) if is_streamed else client.hear(json.loads(raw))


@IN_EVERY_DIALECT
@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "in pieces"])
def test_each_step_is_answered_in_its_turn(model: RunningModel, client: Client, is_streamed: bool) -> None:
    prompt = scripted({"bash": "echo hi", "text": "I try", "usage": USAGE}, {"text": "All is done."})

    first = heard(model, client, prompt, results=0, is_streamed=is_streamed)
    then = heard(model, client, prompt, results=1, is_streamed=is_streamed)

    assert first.text == "I try"
    assert first.call is not None
    assert first.call[0] == TOOLS[client.name]
    assert json.loads(first.call[1]) == {"command": "echo hi"}
    assert (first.usage, first.end) == ((70, 20, 3), client.ends[0])
    assert (then.text, then.call, then.end) == ("All is done.", None, client.ends[1])


@IN_EVERY_DIALECT
@pytest.mark.parametrize("status", [401, 429, 500])
def test_an_error_is_said_as_the_vendor_says_it(model: RunningModel, client: Client, status: int) -> None:
    prompt = scripted({"status": status, "retry_after_s": 9})
    answered, headers, raw = model.post(client.path(True), client.ask(prompt, 0, True))

    assert answered == status
    assert headers["Retry-After"] == "9"
    kinds = {
        "anthropic": {401: "authentication_error", 429: "rate_limit_error", 500: "api_error"},
        "responses": {401: "invalid_api_key", 429: "rate_limit_exceeded", 500: None},
        "chat": {401: "invalid_api_key", 429: "rate_limit_exceeded", 500: None},
        "gemini": {401: "UNAUTHENTICATED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"},
    }
    assert client.broken(json.loads(raw)) == kinds[client.name][status]


@IN_EVERY_DIALECT
def test_a_fault_is_over_after_its_times(model: RunningModel, client: Client) -> None:
    prompt = scripted({"status": 500, "times": 2, "text": "fine"}, words=client.name)
    asked = [model.post(client.path(False), client.ask(prompt, 0, False))[0] for _ in range(3)]

    assert asked == [500, 500, 200]


@IN_EVERY_DIALECT
@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "in pieces"])
def test_an_answer_that_is_cut_has_begun_and_has_no_end(
    model: RunningModel, client: Client, is_streamed: bool
) -> None:
    prompt = scripted({"text": "one two three four", "cut": True})
    status, headers, raw = model.post(client.path(is_streamed), client.ask(prompt, 0, is_streamed))

    assert (status, headers["Cut"]) == (200, "1")
    if is_streamed:
        assert b"one" in raw
        assert b"four" not in raw
    else:
        assert raw.startswith(b"{")
        assert not raw.endswith(b"}")


@IN_EVERY_DIALECT
def test_a_malformed_call_is_none_that_a_tool_takes(model: RunningModel, client: Client) -> None:
    prompt = scripted({"bash": "echo hi", "malformed": True})
    _, _, raw = model.post(client.path(True), client.ask(prompt, 0, True))
    found = client.gather(events_of(raw))

    if client.name == "gemini":  # arguments are a value there: the vendor says that they were malformed
        assert (found.call, found.end) == (None, "MALFORMED_FUNCTION_CALL")
    else:
        assert found.call == (TOOLS[client.name], '{"command"')


@IN_EVERY_DIALECT
def test_a_slow_answer_is_the_same_answer(model: RunningModel, client: Client) -> None:
    prompt = scripted({"text": "one two", "drip_s": 0.001, "sleep_s": 0.001})

    assert heard(model, client, prompt, results=0, is_streamed=True).text == "one two"


ODD = tuple(
    json.loads(raw) for raw in ("[]", "1", '{"messages": 1, "contents": [1], "input": {}, "tools": [[]]}')
)


@IN_EVERY_DIALECT
@pytest.mark.parametrize("body", ODD)
def test_a_request_that_says_nothing_is_answered(model: RunningModel, client: Client, body: object) -> None:
    status, _, raw = model.post(client.path(False), body)

    assert status == 200
    assert client.hear(json.loads(raw)).text == "Scripted"


def test_a_patch_is_a_freeform_call(model: RunningModel) -> None:
    body = responses_ask(scripted({"write": {"path": "a", "content": "x\n"}}), 0, True)
    body["tools"] = [{"type": "custom", "name": "apply_patch"}]
    _, _, raw = model.post("/v1/responses", body)
    (item,) = events_of(raw)[-1]["response"]["output"]

    assert (item["type"], item["name"]) == ("custom_tool_call", "apply_patch")
    assert item["input"].splitlines()[1:3] == ["*** Add File: a", "+x"]


def test_gemini_streams_a_list_where_no_events_are_asked_for(model: RunningModel) -> None:
    body = gemini_ask(scripted({"text": "hello"}), 0, False)
    _, _, raw = model.post("/v1beta/models/m:streamGenerateContent", body)

    assert gemini_gather(json.loads(raw)).text == "hello"
