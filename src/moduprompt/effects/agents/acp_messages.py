"""The lines that we write to an agent of the Agent Client Protocol v1, and what its errors mean.

JSON-RPC 2.0, one message a line. Requests of ours have their meaning as their id, prompts their own id, so that an answer
says by itself what it answers and no counter has to be carried over a restart. The library of the protocol's
makers judges every line in the tests; here it is not needed (ADR 0056).
"""

from collections.abc import Mapping
from typing import Final

from moduprompt import __version__
from moduprompt.domain.failures import FailureClass
from moduprompt.effects.agents.lines import Fields, write_line
from moduprompt.effects.agents.trouble import failure_of_status, failure_of_words
from moduprompt.protocol import REASON_MAX

PROTOCOL_VERSION: Final = 1
METHOD_NOT_FOUND: Final = -32601
AUTH_REQUIRED: Final = -32000  # the protocol's own: sign in first
REQUEST_CANCELLED: Final = -32800  # the protocol's own: it was cancelled, and the agent says so by an error
STATUS_MIN, STATUS_MAX = 400, 599  # some agents give the status of their model's answer as the code
# What an error's data says of its kind, where an agent has that: `errorKind` is claude's, `codex_error_info` codex's.
_KINDS: Final = ("errorKind", "codex_error_info")
_OF_KIND: Final = {
    "authentication_failed": FailureClass.AUTH_REQUIRED,
    "billing_error": FailureClass.QUOTA_EXHAUSTED,
    "rate_limit": FailureClass.RATE_LIMITED,
    "server_error": FailureClass.NETWORK,
    "internal_server_error": FailureClass.NETWORK,
}


def greeting() -> bytes:
    """The first line: who we are. No files and no terminals: agents use their own tools where they stand.

    gemini can't make a new file through a client that offers files, and a run's worktree is ours to look at.
    """
    capabilities = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
    return _request(
        "initialize",
        {
            "protocolVersion": PROTOCOL_VERSION,
            "clientCapabilities": capabilities,
            "clientInfo": {"name": "moduprompt", "version": __version__},
        },
    )


def authenticating(method_id: str) -> bytes:
    """Sign in by one of the ways that the agent named."""
    return _request("authenticate", {"methodId": method_id})


def beginning(cwd: str) -> bytes:
    """A new conversation, in this directory, without servers of ours."""
    return _request("session/new", {"cwd": cwd, "mcpServers": []})


def carrying_on(method: str, conversation_id: str, *, cwd: str) -> bytes:
    """An old conversation. `method`: `session/load`, which tells it again, or `session/resume`, which doesn't."""
    return _request(method, {"sessionId": conversation_id, "cwd": cwd, "mcpServers": []})


def choosing_mode(conversation_id: str, mode_id: str) -> bytes:
    """Leave a mode that is pinned off."""
    return _request("session/set_mode", {"sessionId": conversation_id, "modeId": mode_id})


def prompting(conversation_id: str, text: str, *, prompt_id: str) -> bytes:
    """A turn. Its answer, with the same id, is the turn's end."""
    content = [{"type": "text", "text": text}]
    return _request("session/prompt", {"sessionId": conversation_id, "prompt": content}, request_id=prompt_id)


def cancelling(conversation_id: str) -> bytes:
    """End the turn. The agent answers the prompt's request; this one has no answer."""
    return write_line(
        {"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": conversation_id}}
    )


def selecting(request_id: object, option_id: str) -> bytes:
    """An answer to a permission request."""
    return _permission(request_id, {"outcome": "selected", "optionId": option_id})


def withdrawing(request_id: object) -> bytes:
    """The answer to a permission request of a turn that is cancelled, as the protocol wants it."""
    return _permission(request_id, {"outcome": "cancelled"})


def not_offered(request_id: object, method: str) -> bytes:
    """A polite no to a request for something that we never said we had."""
    error = {"code": METHOD_NOT_FOUND, "message": f"{method[:80]} is not offered"}
    return write_line({"jsonrpc": "2.0", "id": request_id, "error": error})


def meaning(error: Fields) -> tuple[FailureClass, str]:
    """What an agent's error stands for, and its own words: from its code, its kind, else from all that it says."""
    data, code = error.inner("data"), error.signed("code")
    texts = (error.text("message"), error.text("data"), data.text("message"), data.text("details"))
    message = ": ".join(dict.fromkeys(text for text in texts if text)) or f"error {code}"
    kind = next((data.text(name) for name in _KINDS if data.text(name)), "")
    if code == AUTH_REQUIRED:
        return FailureClass.AUTH_REQUIRED, message[:REASON_MAX]
    if STATUS_MIN <= code <= STATUS_MAX:
        return failure_of_status(code), message[:REASON_MAX]
    return _OF_KIND.get(kind) or failure_of_words(message), message[:REASON_MAX]


def _request(method: str, params: Mapping[str, object], *, request_id: str = "") -> bytes:
    return write_line({"jsonrpc": "2.0", "id": request_id or method, "method": method, "params": params})


def _permission(request_id: object, outcome: Mapping[str, object]) -> bytes:
    return write_line({"jsonrpc": "2.0", "id": request_id, "result": {"outcome": outcome}})
