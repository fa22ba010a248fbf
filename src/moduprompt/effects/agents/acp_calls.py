"""The tool calls of one turn of an agent of the Agent Client Protocol: told once, when it is known what they do.

Agents differ in how they tell of a call. One announces it first without its arguments, another begins with the question
whether it may, a third tells it only when it has ended. So a call is told when the first of these comes: its
arguments, its start, its end, or the question.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from moduprompt.domain.run.said import PATHS_MAX, TOUCHED_MAX, Said, ToolCalled, ToolEnded
from moduprompt.effects.agents.lines import Fields, digest_of

CALLS_MAX: Final = 1_000  # of one turn and not ended; what comes beyond is told at its end only
# Differ from try to try of the same call, so that they would hide that it is the same.
FLEETING: Final = frozenset({"call_id", "turn_id", "process_id", "started_at_ms"})
# In the result of a call that somebody was asked about: it was not run, it was refused.
REFUSED: Final = re.compile(r"refused|reject|denied|declined|not allowed|cancell?ed", re.IGNORECASE)
REFUSAL_MAX: Final = 400  # characters of a result that are looked at: a refusal says so at once


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    is_told: bool = False
    is_asked: bool = False  # somebody was asked whether it may run, and it has not been heard of since


class Calls:
    """Those that have not ended. Its memory is bounded, whatever an agent says."""

    def __init__(self) -> None:
        self._open: dict[str, _Call] = {}

    def asked(self, call: Fields) -> Iterator[Said]:
        """The agent wants to know whether it may."""
        yield from self._told(call)
        self._keep(call.mark("toolCallId"), _Call(is_told=True, is_asked=True))

    def updated(self, call: Fields) -> Iterator[Said]:
        """It was announced, or something about it has changed."""
        call_id, status = call.mark("toolCallId"), call.text("status")
        known = self._open.get(call_id, _Call())
        if call.inner("rawInput") or status not in ("", "pending"):
            yield from self._told(call)
            known = replace(known, is_told=True)
        if status in ("completed", "failed"):
            self._open.pop(call_id, None)
            is_refused = status == "failed" and known.is_asked and _says_refused(call)
            how = "refused" if is_refused else "done" if status == "completed" else "failed"
            yield ToolEnded(call_id=call_id, how=how)
            return
        self._keep(call_id, replace(known, is_asked=known.is_asked and status != "in_progress"))

    def turn_ended(self) -> Iterator[Said]:
        """A call that somebody was asked about, and that was never heard of again, was not allowed."""
        for call_id, call in self._open.items():
            if call.is_asked:
                yield ToolEnded(call_id=call_id, how="refused")
        self._open.clear()

    def _told(self, call: Fields) -> Iterator[Said]:
        call_id = call.mark("toolCallId")
        if self._open.get(call_id, _Call()).is_told:
            return
        yield ToolCalled(
            call_id=call_id,
            tool=call.mark("kind", otherwise="other"),
            arguments_digest=digest(call),
            paths=_paths(call),
        )

    def _keep(self, call_id: str, call: _Call) -> None:
        if call_id in self._open or len(self._open) < CALLS_MAX:
            self._open[call_id] = call


def digest(call: Fields) -> str:
    """Of what a call does: its arguments, or what the agent shows of it where it doesn't tell them."""
    arguments = call.inner("rawInput").all_but(FLEETING)
    shown = arguments or {name: call.raw(name) for name in ("title", "content", "locations")}
    return digest_of(shown)


def _paths(call: Fields) -> tuple[str, ...]:
    named = (place.text("path")[:TOUCHED_MAX] for place in call.items("locations"))
    return tuple(dict.fromkeys(path for path in named if path))[:PATHS_MAX]


def _says_refused(call: Fields) -> bool:
    texts = [call.text("rawOutput"), *(each.inner("content").text("text") for each in call.items("content"))]
    return any(REFUSED.search(text[:REFUSAL_MAX]) for text in texts)
