"""OpenAI Responses: `POST /v1/responses`."""

from moduprompt.scripted_model import loose
from moduprompt.scripted_model.conversation import Conversation, Reply, Result, Said
from moduprompt.scripted_model.dialects.dialect import CREATED, Dialect, event, texts, words
from moduprompt.scripted_model.dialects.openai_errors import refused
from moduprompt.scripted_model.tools import Offer

OUTPUTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")
Item = dict[str, object]


def read(body: dict[str, object]) -> Conversation:
    history: list[Said | Result] = []
    given = body.get("input")
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else loose.tables(given):
        if item.get("type") in OUTPUTS:
            history.append(Result())
        elif item.get("role") == "user":
            history += [Said(text) for text in texts(item.get("content"), kinds=("input_text", "text"))]
    wanted = loose.table(loose.table(body.get("text")).get("format"))
    return Conversation(
        model=loose.text(body.get("model")),
        history=tuple(history),
        offers=_offers(body.get("tools")),
        is_streamed=body.get("stream") is True,
        answer_schema=wanted.get("schema"),
    )


def _offers(tools: object) -> tuple[Offer, ...]:
    return tuple(
        Offer(
            loose.text(tool.get("name")),
            loose.table(tool.get("parameters")),
            is_freeform=tool.get("type") == "custom",
        )
        for tool in loose.tables(tools)
        if tool.get("type") in ("function", "custom")
    )


def whole(reply: Reply) -> object:
    return _response(reply, status="completed", output=_items(reply))


def pieces(reply: Reply) -> list[bytes]:
    frames: list[Item] = [
        {"type": "response.created", "response": _response(reply, status="in_progress", output=[])}
    ]
    for index, item in enumerate(_items(reply)):
        frames += _item_frames(reply, index, item=item)
    done = _response(reply, status="completed", output=_items(reply))
    frames.append({"type": "response.completed", "response": done})
    return [
        event(frame | {"sequence_number": number}, name=loose.text(frame["type"]))
        for number, frame in enumerate(frames)
    ]


def _item_frames(reply: Reply, index: int, *, item: Item) -> list[Item]:
    place: Item = {"output_index": index, "item_id": item["id"]}
    opened = item | {"status": "in_progress"}
    if item["type"] == "message":
        opened["content"] = []
        part = place | {"content_index": 0}
        inner: list[Item] = [
            {"type": "response.content_part.added", "part": _text_part("")} | part,
            *({"type": "response.output_text.delta", "delta": word} | part for word in words(reply.text)),
            {"type": "response.output_text.done", "text": reply.text} | part,
            {"type": "response.content_part.done", "part": _text_part(reply.text)} | part,
        ]
    else:
        assert reply.call is not None, "BUG: an item that is neither text nor call"
        key = "input" if "input" in item else "arguments"
        opened[key] = ""
        kind = "response.custom_tool_call_input" if key == "input" else "response.function_call_arguments"
        inner = [{"type": f"{kind}.delta", "delta": part} | place for part in words(reply.call.raw)]
        inner.append({"type": f"{kind}.done", key: reply.call.raw} | place)
    return [
        {"type": "response.output_item.added", "output_index": index, "item": opened},
        *inner,
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _items(reply: Reply) -> list[Item]:
    items: list[Item] = []
    if reply.text or not reply.call:
        content: list[object] = [_text_part(reply.text)]
        items.append(
            {
                "id": f"msg_{reply.reply_id}",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": content,
            }
        )
    if (call := reply.call) is not None:
        is_freeform = isinstance(call.arguments, str)
        items.append(
            {
                "id": f"fc_{call.call_id}",
                "type": "custom_tool_call" if is_freeform else "function_call",
                "status": "completed",
                "call_id": call.call_id,
                "name": call.name,
                ("input" if is_freeform else "arguments"): call.raw,
            }
        )
    return items


def _text_part(text: str) -> Item:
    return {"type": "output_text", "text": text, "annotations": []}


def _response(reply: Reply, *, status: str, output: list[Item]) -> Item:
    used = reply.usage
    usage: Item = {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {"cached_tokens": used.cached_tokens},
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": used.input_tokens + used.output_tokens,
    }
    return {
        "id": f"resp_{reply.reply_id}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "model": reply.model,
        "output": output,
        "error": None,
        "usage": usage if status == "completed" else None,
    }


RESPONSES = Dialect("responses", read, whole, pieces, refused)
