"""What agent programs really printed, and what our readers make of it.

`tests/golden/agents/<adapter>/<case>.jsonl`, of those that print text `.txt`, are whole outputs of the pinned versions, driven offline against a
scripted model server; only folders were renamed and long lists cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from moduprompt.domain.run.commands import ExitHow
from moduprompt.domain.run.said import Said
from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.agents.port import (
    AgentAdapter,
    Asked,
    End,
    Heard,
    InputOver,
    Owed,
    Reader,
    Verdict,
    Work,
)
from moduprompt.effects.agents.summary import Summary, summed
from tests.support.source_tree import ROOT

FOLDER: Final = ROOT / "tests" / "golden" / "agents"
SAID: Final = msgspec.json.Decoder(Said)


def transcripts(name: str) -> dict[str, bytes]:
    """Every output of one program, by what it shows."""
    return {path.stem: path.read_bytes() for path in sorted((FOLDER / name).glob("*.*"))}


def adapter_of(name: str) -> AgentAdapter:
    """An adapter that must be there."""
    adapter = adapter_named(name)
    assert adapter is not None
    return adapter


def reader_of(name: str) -> Reader:
    """A fresh reader of a program that is understood."""
    reader = adapter_of(name).reader()
    assert reader is not None
    return reader


def heard(reader: Reader, output: bytes) -> list[Said]:
    """What a reader makes of an output, line by line, each word as it would come out of the log."""
    return list(_as_logged(reader.read(line) for line in output.split(b"\n")))


def verdict_on(
    name: str, output: bytes, *, how: ExitHow = "exited", code: int | None = 0, work: Work | None = None
) -> Verdict:
    """What the adapter concludes from a whole run."""
    summary = Summary()
    for said in heard(reader_of(name), output):
        summary = summed(summary, said)
    return adapter_of(name).verdict(End(said=summary, how=how, code=code, work=work))


def _as_logged(batches: Iterable[Iterable[Heard]]) -> Iterable[Said]:
    for batch in batches:
        for each in batch:
            if isinstance(each, Owed | InputOver):
                continue
            said = each.said if isinstance(each, Asked) else each
            yield SAID.decode(msgspec.json.encode(said))
