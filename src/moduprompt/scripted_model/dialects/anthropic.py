"""Anthropic Messages: `POST /v1/messages`."""

from moduprompt.scripted_model import loose
from moduprompt.scripted_model.conversation import Conversation, Reply, Result, Said
from moduprompt.scripted_model.dialects.dialect import Dialect, event, texts, words
from moduprompt.scripted_model.tools import Offer

ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def read(body: dict[str, object]) -> Conversation:
    """Tools that the vendor's server would run itself have no schema and are not offered to the script."""
    history: list[Said | Result] = []
    for message in loose.tables(body.get("messages")):
        if message.get("role") == "user":
            content = message.get("content")
            history += [Result() for part in loose.tables(content) if part.get("type") == "tool_result"]
            history += [Said(text) for text in texts(content, kinds=("text",))]
    offers = (
        Offer(loose.text(tool.get("name")), loose.table(tool.get("input_schema")))
        for tool in loose.tables(body.get("tools"))
        if "input_schema" in tool
    )
    wanted = loose.table(loose.table(body.get("output_config")).get("format") or body.get("output_format"))
    return Conversation(
        model=loose.text(body.get("model")),
        history=tuple(history),
        offers=tuple(offers),
        is_streamed=body.get("stream") is True,
        answer_schema=wanted.get("schema"),
    )


def whole(reply: Reply) -> object:
    content: list[object] = [{"type": "text", "text": reply.text}] if reply.text or not reply.call else []
    if reply.call is not None:
        # The arguments are a value here, so that malformed ones are of a shape that no tool takes.
        arguments: object = {"malformed": reply.call.raw} if reply.call.is_malformed else reply.call.arguments
        content.append(_used(reply, arguments))
    return _head(reply) | {"content": content, "stop_reason": _reason(reply), "usage": _usage(reply)}


def pieces(reply: Reply) -> list[bytes]:
    nothing: list[object] = []
    head = _head(reply) | {
        "content": nothing,
        "stop_reason": None,
        "usage": _usage(reply) | {"output_tokens": 1},
    }
    frames = [_frame("message_start", {"message": head})]
    index = 0
    if reply.text or not reply.call:
        deltas: list[object] = [{"type": "text_delta", "text": word} for word in words(reply.text)]
        frames += _block(index, {"type": "text", "text": ""}, deltas=deltas)
        index += 1
    if reply.call is not None:
        deltas = [{"type": "input_json_delta", "partial_json": part} for part in words(reply.call.raw)]
        frames += _block(index, _used(reply, {}), deltas=deltas)
    end: dict[str, object] = {
        "delta": {"stop_reason": _reason(reply), "stop_sequence": None},
        "usage": _usage(reply),
    }
    return [*frames, _frame("message_delta", end), _frame("message_stop", {})]


def refused(status: int, message: str) -> object:
    return {"type": "error", "error": {"type": ERRORS.get(status, "api_error"), "message": message}}


def _head(reply: Reply) -> dict[str, object]:
    return {
        "id": f"msg_{reply.reply_id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "stop_sequence": None,
    }


def _used(reply: Reply, arguments: object) -> object:
    call = reply.call
    assert call is not None, "BUG: no call to tell of"
    return {"type": "tool_use", "id": f"toolu_{call.call_id}", "name": call.name, "input": arguments}


def _block(index: int, start: object, *, deltas: list[object]) -> list[bytes]:
    return [
        _frame("content_block_start", {"index": index, "content_block": start}),
        *(_frame("content_block_delta", {"index": index, "delta": delta}) for delta in deltas),
        _frame("content_block_stop", {"index": index}),
    ]


def _frame(kind: str, fields: dict[str, object]) -> bytes:
    return event({"type": kind} | fields, name=kind)


def _reason(reply: Reply) -> str:
    return "tool_use" if reply.call else "end_turn"


def _usage(reply: Reply) -> dict[str, object]:
    """Here what was read from the cache is not counted among the input."""
    return {
        "input_tokens": max(0, reply.usage.input_tokens - reply.usage.cached_tokens),
        "cache_read_input_tokens": reply.usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": reply.usage.output_tokens,
    }


ANTHROPIC = Dialect("anthropic", read, whole, pieces, refused)
