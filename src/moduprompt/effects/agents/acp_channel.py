"""One run's conversation with an agent of the Agent Client Protocol v1: what it says, and what it is owed.

    greeting ──► opening ──► ready ◄──► in a turn
        │           │ ▲
        │           └─┘ signs in, where a variable is enough
        └─────┴──► over: nothing more is said to it

Pure: what it gives is made from the lines it has read and the request of its run, so a fresh channel that has read the
same gives the same. It never raises, and its memory is bounded whatever an agent prints.

- The first line (`initialize`) is the command's `opening`; each step after it is owed when its turn comes.
- A turn begins with the first thing that the agent does, and ends with the answer to its prompt. What is
  told while an old conversation is loaded is its past, and is passed over.
- What the agent wants of us beyond permissions (files, terminals) was never offered, and is refused.
- A mode in which a model decides about permissions is left at once, where there is one in which people do.
"""

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    MARK_MAX,
    OPTIONS_MAX,
    ConversationNamed,
    OptionKind,
    PermissionAsked,
    PermissionOption,
    PermissionWithdrawn,
    PromptAwaited,
    PromptTaken,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.effects.agents import acp_messages as messages
from moduprompt.effects.agents.acp_calls import Calls, digest
from moduprompt.effects.agents.lines import Fields, read_object, total
from moduprompt.effects.agents.port import AgentRequest, Asked, Heard, InputOver, Owed
from moduprompt.protocol import REASON_MAX, PromptId, is_id

Stage: TypeAlias = Literal["greeting", "opening", "ready", "over"]

QUESTIONS_MAX: Final = 100  # open at once: an agent asks about a few calls; what comes beyond is withdrawn
DETAIL_MAX: Final = 100_000  # characters of what a person reads before answering
KINDS: Final[dict[str, OptionKind]] = {
    "allow_once": "allow_once",
    "allow_always": "allow_always",
    "reject_once": "reject_once",
    "reject_always": "reject_always",
}
# Claude's: a model decides, or nobody. Where there is a mode of this name, people do.
PINNED_OFF: Final = frozenset({"auto", "dontAsk"})
PEOPLE_DECIDE: Final = "default"
# The agent is at work on a prompt when it says one of these. Commands, modes and sums are told at any time.
AT_WORK: Final = frozenset({"agent_message_chunk", "agent_thought_chunk", "tool_call", "plan"})
OPENINGS: Final = frozenset({"session/new", "session/load", "session/resume"})
FAILED_TURNS: Final = {
    "max_tokens": (FailureClass.INVALID_OUTPUT, "its model ran out of tokens in the middle of an answer"),
    "max_turn_requests": (FailureClass.BUDGET_EXCEEDED, "it asked its model as often as one turn may"),
    "refusal": (FailureClass.POLICY_DENIED, "its model declined to go on"),
}


class AcpChannel:
    """Follows one run. `request`: the one that it was started by; a bare one for whoever only listens.

    `is_for_one_turn`: its input ends with its first turn. `is_onlooker`: whether there is a prompt is not known.
    """

    def __init__(self, request: AgentRequest, *, is_for_one_turn: bool, is_onlooker: bool = False) -> None:
        self._request = request
        self._is_for_one_turn = is_for_one_turn
        self._is_onlooker = is_onlooker
        self._stage: Stage = "greeting"
        self._conversation_id = ""
        self._is_in_turn = False
        self._calls = Calls()
        self._questions: dict[str, tuple[object, str]] = {}  # by our name: its own id, and the call
        self._asked = 0  # how many questions there were, refused requests too: names for what is new
        self._ways: dict[str, tuple[str, ...]] = {}  # to sign in by variables alone
        self._has_signed_in = False
        self._can_load = self._can_resume = False
        self._cost_micros = 0
        self._cost_told = 0

    def read(self, line: bytes) -> tuple[Heard, ...]:
        """What one line says and what follows; nothing where it is none of the protocol's."""
        fields = read_object(line)
        if fields is None:
            return ()
        if fields.text("method"):
            return tuple(self._called(fields))
        return tuple(self._answered(fields))

    def say(self, text: str, *, prompt_id: str, is_steering: bool = False) -> bytes | None:
        """A prompt, between turns: the protocol has no way into a turn that runs."""
        if self._stage != "ready" or self._is_in_turn or is_steering:
            return None
        return messages.prompting(self._conversation_id, text, prompt_id=prompt_id)

    def interrupt(self, *, request_id: str) -> bytes | None:  # noqa: ARG002 - the protocol's order has no name
        """End the turn, and let the open questions go, as the protocol wants. Without a turn it does nothing.

        An agent says nothing until its model does, so a turn may be on that nobody has heard of yet.
        """
        if self._stage != "ready":
            return None
        withdrawn = (messages.withdrawing(own_id) for own_id, _ in self._questions.values())
        return messages.cancelling(self._conversation_id) + b"".join(withdrawn)

    def _called(self, fields: Fields) -> Iterator[Heard]:
        """A request or a notification of the agent's."""
        method, params, own_id = fields.text("method"), fields.inner("params"), fields.raw("id")
        if method == "session/update":
            yield from self._updated(params.inner("update"))
        elif method == "$/cancel_request":
            yield from self._let_go(params.raw("requestId"))
        elif method == "session/request_permission" and _is_name(own_id):
            yield from self._question(own_id, params)
        elif _is_name(own_id):
            self._asked += 1
            yield Owed(name=f"no {self._asked}", line=messages.not_offered(own_id, method))

    def _answered(self, fields: Fields) -> Iterator[Heard]:
        """What became of a request of ours."""
        asked, result = fields.text("id"), fields.inner("result")
        error = fields.inner("error") if fields.has("error") else None
        if is_id(asked):
            yield from self._turn_answered(PromptId(asked), result=result, error=error)
        elif asked == "initialize" and self._stage == "greeting":
            yield from self._greeted(result, error=error)
        elif asked == "authenticate" and self._stage == "opening":
            yield from self._open() if error is None else self._not_signed_in(error)
        elif asked in OPENINGS and self._stage in ("greeting", "opening"):
            yield from self._opened(result, error=error)

    # From the greeting to a conversation.

    def _greeted(self, result: Fields, *, error: Fields | None) -> Iterator[Heard]:
        self._stage = "opening"
        if error is not None:
            yield from self._breaks(*messages.meaning(error))
            return
        version = result.count("protocolVersion")
        if version != messages.PROTOCOL_VERSION:
            why = f"it speaks version {version} of the protocol, and we speak {messages.PROTOCOL_VERSION}"
            yield from self._breaks(FailureClass.INVALID_OUTPUT, why)
            return
        self._ways = dict(_ways_by_variables(result))
        capabilities = result.inner("agentCapabilities")
        self._can_load = capabilities.flag("loadSession")
        self._can_resume = capabilities.inner("sessionCapabilities").has("resume")
        yield from self._open()

    def _open(self) -> Iterator[Heard]:
        again = " again" if self._has_signed_in else ""
        conversation_id, cwd = self._request.conversation_id, self._request.cwd
        if conversation_id is None:
            yield Owed(name=f"session/new{again}", line=messages.beginning(cwd))
            return
        method = "session/load" if self._can_load else "session/resume"
        if not (self._can_load or self._can_resume):
            yield from self._breaks(FailureClass.INVALID_OUTPUT, "it can't carry on a conversation")
            return
        line = messages.carrying_on(method, conversation_id, cwd=cwd)
        yield Owed(name=f"{method}{again}", line=line)

    def _opened(self, result: Fields, *, error: Fields | None) -> Iterator[Heard]:
        if error is not None:
            yield from self._not_opened(error)
            return
        # Agents that carry a conversation on don't say its name again.
        conversation_id = result.text("sessionId") or self._request.conversation_id or ""
        if len(conversation_id) > MARK_MAX:
            yield from self._breaks(FailureClass.INVALID_OUTPUT, "the name of its conversation is too long")
            return
        self._stage, self._conversation_id = "ready", conversation_id
        if conversation_id:
            yield ConversationNamed(conversation_id=conversation_id)
        yield from self._pinned(result.inner("modes"))
        if self._request.prompt is not None:
            yield from self._begun()
            line = messages.prompting(conversation_id, self._request.prompt, prompt_id=self._request.run_id)
            yield Owed(name="prompt", line=line)
        elif not self._is_onlooker:
            yield PromptAwaited()

    def _not_opened(self, error: Fields) -> Iterator[Heard]:
        failure, message = messages.meaning(error)
        if failure is not FailureClass.AUTH_REQUIRED or self._has_signed_in or not self._ways:
            yield from self._breaks(failure, message)
            return
        self._has_signed_in = True
        # Without any of the variables it is asked all the same: the agent has those it was started with, while a
        # daemon that begins anew may have others.
        has = (way for way, names in self._ways.items() if self._request.variables.keys() >= set(names))
        way = next(has, next(iter(self._ways)))
        yield Owed(name="authenticate", line=messages.authenticating(way))

    def _not_signed_in(self, error: Fields) -> Iterator[Heard]:
        failure, message = messages.meaning(error)
        is_unnamed = failure is FailureClass.INTERNAL  # codex names no class where its variable is not set
        yield from self._breaks(FailureClass.AUTH_REQUIRED if is_unnamed else failure, message)

    def _breaks(self, failure: FailureClass, message: str) -> Iterator[Heard]:
        self._stage = "over"
        yield TroubleSeen(failure=failure, message=message[:REASON_MAX], is_final=True)
        yield InputOver()

    def _pinned(self, modes: Fields) -> Iterator[Heard]:
        others = {mode.text("id") for mode in modes.items("availableModes")}
        if modes.text("currentModeId") in PINNED_OFF and PEOPLE_DECIDE in others:
            line = messages.choosing_mode(self._conversation_id, PEOPLE_DECIDE)
            yield Owed(name="session/set_mode", line=line)

    # Turns.

    def _begun(self) -> Iterator[Heard]:
        if not self._is_in_turn:
            self._is_in_turn = True
            yield TurnBegan()

    def _updated(self, update: Fields) -> Iterator[Heard]:
        if self._stage != "ready":
            return  # the past, while it is loaded
        kind = update.text("sessionUpdate")
        if kind in AT_WORK:
            yield from self._begun()
        if kind in ("tool_call", "tool_call_update"):
            yield from self._heard_of(update)
            yield from self._calls.updated(update)
        elif kind == "usage_update" and update.inner("cost").text("currency") == "USD":
            self._cost_micros = update.inner("cost").micros("amount")
        elif kind == "current_mode_update" and update.text("currentModeId") in PINNED_OFF:
            self._asked += 1
            line = messages.choosing_mode(self._conversation_id, PEOPLE_DECIDE)
            yield Owed(name=f"session/set_mode {self._asked}", line=line)

    def _turn_answered(self, prompt_id: PromptId, *, result: Fields, error: Fields | None) -> Iterator[Heard]:
        yield from self._begun()
        yield PromptTaken(prompt_id=prompt_id)
        for name in self._questions:
            yield PermissionWithdrawn(request_id=name)
        self._questions.clear()
        yield from self._calls.turn_ended()
        self._is_in_turn = False
        yield from self._used(result)
        yield from _how_it_ended(result, error=error)
        if self._is_for_one_turn and self._stage != "over":
            self._stage = "over"
            yield InputOver()

    def _used(self, result: Fields) -> Iterator[Heard]:
        """Of this turn. Their cost is told as a sum over the conversation, and by some agents only."""
        usage, cost = result.inner("usage"), max(0, self._cost_micros - self._cost_told)
        self._cost_told = self._cost_micros
        counted = result.inner("_meta").inner("quota").inner("token_count")  # gemini's own
        cached = usage.count("cachedReadTokens")
        fresh = (
            usage.count("inputTokens"),
            usage.count("cachedWriteTokens"),
            counted.count("input_tokens"),
        )
        out = total(usage.count("outputTokens"), counted.count("output_tokens"))
        if usage or counted or cost:
            yield UsageReported(
                input_tokens=total(*fresh, cached),
                cached_tokens=cached,
                output_tokens=out,
                cost_micros=cost or None,
            )

    # Questions.

    def _question(self, own_id: object, params: Fields) -> Iterator[Heard]:
        self._asked += 1
        name, call, options = f"permission {self._asked}", params.inner("toolCall"), _options(params)
        if not options or len(self._questions) >= QUESTIONS_MAX:
            yield Owed(name=f"no {self._asked}", line=messages.withdrawing(own_id))
            return
        yield from self._begun()
        yield from self._calls.asked(call)
        self._questions[name] = (own_id, call.mark("toolCallId"))
        said = PermissionAsked(
            request_id=name,
            tool=call.mark("kind", otherwise="other"),
            arguments_digest=digest(call),
            options=tuple(options.values()),
        )
        answers = {option.id: messages.selecting(own_id, own_name) for own_name, option in options.items()}
        yield Asked(said=said, text=_detail(call), answers=answers)

    def _heard_of(self, call: Fields) -> Iterator[Heard]:
        """Of a call that goes on, or is over, nobody needs to decide any more: it was allowed, refused or given up."""
        call_id, status = call.mark("toolCallId"), call.text("status")
        if status not in ("in_progress", "completed", "failed"):
            return
        for name in [name for name, (_, asked_for) in self._questions.items() if asked_for == call_id]:
            del self._questions[name]
            yield PermissionWithdrawn(request_id=name)

    def _let_go(self, own_id: object) -> Iterator[Heard]:
        for name in [name for name, (asked_as, _) in self._questions.items() if asked_as == own_id]:
            del self._questions[name]
            yield PermissionWithdrawn(request_id=name)
            yield Owed(name=name, line=messages.withdrawing(own_id))


def _is_name(own_id: object) -> bool:
    """Whether a request can be answered by it, and remembered."""
    return isinstance(own_id, int) or (isinstance(own_id, str) and len(own_id) <= MARK_MAX)


def _ways_by_variables(result: Fields) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Of the ways to sign in those that need nobody, each with the variables that it takes."""
    for way in result.items("authMethods"):
        if way.text("type") == "env_var" and way.text("id"):
            yield (
                way.text("id"),
                tuple(each.text("name") for each in way.items("vars") if not each.flag("optional")),
            )


def _options(params: Fields) -> dict[str, PermissionOption]:
    """The answers that there are, by the agent's own names for them. What is none of the four kinds is none."""
    found: dict[str, PermissionOption] = {}
    for option in params.items("options"):
        own_name, kind = option.text("optionId"), KINDS.get(option.text("kind"))
        if kind is None or not own_name or len(own_name) > MARK_MAX or len(found) == OPTIONS_MAX:
            continue
        label = option.text("name")[:MARK_MAX]
        found.setdefault(own_name, PermissionOption(id=own_name, kind=kind, label=label))
    return found


def _detail(call: Fields) -> str:
    """What it wants to do, as a person reads it: what it is called, with what, and what would change."""
    parts = [call.text("title")]
    if call.inner("rawInput"):
        parts.append(call.pretty("rawInput"))
    for each in call.items("content"):
        parts.append(each.inner("content").text("text"))
        parts.append("\n".join((each.text("path"), each.text("newText"))).strip())
    return "\n\n".join(part for part in parts if part)[:DETAIL_MAX]


def _how_it_ended(result: Fields, *, error: Fields | None) -> tuple[Heard, ...]:
    if error is not None and error.signed("code") == messages.REQUEST_CANCELLED:
        return (TurnEnded(how="interrupted"),)
    if error is not None:
        return _failed(*messages.meaning(error))
    reason = result.text("stopReason")
    if reason == "end_turn":
        return (TurnEnded(how="done"),)
    if reason == "cancelled":
        return (TurnEnded(how="interrupted"),)
    unknown = FailureClass.INVALID_OUTPUT, f"it stopped for a reason that is not known: {reason or 'none'}"
    return _failed(*FAILED_TURNS.get(reason, unknown))


def _failed(failure: FailureClass, message: str) -> tuple[Heard, ...]:
    trouble = TroubleSeen(failure=failure, message=message[:REASON_MAX], is_final=True)
    return trouble, TurnEnded(how="failed", failure=failure)
