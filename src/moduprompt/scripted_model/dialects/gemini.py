"""Gemini: `POST …/models/MODEL:generateContent` and `:streamGenerateContent`.

Model and streaming stand in the path, so `read` leaves them empty and the server fills them in.
"""

from moduprompt.scripted_model import loose
from moduprompt.scripted_model.conversation import Conversation, Reply, Result, Said
from moduprompt.scripted_model.dialects.dialect import Dialect, event, words
from moduprompt.scripted_model.tools import Offer

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def read(body: dict[str, object]) -> Conversation:
    history: list[Said | Result] = []
    for content in loose.tables(body.get("contents")):
        for part in loose.tables(content.get("parts")):
            if "functionResponse" in part:
                history.append(Result())
            elif content.get("role", "user") == "user" and (text := loose.text(part.get("text"))):
                history.append(Said(text))
    settings = loose.table(body.get("generationConfig"))
    return Conversation(
        model="",
        history=tuple(history),
        offers=_offers(body.get("tools")),
        is_streamed=False,
        answer_schema=settings.get("responseJsonSchema") or settings.get("responseSchema"),
    )


def _offers(tools: object) -> tuple[Offer, ...]:
    declared = [one for tool in loose.tables(tools) for one in loose.tables(tool.get("functionDeclarations"))]
    return tuple(
        Offer(
            loose.text(one.get("name")),
            loose.table(one.get("parametersJsonSchema") or one.get("parameters")),
        )
        for one in declared
    )


def whole(reply: Reply) -> object:
    texts: list[object] = [{"text": reply.text}] if reply.text else []
    return _chunk(reply, [*texts, *_called(reply)], is_last=True)


def pieces(reply: Reply) -> list[bytes]:
    spoken = [_chunk(reply, [{"text": word}], is_last=False) for word in words(reply.text)]
    called = [_chunk(reply, _called(reply), is_last=False)] if _called(reply) else []
    return [event(chunk) for chunk in (*spoken, *called, _chunk(reply, [{"text": ""}], is_last=True))]


def refused(status: int, message: str) -> object:
    return {"error": {"code": status, "message": message, "status": STATUSES.get(status, "INTERNAL")}}


def _called(reply: Reply) -> list[object]:
    """Arguments are a value here: malformed ones never reach the client, only the word that they were."""
    call = reply.call
    if call is None or call.is_malformed:
        return []
    return [{"functionCall": {"name": call.name, "args": call.arguments}}]


def _chunk(reply: Reply, parts: list[object], *, is_last: bool) -> object:
    candidate: dict[str, object] = {"index": 0, "content": {"role": "model", "parts": parts}}
    if is_last:
        is_malformed = reply.call is not None and reply.call.is_malformed
        candidate["finishReason"] = "MALFORMED_FUNCTION_CALL" if is_malformed else "STOP"
    usage = {
        "promptTokenCount": reply.usage.input_tokens,
        "cachedContentTokenCount": reply.usage.cached_tokens,
        "candidatesTokenCount": reply.usage.output_tokens,
        "totalTokenCount": reply.usage.input_tokens + reply.usage.output_tokens,
    }
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": reply.model,
        "responseId": reply.reply_id,
    }


GEMINI = Dialect("gemini", read, whole, pieces, refused)
