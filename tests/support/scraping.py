"""The metrics of a daemon, read by the rules of the text format, and the golden list of their names.

After https://prometheus.io/docs/instrumenting/exposition_formats/ ; strict, so that a test can rely on what it takes.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from tests.support.served import Served, serve_in

NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
VALUE: Final = r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|\+?Inf|NaN)"
SAMPLE: Final = re.compile(rf'^({NAME})(?:\{{({NAME})="((?:[^"\\\n]|\\["\\n])*)"\}})? ({VALUE})$')
KINDS: Final = {"counter", "gauge", "histogram"}


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One line: its name, the value of its label, its value."""

    name: str
    label: str | None
    labelled: str | None
    value: float


class Scraped(msgspec.Struct, kw_only=True):
    """One family as it came."""

    name: str
    what: str
    kind: str = ""
    samples: list[Sample] = []


def parse(text: str) -> dict[str, Scraped]:
    """Every family by its name. Fails where a line does not fit the format."""
    assert text.endswith("\n"), "the last line has no end"
    families: dict[str, Scraped] = {}
    current: Scraped | None = None
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "#":
            word, name, said = rest.split(" ", 2)
            if word == "HELP":
                assert name not in families, f"{name} comes twice"
                current = families[name] = Scraped(name=name, what=said, samples=[])
            else:
                assert word == "TYPE", line
                assert current is not None, line
                assert current.name == name, line
                assert said in KINDS, line
                current.kind = said
            continue
        found = SAMPLE.match(line)
        assert found, line
        assert current is not None, line
        assert found[1].removeprefix(current.name) in _endings(current.kind), line
        current.samples.append(
            Sample(name=found[1], label=found[2], labelled=found[3], value=float(found[4]))
        )
    return families


def _endings(kind: str) -> set[str]:
    return {"_bucket", "_sum", "_count"} if kind == "histogram" else {""}


async def scrape(daemon: Served) -> dict[str, Scraped]:
    """What the owner is told at this moment."""
    reply = await daemon.get("/v1/metrics")
    assert reply.status == 200, reply.body
    return parse(reply.body.decode())


def value(families: Mapping[str, Scraped], name: str, labelled: str | None = None) -> float:
    """One sample."""
    return next(each.value for each in families[name].samples if each.labelled == labelled)


def metric_names() -> dict[str, bytes]:
    """Every family with its kind and its label, one a line."""
    with tempfile.TemporaryDirectory() as folder:
        families = asyncio.run(_names(Path(folder)))
    return {"names.txt": "".join(f"{line}\n" for line in sorted(families)).encode()}


async def _names(folder: Path) -> list[str]:
    async with serve_in(folder) as daemon:
        await daemon.make_workspace()
        families = await scrape(daemon)
    return [
        f"{each.name} {each.kind} {(each.samples[0].label or '-') if each.samples else '?'}"
        for each in families.values()
    ]
