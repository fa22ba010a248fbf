"""`mpctl run turns`, and sums over many runs: where they come from, and how they are told."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.lookup import find_own
from moduprompt.cli.spending import cost_told, usage_told
from moduprompt.cli.tables import Column, to_table
from moduprompt.cli.verbs import Verb
from moduprompt.domain.run.turn_items import TurnItem
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.view import TaskItem
from moduprompt.protocol import WorkspaceId, encode
from moduprompt.views.usage import UsageRow, Work

MINE: Final = "MP_RUN"
COLUMNS: Final[tuple[Column[TurnItem], ...]] = (
    ("TURN", lambda turn: turn.turn),
    ("BEGAN", lambda turn: turn.began_at),
    ("ENDED", lambda turn: turn.ended_at),
    ("HOW", lambda turn: f"{turn.how} ({turn.failure})" if turn.failure else turn.how),
    ("TOOLS", lambda turn: turn.tools),
    ("IN", lambda turn: turn.usage.input_tokens if turn.usage.reports else None),
    ("CACHED", lambda turn: turn.usage.cached_tokens if turn.usage.reports else None),
    ("OUT", lambda turn: turn.usage.output_tokens if turn.usage.reports else None),
    ("COST", lambda turn: cost_told(turn.usage)),
)


async def work_of(call: Call, of: WorkspaceId) -> Work:
    """Everything in a workspace that something was used for."""
    return Work(
        runs=tuple(await call.list(RunItem, of=of)),
        sessions=tuple(await call.list(SessionItem, of=of)),
        tasks=tuple(await call.list(TaskItem, of=of)),
    )


def row_told(row: UsageRow) -> str | None:
    """A sum in one line; None where nobody told anything."""
    told = usage_told(row.usage)
    if told is None:
        return None
    silent = f"; {row.silent} of {row.runs} runs told nothing" if row.silent else ""
    return f"{told}{silent}"


async def _turns(call: Call) -> None:
    item = await find_own(call, RunItem, call.words.maybe("run"), variable=MINE)
    text = to_table(item.last_turns, COLUMNS) if item.last_turns else "it has told of no turn"
    left = item.turns - len(item.last_turns)
    more = f"\n\nand {left} before: mpctl events --subject run:{item.id}" if left > 0 else ""
    call.show(encode(item.last_turns), f"{text}{more}")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", metavar="RUN", nargs="?", help="id; or its session, for the newest; inside a run: its own"
    )


TURNS: Final = Verb(
    "turns",
    _turns,
    summary="show its last turns: how they ended, what they took",
    arguments=_arguments,
    shows_past=True,
)
