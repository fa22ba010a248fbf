"""Talks with Claude Code over its control channel: prompts, permissions, interrupts, in lines both ways.

What was measured of it (2.1.197), and what we therefore do:

- A prompt that comes while a turn runs is merged into it at its next step: between turns otherwise, and that is
  how it is steered. With `--replay-user-messages` each prompt comes back under the name we gave it, when the
  model has it; the program itself drops a name that it has seen.
- A question is a `control_request` and stands until a `control_response` with its id. A yes has to repeat the
  arguments. What it suggests for always may be written into files of the user's project: it is
  held to the session, and offered only where that leaves decisions with people.
- An interrupt withdraws what it asked (`control_cancel_request`) and ends the turn within milliseconds, as
  `error_during_execution`. Without a turn it does nothing.
- It never ends by itself: the end of its input ends it, with 1 where its last turn was interrupted.
- Without a prompt it prints nothing. It is asked to initialize, and its answer shows that it reads its input.
- A line that is no JSON ends it at once: only whole lines are written.
"""

from collections.abc import Iterator, Mapping
from typing import Final, TypeGuard

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    PermissionAsked,
    PermissionOption,
    PermissionWithdrawn,
    PromptAwaited,
    PromptTaken,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
)
from moduprompt.effects.agents.claude_reader import NO, ClaudeReader
from moduprompt.effects.agents.lines import Fields, read_object, write_line
from moduprompt.effects.agents.port import Asked, Heard, InputOver, Owed
from moduprompt.protocol import PromptId, is_id

INITIALIZE: Final = "initialize"  # our request of that name
QUESTIONS_MAX: Final = 100  # open at once; it asks about the few calls of one step
ALLOW_ONCE: Final = PermissionOption(id="allow_once", kind="allow_once", label="Yes")
ALLOW_ALWAYS: Final = PermissionOption(
    id="allow_always", kind="allow_always", label="Yes, and don't ask again in this session"
)
REJECT_ONCE: Final = PermissionOption(id="reject_once", kind="reject_once", label="No")
# What it may suggest for always that leaves the rest of its decisions with people.
HARMLESS_MODE: Final = "acceptEdits"

NAMED_TWICE: Final = (
    "it asked for something else under the name of a question that stands open; that was passed over"
)


class ClaudeChannel:
    """Follows one run. `is_for_one_turn`: its input ends with its first turn."""

    def __init__(self, *, is_for_one_turn: bool) -> None:
        self._reader = ClaudeReader()
        self._is_for_one_turn = is_for_one_turn
        self._is_in_turn = False
        self._is_over = False
        self._open: dict[
            str, str
        ] = {}  # questions that nobody has answered, in their order, and what each is about

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one line says, and what follows for its input."""
        fields = read_object(line)
        return () if fields is None else tuple(self._heard(fields))

    def say(self, text: str, *, prompt_id: str, is_steering: bool = False) -> bytes | None:
        """A prompt, under its own name."""
        if self._is_over or (self._is_in_turn and not is_steering):
            return None
        return prompt_line(text, prompt_id=prompt_id)

    def interrupt(self, *, request_id: str) -> bytes | None:
        """End the turn. A turn may have begun of which it has not told yet, so it is sent without one too."""
        if self._is_over:
            return None
        request = {"subtype": "interrupt"}
        return write_line({"type": "control_request", "request_id": request_id, "request": request})

    def _heard(self, fields: Fields) -> Iterator[Heard]:
        match fields.text("type"):
            case "control_request":
                yield from self._requested(fields)
            case "control_cancel_request":
                yield from self._withdrawn(fields.mark("request_id"))
            case "control_response":
                yield from self._responded(fields.inner("response"))
            case "user" if fields.flag("isReplay") and is_id(fields.text("uuid")):
                yield PromptTaken(prompt_id=PromptId(fields.text("uuid")))
            case _:
                for heard in self._reader.hear(fields):
                    yield from self._turned(heard)

    def _responded(self, response: Fields) -> Iterator[Heard]:
        if response.mark("request_id") == INITIALIZE and not self._is_in_turn and not self._is_over:
            yield PromptAwaited()
        # Or it is our own answer, repeated to us: it has it.
        self._open.pop(response.mark("request_id"), None)

    def _turned(self, heard: Heard) -> Iterator[Heard]:
        if isinstance(heard, TurnBegan):
            self._is_in_turn = True
        if isinstance(heard, TurnEnded):
            for request_id in tuple(self._open):
                yield from self._withdrawn(request_id)
            self._is_in_turn = False
        yield heard
        if isinstance(heard, TurnEnded) and self._is_for_one_turn and not self._is_over:
            self._is_over = True
            yield InputOver()

    def _requested(self, fields: Fields) -> Iterator[Heard]:
        request_id, request = fields.mark("request_id"), fields.inner("request")
        about = fields.digest("request")
        if request_id in self._open:
            if self._open[request_id] != about:
                yield TroubleSeen(failure=FailureClass.INVALID_OUTPUT, message=NAMED_TWICE)
            return
        if request.text("subtype") != "can_use_tool" or len(self._open) >= QUESTIONS_MAX:
            yield Owed(name=f"no {request_id}"[:100], line=_not_offered(fields))
            return
        self._open[request_id] = about
        yield _question(fields, request)

    def _withdrawn(self, request_id: str) -> Iterator[Heard]:
        if request_id in self._open:
            del self._open[request_id]
            yield PermissionWithdrawn(request_id=request_id)


def greeting_line() -> bytes:
    """What is said first where there is no prompt: it answers when it is there."""
    return write_line(
        {"type": "control_request", "request_id": INITIALIZE, "request": {"subtype": "initialize"}}
    )


def prompt_line(text: str, *, prompt_id: str) -> bytes:
    """A prompt as the program takes it."""
    content = [{"type": "text", "text": text}]
    return write_line({"type": "user", "message": {"role": "user", "content": content}, "uuid": prompt_id})


def _question(fields: Fields, request: Fields) -> Asked:
    always = _suggested(request)
    allowed: dict[str, object] = {"behavior": "allow", "updatedInput": request.raw("input")}
    answers = {
        ALLOW_ONCE.id: _answer(fields, allowed),
        REJECT_ONCE.id: _answer(fields, {"behavior": "deny", "message": f"{NO} with this tool use."}),
    }
    if always:
        answers[ALLOW_ALWAYS.id] = _answer(fields, {**allowed, "updatedPermissions": always})
    options = (ALLOW_ONCE, ALLOW_ALWAYS, REJECT_ONCE) if always else (ALLOW_ONCE, REJECT_ONCE)
    said = PermissionAsked(
        request_id=fields.mark("request_id"),
        tool=request.mark("tool_name"),
        arguments_digest=request.digest("input"),
        options=options,
    )
    return Asked(said=said, text=f"{said.tool}\n{request.pretty('input')}", answers=answers)


def _suggested(request: Fields) -> list[dict[str, object]]:
    """What it suggests for always, held to the session; nothing where any of it would take decisions from people."""
    suggestions = request.raw("permission_suggestions")
    if not _is_list(suggestions) or not all(_is_harmless(each) for each in suggestions):
        return []
    return [{**each, "destination": "session"} for each in suggestions if _is_table(each)]


def _is_harmless(suggestion: object) -> bool:
    if not _is_table(suggestion):
        return False
    fields = Fields(suggestion)
    match fields.text("type"):
        case "setMode":
            return fields.text("mode") == HARMLESS_MODE
        case "addRules":
            return fields.text("behavior") == "allow"
        case "addDirectories":
            return True
        case _:
            return False


def _answer(fields: Fields, response: Mapping[str, object]) -> bytes:
    told = {"subtype": "success", "request_id": fields.text("request_id"), "response": response}
    return write_line({"type": "control_response", "response": told})


def _not_offered(fields: Fields) -> bytes:
    error = "this is not offered here"
    told = {"subtype": "error", "request_id": fields.text("request_id"), "error": error}
    return write_line({"type": "control_response", "response": told})


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _is_table(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)
