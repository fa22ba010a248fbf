"""Whether a program gets anywhere: noticed by what repeats, and stopped before it costs more.

Two rules, both on what the program tells of itself. The same call of a tool, by name and arguments, that failed or
was refused so many times in a row, in one turn and with no other call that worked in between. Or the same kind of
trouble so many times in a row, with nothing done in between. That it says nothing is no sign at all.

A turn that is over gives the word back. Who says the next thing has seen how it went, and may have changed what failed:
what a new turn tries is a first try. Where a turn fails nobody is asked, so that what fails there goes on to count.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.events import RunToolCalled, RunToolEnded, RunTroubleObserved
from moduprompt.domain.run.said import Digest, Mark

SAME_CALL_MAX: Final = (
    8  # three are diligence; programs that poll for something were seen to ask up to five times
)
SAME_TROUBLE_MAX: Final = (
    30  # programs give up after ten or go on for ever: one sent 697 requests in 45 seconds
)
OPEN_CALLS_MAX: Final = (
    32  # programs have a few open at once; one that never ends its calls is not remembered
)


class OpenCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that has not ended."""

    call_id: Mark
    tool: Mark
    arguments_digest: Digest


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What repeats at the moment, and how often it was so in a row."""

    open_calls: tuple[OpenCall, ...] = ()
    failing: OpenCall | None = None
    same_call: int = 0
    trouble: FailureClass | None = None
    same_trouble: int = 0


def called(own: Progress, event: RunToolCalled) -> Progress:
    """A call begins: the model has answered, so no trouble is in the way."""
    call = OpenCall(call_id=event.call_id, tool=event.tool, arguments_digest=event.arguments_digest)
    return replace(own, open_calls=(*own.open_calls, call)[-OPEN_CALLS_MAX:], trouble=None, same_trouble=0)


def ended(own: Progress, event: RunToolEnded) -> Progress:
    """A call is over: one that worked is progress, whatever it did."""
    call = next((each for each in own.open_calls if each.call_id == event.call_id), None)
    left = replace(own, open_calls=tuple(each for each in own.open_calls if each.call_id != event.call_id))
    if event.how == "done" or call is None:
        return replace(left, failing=None, same_call=0) if event.how == "done" else left
    before = own.failing
    is_same = before is not None and (before.tool, before.arguments_digest) == (
        call.tool,
        call.arguments_digest,
    )
    return replace(left, failing=call, same_call=own.same_call + 1 if is_same else 1)


def troubled(own: Progress, event: RunTroubleObserved) -> Progress:
    """Something is in the way, once more or for the first time."""
    is_same = own.trouble is event.failure
    return replace(own, trouble=event.failure, same_trouble=own.same_trouble + 1 if is_same else 1)


def turned(own: Progress) -> Progress:
    """A turn has ended well."""
    return replace(interrupted(own), trouble=None, same_trouble=0)


def interrupted(own: Progress) -> Progress:
    """Somebody has ended a turn."""
    return replace(own, open_calls=(), failing=None, same_call=0)
