"""What a run said in sum: enough to judge its end, whatever program it was.

    summary = summed(summary, said)      from the first thing said to the last

Its size doesn't grow with the run.
"""

import msgspec
from msgspec.structs import replace

from moduprompt.domain.run.said import (
    ConversationNamed,
    Said,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts, and the last of what matters."""

    conversation_id: str | None = None
    turns_begun: int = 0
    turns_ended: int = 0
    is_in_turn: bool = False
    last_turn: TurnEnded | None = None
    tools_called: int = 0
    tools_failed: int = 0
    tools_refused: int = 0
    last_trouble: TroubleSeen | None = None  # of the last turn; a turn that is done has got over it


def summed(summary: Summary, said: Said) -> Summary:
    """The sum with one thing more."""
    match said:
        case ConversationNamed():
            return replace(summary, conversation_id=said.conversation_id)
        case TurnBegan():
            return replace(summary, turns_begun=summary.turns_begun + 1, is_in_turn=True, last_trouble=None)
        case ToolCalled():
            return replace(summary, tools_called=summary.tools_called + 1)
        case ToolEnded(how="failed"):
            return replace(summary, tools_failed=summary.tools_failed + 1)
        case ToolEnded(how="refused"):
            return replace(summary, tools_refused=summary.tools_refused + 1)
        case TroubleSeen():
            return replace(summary, last_trouble=said)
        case TurnEnded():
            got_over = None if said.how == "done" else summary.last_trouble
            return replace(
                summary,
                turns_ended=summary.turns_ended + 1,
                is_in_turn=False,
                last_turn=said,
                last_trouble=got_over,
            )
        case _:
            return summary
