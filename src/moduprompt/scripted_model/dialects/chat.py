"""OpenAI Chat Completions: `POST /v1/chat/completions`."""

from moduprompt.scripted_model import loose
from moduprompt.scripted_model.conversation import Conversation, Reply, Result, Said
from moduprompt.scripted_model.dialects.dialect import CREATED, Dialect, event, texts, words
from moduprompt.scripted_model.dialects.openai_errors import refused
from moduprompt.scripted_model.tools import Offer


def read(body: dict[str, object]) -> Conversation:
    history: list[Said | Result] = []
    for message in loose.tables(body.get("messages")):
        if message.get("role") == "tool":
            history.append(Result())
        elif message.get("role") == "user":
            history += [Said(text) for text in texts(message.get("content"), kinds=("text",))]
    functions = [loose.table(tool.get("function")) for tool in loose.tables(body.get("tools"))]
    wanted = loose.table(loose.table(body.get("response_format")).get("json_schema"))
    return Conversation(
        model=loose.text(body.get("model")),
        history=tuple(history),
        offers=tuple(
            Offer(loose.text(one.get("name")), loose.table(one.get("parameters"))) for one in functions
        ),
        is_streamed=body.get("stream") is True,
        answer_schema=wanted.get("schema"),
    )


def whole(reply: Reply) -> object:
    message: dict[str, object] = {"role": "assistant", "content": reply.text or None}
    if reply.call is not None:
        message["tool_calls"] = [_call(reply, reply.call.raw)]
    choice = {"index": 0, "message": message, "finish_reason": _reason(reply)}
    return _head(reply, "chat.completion") | {"choices": [choice], "usage": _usage(reply)}


def pieces(reply: Reply) -> list[bytes]:
    deltas: list[dict[str, object]] = [{"role": "assistant", "content": ""}]
    deltas.extend({"content": word} for word in words(reply.text))
    if reply.call is not None:
        first, *more = words(reply.call.raw)
        deltas.append({"tool_calls": [_call(reply, first) | {"index": 0}]})
        deltas.extend({"tool_calls": [{"index": 0, "function": {"arguments": part}}]} for part in more)
    no_choices: list[object] = []
    return [
        *(_chunk(reply, delta, reason=None) for delta in deltas),
        _chunk(reply, {}, reason=_reason(reply)),
        event(_head(reply, "chat.completion.chunk") | {"choices": no_choices, "usage": _usage(reply)}),
        b"data: [DONE]\n\n",
    ]


def _chunk(reply: Reply, delta: dict[str, object], *, reason: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return event(_head(reply, "chat.completion.chunk") | {"choices": [choice]})


def _call(reply: Reply, arguments: str) -> dict[str, object]:
    assert reply.call is not None, "BUG: no call to tell of"
    function = {"name": reply.call.name, "arguments": arguments}
    return {"id": reply.call.call_id, "type": "function", "function": function}


def _reason(reply: Reply) -> str:
    return "tool_calls" if reply.call else "stop"


def _head(reply: Reply, kind: str) -> dict[str, object]:
    return {"id": f"chatcmpl-{reply.reply_id}", "object": kind, "created": CREATED, "model": reply.model}


def _usage(reply: Reply) -> object:
    return {
        "prompt_tokens": reply.usage.input_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.usage.cached_tokens},
        "completion_tokens": reply.usage.output_tokens,
        "total_tokens": reply.usage.input_tokens + reply.usage.output_tokens,
    }


CHAT = Dialect("chat", read, whole, pieces, refused)
