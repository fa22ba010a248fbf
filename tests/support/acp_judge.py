"""What the makers of the Agent Client Protocol say of the lines that we write: their own models judge each."""

import json
from typing import Any, Final

from acp import schema
from pydantic import BaseModel

REQUESTS: Final[dict[str, type[BaseModel]]] = {
    "initialize": schema.InitializeRequest,
    "authenticate": schema.AuthenticateRequest,
    "session/new": schema.NewSessionRequest,
    "session/load": schema.LoadSessionRequest,
    "session/resume": schema.ResumeSessionRequest,
    "session/prompt": schema.PromptRequest,
    "session/set_mode": schema.SetSessionModeRequest,
}


def judged(data: bytes) -> list[dict[str, Any]]:
    """Whole lines as messages; fails on whatever the protocol doesn't have, and on fields that it doesn't know."""
    assert data.endswith(b"\n")
    messages = [json.loads(line) for line in data.splitlines()]
    for message in messages:
        _judge(message)
    return messages


def _judge(message: dict[str, Any]) -> None:
    assert message["jsonrpc"] == "2.0"
    match message:
        case {"method": "session/cancel", "params": params}:
            assert "id" not in message, "a notification"
            _fits(schema.CancelNotification, params)
        case {"method": str(method), "id": str(), "params": params}:
            _fits(REQUESTS[method], params)
        case {"id": int() | str(), "result": result}:
            _fits(schema.RequestPermissionResponse, result)
        case {"id": int() | str(), "error": error}:
            _fits(schema.Error, error)
        case _:
            raise AssertionError(f"no message of the protocol: {message}")


def _fits(model: type[BaseModel], value: object) -> None:
    """As it stands, without what the model would add, and with nothing that it would pass over."""
    read = model.model_validate(value)
    assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == value
