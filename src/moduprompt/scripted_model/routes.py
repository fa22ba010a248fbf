"""Which dialect a path means. The end of the path decides, so that any base address works."""

import re
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from moduprompt.scripted_model.conversation import Conversation
from moduprompt.scripted_model.dialects.anthropic import ANTHROPIC
from moduprompt.scripted_model.dialects.chat import CHAT
from moduprompt.scripted_model.dialects.dialect import Dialect
from moduprompt.scripted_model.dialects.gemini import GEMINI
from moduprompt.scripted_model.dialects.responses import RESPONSES

GEMINI_CALL = re.compile(
    r"/models/(?P<model>[^/:]+):(?P<call>generateContent|streamGenerateContent|countTokens)$"
)


class Route(NamedTuple):
    """`model` and `is_streamed` where the path says them; `is_count`: only tokens are asked for."""

    dialect: Dialect
    model: str = ""
    is_streamed: bool = False
    is_list: bool = False
    is_count: bool = False

    def told(self, conversation: Conversation, *, size: int) -> Conversation:
        """The conversation with what the path says of it."""
        return conversation._replace(
            model=conversation.model or self.model,
            is_streamed=conversation.is_streamed or self.is_streamed,
            size=size,
        )


def route_of(target: str) -> Route | None:
    """The route of a request's target, or None for a place that no dialect has."""
    parts = urlsplit(target)
    path = unquote(parts.path).rstrip("/")
    if found := GEMINI_CALL.search(path):
        is_streamed = found["call"] == "streamGenerateContent"
        is_events = parse_qs(parts.query).get("alt") == ["sse"]
        return Route(
            GEMINI,
            model=found["model"],
            is_streamed=is_streamed and is_events,
            is_list=is_streamed and not is_events,
            is_count=found["call"] == "countTokens",
        )
    if path.endswith("/messages/count_tokens"):
        return Route(ANTHROPIC, is_count=True)
    ends = {"/messages": ANTHROPIC, "/responses": RESPONSES, "/chat/completions": CHAT}
    return next((Route(dialect) for end, dialect in ends.items() if path.endswith(end)), None)
