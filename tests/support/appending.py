"""A process that appends to a log and says after each append how far it has come: to be killed.

python -m tests.support.appending FILE
"""

import asyncio
import sys
from pathlib import Path

from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.stores import W1, Tip, a_key, an_append


async def append_for_ever(path: Path) -> None:
    """One line of standard output for each acknowledged append: its last sequence."""
    log = await SqliteLog.open(path)
    tip = Tip.of(await log.claim(W1))
    while True:
        last = tip.seq + 3
        key = a_key(f"k{last}", seqs=(last - 2, last))
        await log.append([an_append(tip, 3, keys=[key], text="x" * 500)])
        tip = tip.after(3)
        sys.stdout.write(f"{tip.seq}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(append_for_ever(Path(sys.argv[1])))
