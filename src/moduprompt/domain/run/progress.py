"""Whether a program gets anywhere: noticed by what repeats, and stopped before it costs more.

Three rules. The same call of a tool, by name and arguments, that failed or was refused so many times in a row, in one turn
and with no other call that worked in between. The same kind of trouble so many times in a row, with nothing done in between. And
rounds: calls that worked, name files and were made before, so many in a row, each of which left the worktree as it
had stood before: the same written again and again, or written and taken back. That it says nothing is no sign at all.

A call that was never made before ends the rounds, and so does a tree that never stood so; calls that name no files
(a look whether something is through) are no part of them.

A turn that is over gives the word back. Who says the next thing has seen how it went, and may have changed what failed:
what a new turn tries is a first try. Where a turn fails nobody is asked, so that what fails there goes on to count. Rounds
go on over turns: that the same is written once more nobody has to try.
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
SAME_TREE_MAX: Final = (
    20  # a change made and taken back ten times; who asks a file whether it is time asks less often
)
CIRCLE_CALLS_MAX: Final = 8  # different calls of one round: who goes round in more is not noticed
CIRCLE_TREES_MAX: Final = 8  # and trees that they lead to
OPEN_CALLS_MAX: Final = (
    32  # programs have a few open at once; one that never ends its calls is not remembered
)


class OpenCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that has not ended."""

    call_id: Mark
    tool: Mark
    arguments_digest: Digest
    names_files: bool = False


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that worked and trees that stood, the last different ones, and how often in a row nothing was new.

    `unseen`: calls since the last look; what they did is known when the next look finds a tree that stood before.
    """

    calls: tuple[tuple[Mark, Digest], ...] = ()
    trees: tuple[Digest, ...] = ()
    last: OpenCall | None = None
    times: int = 0
    unseen: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What repeats at the moment, and how often it was so in a row."""

    open_calls: tuple[OpenCall, ...] = ()
    failing: OpenCall | None = None
    same_call: int = 0
    trouble: FailureClass | None = None
    same_trouble: int = 0
    round: Round = Round()


def called(own: Progress, event: RunToolCalled) -> Progress:
    """A call begins: the model has answered, so no trouble is in the way."""
    call = OpenCall(
        call_id=event.call_id,
        tool=event.tool,
        arguments_digest=event.arguments_digest,
        names_files=bool(event.paths),
    )
    return replace(own, open_calls=(*own.open_calls, call)[-OPEN_CALLS_MAX:], trouble=None, same_trouble=0)


def ended(own: Progress, event: RunToolEnded) -> Progress:
    """A call is over: one that worked is progress, whatever it did."""
    call = next((each for each in own.open_calls if each.call_id == event.call_id), None)
    left = replace(own, open_calls=tuple(each for each in own.open_calls if each.call_id != event.call_id))
    if event.how == "done":
        rounds = own.round if call is None else _gone_round(own.round, call, tree=event.tree)
        return replace(left, failing=None, same_call=0, round=rounds)
    if call is None:
        return left
    before = own.failing
    is_same = before is not None and (before.tool, before.arguments_digest) == (
        call.tool,
        call.arguments_digest,
    )
    return replace(left, failing=call, same_call=own.same_call + 1 if is_same else 1)


def _gone_round(own: Round, call: OpenCall, *, tree: Digest | None) -> Round:
    """Once more, where nothing is new; else from the start. A tree that nobody looked at says nothing."""
    made = (call.tool, call.arguments_digest)
    is_known_call, is_known_tree = made in own.calls, tree is None or tree in own.trees
    calls = own.calls if is_known_call else (*own.calls, made)[-CIRCLE_CALLS_MAX:]
    trees = own.trees if is_known_tree or tree is None else (*own.trees, tree)[-CIRCLE_TREES_MAX:]
    if not (is_known_call and is_known_tree):
        return Round(calls=calls, trees=trees)
    unseen = own.unseen + call.names_files
    if tree is None or not call.names_files:
        return replace(own, unseen=unseen)
    return Round(calls=calls, trees=trees, last=call, times=own.times + unseen)


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
