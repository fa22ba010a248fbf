"""What Claude Code says in its lines: the reader of `claude.py`."""

from typing import Final

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    ConversationNamed,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.effects.agents.lines import Fields, read_object, total
from moduprompt.effects.agents.port import Heard
from moduprompt.effects.agents.trouble import failure_of_status, failure_of_words

# Programs have a few calls open at once; one that never ends its calls is not remembered for ever.
CALLS_MAX: Final = 1_000
# Begins the result of a tool that was not run because somebody said no, or nobody was asked.
NO: Final = "The user doesn't want to proceed"
NOT_ALLOWED: Final = ("Claude requested permissions", "Permission to use", NO)


class ClaudeReader:
    """Remembers the conversation's name, the calls that are open, and what was counted before."""

    def __init__(self) -> None:
        self._conversation_id = ""
        self._is_in_turn = False
        self._calls: set[str] = set()
        self._refused: set[str] = set()
        self._cost_micros = 0

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one line says; nothing where it is none of those that matter."""
        fields = read_object(line)
        return () if fields is None else self.hear(fields)

    def hear(self, fields: Fields) -> tuple[Heard, ...]:
        """The same of a line that is taken apart already."""
        match fields.text("type"), fields.text("subtype"):
            case "system", "init":
                return self._init(fields)
            case "system", "api_retry":
                return (_retry(fields),)
            case "assistant", _:
                return self._calls_in(fields.inner("message"))
            case "user", _:
                return self._results_in(fields.inner("message"))
            case "result", _:
                return self._result(fields)
            case _:
                return ()

    def _init(self, fields: Fields) -> tuple[Heard, ...]:
        heard: list[Heard] = []
        conversation_id = fields.mark("session_id", otherwise="")
        if conversation_id and conversation_id != self._conversation_id:
            self._conversation_id = conversation_id
            heard.append(ConversationNamed(conversation_id=conversation_id))
        if not self._is_in_turn:
            self._is_in_turn = True
            heard.append(TurnBegan())
        return tuple(heard)

    def _calls_in(self, message: Fields) -> tuple[Heard, ...]:
        return tuple(
            self._called(item) for item in message.items("content") if _is_new_call(item, self._calls)
        )

    def _called(self, item: Fields) -> ToolCalled:
        call_id = item.mark("id")
        if len(self._calls) < CALLS_MAX:
            self._calls.add(call_id)
        return ToolCalled(
            call_id=call_id,
            tool=item.mark("name"),
            arguments_digest=item.digest("input"),
            paths=item.paths("input"),
        )

    def _results_in(self, message: Fields) -> tuple[Heard, ...]:
        return tuple(
            self._ended(item) for item in message.items("content") if item.text("type") == "tool_result"
        )

    def _ended(self, item: Fields) -> ToolEnded:
        call_id = item.mark("tool_use_id")
        self._calls.discard(call_id)
        if not item.flag("is_error"):
            return ToolEnded(call_id=call_id, how="done")
        if not item.text("content").startswith(NOT_ALLOWED):
            return ToolEnded(call_id=call_id, how="failed")
        return self._not_allowed(call_id)

    def _not_allowed(self, call_id: str) -> ToolEnded:
        if len(self._refused) < CALLS_MAX:
            self._refused.add(call_id)
        return ToolEnded(call_id=call_id, how="refused")

    def _result(self, fields: Fields) -> tuple[Heard, ...]:
        # Denials that its tool results didn't show are told here: a headless turn ends well without them.
        denied = [item.mark("tool_use_id") for item in fields.items("permission_denials")]
        unseen = [self._not_allowed(call_id) for call_id in denied if call_id not in self._refused]
        self._is_in_turn = False
        self._calls.clear()
        self._refused.clear()
        return (*unseen, self._usage(fields), *_how_it_ended(fields))

    def _usage(self, fields: Fields) -> UsageReported:
        usage = fields.inner("usage")
        cached = usage.count("cache_read_input_tokens")
        before, is_priced = self._cost_micros, fields.has("total_cost_usd")
        self._cost_micros = fields.micros("total_cost_usd") if is_priced else before
        return UsageReported(
            input_tokens=total(
                usage.count("input_tokens"), usage.count("cache_creation_input_tokens"), cached
            ),
            cached_tokens=cached,
            output_tokens=usage.count("output_tokens"),
            cost_micros=max(0, self._cost_micros - before) if is_priced else None,
        )


def _is_new_call(item: Fields, known: set[str]) -> bool:
    return item.text("type") == "tool_use" and item.mark("id") not in known


def _retry(fields: Fields) -> TroubleSeen:
    return TroubleSeen(
        failure=failure_of_status(fields.count("error_status")),
        message=fields.reason("error") or "it tries again",
        retry_after_s=-(-fields.count("retry_delay_ms") // 1000),
    )


def _how_it_ended(fields: Fields) -> tuple[Heard, ...]:
    if fields.text("subtype") == "success" and not fields.flag("is_error"):
        return (TurnEnded(how="done"),)
    if fields.text("terminal_reason").startswith("aborted"):
        return (TurnEnded(how="interrupted"),)
    failure = _failure(fields)
    message = fields.reason("result") or fields.reason("subtype") or "its turn failed"
    return TroubleSeen(failure=failure, message=message, is_final=True), TurnEnded(
        how="failed", failure=failure
    )


def _failure(fields: Fields) -> FailureClass:
    if fields.has("api_error_status"):
        return failure_of_status(fields.count("api_error_status"))
    if fields.text("subtype") == "error_max_budget_usd":
        return FailureClass.BUDGET_EXCEEDED
    return failure_of_words(fields.text("result"))
