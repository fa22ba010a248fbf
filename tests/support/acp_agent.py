"""An agent of the Agent Client Protocol, made with its makers' library: it does what its prompt says, and thinks nothing.

    python -m tests.support.acp_agent [--locked]      one word a prompt:

    write    asks, and writes `written.txt` where it may
    wait     begins, and waits until it is cancelled
    files    wants to read and write files through its client, and tells what came of it
    tired    stops for want of tokens
    key      its model refuses its key
    hello    says so; anything else too

`--locked`: it wants to be signed in first, which a variable FAKE_KEY is enough for. Conversations are kept in its
working directory, so that another process can carry them on, where git does not look; so are the answers that it got.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from acp import Agent, RequestError, run_agent
from acp.helpers import start_tool_call, update_agent_message_text, update_tool_call, update_user_message_text
from acp.interfaces import Client
from acp.schema import (
    AgentCapabilities,
    AllowedOutcome,
    AuthenticateResponse,
    AuthEnvVar,
    EnvVarAuthMethod,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    TextContentBlock,
    ToolCallUpdate,
)

OPTIONS = [
    PermissionOption(option_id="yes", name="Yes", kind="allow_once"),
    PermissionOption(option_id="ever", name="Always", kind="allow_always"),
    PermissionOption(option_id="no", name="No", kind="reject_once"),
    PermissionOption(option_id="never", name="Never", kind="reject_always"),
]
Stop = Literal["end_turn", "max_tokens", "cancelled"]
KEPT = Path(".fake")


class FakeAgent(Agent):
    """One process; its conversations are files."""

    def __init__(self, *, is_locked: bool) -> None:
        self._is_locked = is_locked
        self._cancelled = asyncio.Event()
        self._client: Client | None = None

    def on_connect(self, conn: Client) -> None:
        self._client = conn

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    async def initialize(self, protocol_version: int, *_: Any, **__: Any) -> InitializeResponse:
        way = EnvVarAuthMethod(type="env_var", id="key", name="By key", vars=[AuthEnvVar(name="FAKE_KEY")])
        return InitializeResponse(
            protocol_version=protocol_version,
            agent_capabilities=AgentCapabilities(load_session=True),
            auth_methods=[way] if self._is_locked else [],
        )

    async def authenticate(self, method_id: str, **_: Any) -> AuthenticateResponse:
        assert method_id == "key"
        self._is_locked = "FAKE_KEY" not in os.environ
        return AuthenticateResponse()

    async def new_session(self, *_: Any, **__: Any) -> NewSessionResponse:
        if self._is_locked:
            raise RequestError.auth_required()
        session_id = str(uuid4())
        kept(session_id).write_text("")
        return NewSessionResponse(session_id=session_id)

    async def load_session(self, *_: Any, session_id: str, **__: Any) -> LoadSessionResponse:
        if not kept(session_id).exists():
            raise RequestError.resource_not_found(session_id)
        for word in kept(session_id).read_text().split():
            await self.client.session_update(session_id, update_user_message_text(word))
            await self.client.session_update(session_id, update_agent_message_text(f"I did {word}."))
        return LoadSessionResponse()

    async def cancel(self, *_: Any, **__: Any) -> None:
        self._cancelled.set()

    async def prompt(self, session_id: str, prompt: list[Any], *_: Any, **__: Any) -> PromptResponse:
        (block,) = prompt
        assert isinstance(block, TextContentBlock)
        self._cancelled.clear()
        with kept(session_id).open("a") as conversation:
            conversation.write(f"{block.text.split()[0]}\n")
        return PromptResponse(stop_reason=await self._do(session_id, block.text.split()[0]))

    async def _do(self, session_id: str, word: str) -> Stop:
        match word:
            case "write":
                return await self._write(session_id)
            case "wait":
                await self._say(session_id, "I wait.")
                await self._cancelled.wait()
                return "cancelled"
            case "files":
                await self._files(session_id)
            case "tired":
                return "max_tokens"
            case "key":
                raise RequestError(-32603, "Internal error", {"details": "401 Unauthorized"})
            case _:
                await self._say(session_id, f"You said {word}.")
        return "end_turn"

    async def _write(self, session_id: str) -> Stop:
        await self.client.session_update(
            session_id,
            start_tool_call("w", "Write written.txt", kind="edit", raw_input={"path": "written.txt"}),
        )
        call = ToolCallUpdate(tool_call_id="w", title="Write written.txt", kind="edit")
        answer = await self.client.request_permission(session_id, call, OPTIONS)
        if not isinstance(answer.outcome, AllowedOutcome):
            return "cancelled"
        kept("answer").write_text(answer.outcome.option_id)
        is_allowed = answer.outcome.option_id in ("yes", "ever")
        if is_allowed:
            write_here("written.txt")
        await self.client.session_update(
            session_id,
            update_tool_call(
                "w",
                status="completed" if is_allowed else "failed",
                raw_output=None if is_allowed else "the user rejected it",
            ),
        )
        return "end_turn"

    async def _files(self, session_id: str) -> None:
        try:
            await self.client.write_text_file(session_id, "through.txt", "through the client\n")
        except RequestError as refused:
            await self._say(session_id, f"refused with {refused.code}")

    async def _say(self, session_id: str, text: str) -> None:
        await self.client.session_update(session_id, update_agent_message_text(text))


def kept(name: str) -> Path:
    """Where a conversation is, or an answer."""
    KEPT.mkdir(exist_ok=True)
    (KEPT / ".gitignore").write_text("*\n")
    return KEPT / name


def write_here(name: str) -> None:
    """What its turn is about."""
    Path(name).write_text("by the fake\n")


if __name__ == "__main__":
    fake = FakeAgent(is_locked="--locked" in sys.argv[1:])  # pyright: ignore[reportAbstractUsage] - what nobody asks for it doesn't have
    asyncio.run(run_agent(fake))
