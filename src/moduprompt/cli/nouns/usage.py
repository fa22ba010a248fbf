"""`mpctl usage`: tokens and money, by session, task, lineage, agent program or day."""

import argparse
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.lookup import workspace_of
from moduprompt.cli.spending import cost_told
from moduprompt.cli.sums import work_of
from moduprompt.cli.tables import Column, to_table
from moduprompt.cli.verbs import Verb
from moduprompt.protocol import encode
from moduprompt.views.board_rows import short
from moduprompt.views.usage import WAYS, UsageRow, usage_by

COLUMNS: Final[tuple[Column[UsageRow], ...]] = (
    ("OF", lambda row: row.name),
    ("ID", lambda row: short(row.key) if row.key != row.name else None),
    ("RUNS", lambda row: row.runs),
    ("TURNS", lambda row: row.turns),
    ("TOOLS", lambda row: row.tools),
    ("IN", lambda row: _told(row, row.usage.input_tokens)),
    ("CACHED", lambda row: _told(row, row.usage.cached_tokens)),
    ("OUT", lambda row: _told(row, row.usage.output_tokens)),
    ("COST", lambda row: cost_told(row.usage)),
    ("TOLD NOTHING", lambda row: f"{row.silent} of {row.runs} runs" if row.silent else None),
)
"""Where nothing was told a cell stays empty: that is not 0."""


async def _usage(call: Call) -> None:
    of = await workspace_of(call)
    rows = usage_by(WAYS[call.words.text("by")], await work_of(call, of))
    call.show(encode(rows), to_table(rows, COLUMNS) if rows else "no run yet, so nothing was used")


def _told(row: UsageRow, tokens: int) -> int | None:
    return tokens if row.usage.reports else None


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by", choices=tuple(WAYS), default="session", help="what the sums are of; default: session"
    )


VERB: Final = Verb("usage", _usage, summary="sum up tokens and cost", arguments=_words)
