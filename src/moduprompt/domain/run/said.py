"""What an agent program said of itself, in words that are the same for every program.

A reader of an adapter makes these from the program's own lines; they travel in one internal
order (`run.report_said`) and become facts one to one. They hold what decisions and people
need to know: names, numbers, digests. What was said in prose stays in the recording, or, where
a person must see it to answer, in an artifact.

Amounts are integers: the log holds no floats. Usage is what came on top since the last time,
so sums never count twice.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from moduprompt.domain.failures import FailureClass
from moduprompt.protocol import Count, Id, PromptId, Reason, Ref

MARK_MAX: Final = 200  # a program's own ids and tool names: those seen have under 80 characters
TOUCHED_MAX: Final = 1_000  # characters of a path; a longer one is in the recording
PATHS_MAX: Final = 32  # of one tool call: who touches more is read from the diff
OPTIONS_MAX: Final = 8  # of one permission prompt: four kinds, with room for variants
SAID_MAX: Final = 64  # in one report: a burst of a program is told in several

Mark: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MARK_MAX)]
"""A name that the program gave: of a conversation, a call, a request, a tool."""
Digest: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
"""BLAKE3, in hex."""
TouchedPath: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=TOUCHED_MAX)]
OptionKind: TypeAlias = Literal["allow_once", "allow_always", "reject_once", "reject_always"]
"""What an answer to a permission prompt means: the four kinds of the Agent Client Protocol."""
ToolEnd: TypeAlias = Literal["done", "failed", "refused"]
TurnEnd: TypeAlias = Literal["done", "failed", "interrupted"]


class Spoken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="said"):
    """One thing that was said."""


class ConversationNamed(Spoken, frozen=True, kw_only=True, tag="conversation_named"):
    """The program calls its conversation so; by this name it can be carried on where the program can."""

    conversation_id: Mark


class PromptAwaited(Spoken, frozen=True, kw_only=True, tag="prompt_awaited"):
    """It is there, was told nothing yet, and takes its first prompt. Said where a run begins without one."""


class TurnBegan(Spoken, frozen=True, kw_only=True, tag="turn_began"):
    """It works on something. Said once a turn, however often the program repeats it."""


class PromptTaken(Spoken, frozen=True, kw_only=True, tag="prompt_taken"):
    """It has taken up this prompt of ours, by the name that we gave it. Programs without names never say this."""

    prompt_id: Id[PromptId]


class ToolCalled(Spoken, frozen=True, kw_only=True, tag="tool_called"):
    """It uses a tool. `paths`: files that the arguments name. The arguments themselves stay in the recording."""

    call_id: Mark
    tool: Mark
    arguments_digest: Digest
    paths: Annotated[tuple[TouchedPath, ...], msgspec.Meta(max_length=PATHS_MAX)] = ()


class ToolEnded(Spoken, frozen=True, kw_only=True, tag="tool_ended"):
    """A tool has ended; `refused`: nobody allowed it."""

    call_id: Mark
    how: ToolEnd


class UsageReported(Spoken, frozen=True, kw_only=True, tag="usage_reported"):
    """What was used on top of what was reported before. `input_tokens` has the cached ones in it.

    `cost_micros`: millionths of a US dollar, by the program's own price table; None where it has none.
    """

    input_tokens: Count = 0
    cached_tokens: Count = 0
    output_tokens: Count = 0
    cost_micros: Count | None = None


class PermissionOption(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer that the program takes."""

    id: Mark
    kind: OptionKind
    label: Annotated[str, msgspec.Meta(max_length=MARK_MAX)]


class Detail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text that lies in an artifact, and its length in characters."""

    ref: Ref
    chars: Count


class PermissionAsked(Spoken, frozen=True, kw_only=True, tag="permission_asked"):
    """It stands still until somebody answers. `detail`: what it wants to do, for the person who answers."""

    request_id: Mark
    tool: Mark
    arguments_digest: Digest
    options: Annotated[tuple[PermissionOption, ...], msgspec.Meta(min_length=1, max_length=OPTIONS_MAX)]
    detail: Detail | None = None


class PermissionWithdrawn(Spoken, frozen=True, kw_only=True, tag="permission_withdrawn"):
    """No answer is wanted any more."""

    request_id: Mark


class TroubleSeen(Spoken, frozen=True, kw_only=True, tag="trouble_seen"):
    """Something is in the way. Unless `is_final`, the program tries again by itself."""

    failure: FailureClass
    message: Reason
    retry_after_s: Count | None = None
    is_final: bool = False


class LineSkipped(Spoken, frozen=True, kw_only=True, tag="line_skipped"):
    """A line was too long to be understood. Said by who listens, not by the program."""

    bytes: Count


class TurnEnded(Spoken, frozen=True, kw_only=True, tag="turn_ended"):
    """It is through with it, by its own word. `failure` only where it failed."""

    how: TurnEnd
    failure: FailureClass | None = None


Said: TypeAlias = (
    ConversationNamed
    | PromptAwaited
    | TurnBegan
    | PromptTaken
    | ToolCalled
    | ToolEnded
    | UsageReported
    | PermissionAsked
    | PermissionWithdrawn
    | TroubleSeen
    | LineSkipped
    | TurnEnded
)
