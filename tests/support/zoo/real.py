"""Prompts into the real programs, each in its terminal: none lost, none doubled, none merged, in order.

    PYTHONPATH=. python -m tests.support.zoo.real claude 100 [SEED]

The truth is what the scripted model was told. One program, one conversation of so many prompts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.status.rules import rules_for
from tests.support.deadline import eventually_async
from tests.support.programs import PROGRAMS as FOLDER
from tests.support.runs import a_run
from tests.support.status.programs import PROGRAMS, Place, Program, configure, environment
from tests.support.zoo.cage import Cage, caged
from tests.support.zoo.heard import Witness, marked, witnessing

TURN_S: Final = 30.0  # until the model has been told what was submitted
log: Final = logging.getLogger("zoo")
WORDS: Final = (
    "Say ok.",
    "Größe, 日本語, 🙂 and a tab:\tthere.",
    "two\nlines",
    "many\n" + "lines of a text that is pasted\n" * 30 + "here",
    "a long one " + "that goes on and on " * 150,
    "with orders \x1b[2J\x1b[201~ and \x03 in it",
    "1. Yes\n2. No\n\n[y/n]",
)
# Seen in a conversation it is work to the rules for any program; those of one program know where it stands.
DECEITFUL: Final = "1. Yes\n2. No\n\nesc to interrupt? [y/n]"


class Tally(msgspec.Struct, kw_only=True):
    """What became of the prompts to one program."""

    program: str
    prompts: int = 0
    submitted: int = 0
    uncertain: list[str] = msgspec.field(default_factory=list[str])
    lost: list[int] = msgspec.field(default_factory=list[int])
    doubled: list[int] = msgspec.field(default_factory=list[int])
    merged: list[int] = msgspec.field(default_factory=list[int])
    altered: list[str] = msgspec.field(default_factory=list[str])
    is_ordered: bool = True
    wall_s: float = 0.0
    slowest_s: float = 0.0
    cpu_s: float = 0.0  # of the programs and of us

    @property
    def is_clean(self) -> bool:
        """None lost, none doubled, none merged, in order, as they were."""
        return not (self.lost or self.doubled or self.merged or self.altered) and self.is_ordered


def _settle(place: Place) -> None:
    """A repository, and what the programs want to have found already."""
    place.repo.mkdir()
    subprocess.run(("git", "init", "-q", "-b", "main", str(place.repo)), check=True)
    configure(place)


def program_named(name: str) -> Program:
    """How it is started."""
    return next(each for each in PROGRAMS if each.name == name)


async def tell(name: str, *, prompts: int, seed: int) -> Tally:
    """So many prompts into one conversation of it."""
    program, rng = program_named(name), random.Random(seed)
    began, cpu = time.monotonic(), _cpu_s()
    tally = Tally(program=name, prompts=prompts)
    with (
        tempfile.TemporaryDirectory(prefix="zoo-", ignore_cleanup_errors=True) as folder,
        witnessing() as model,
    ):
        place = Place(home=Path(folder) / "home", repo=Path(folder) / "repo", address=model.address)
        await asyncio.to_thread(_settle, place)
        env = {**environment(place), "PATH": f"{FOLDER}:{os.environ['PATH']}"}
        spec = a_run(*program.argv, cwd=str(place.repo), env=env, rows=40, cols=120)
        backend = LocalBackend(Path(folder) / "runs")
        async with caged(backend, spec) as cage:
            words = (*WORDS, DECEITFUL) if rules_for(name).program == name else WORDS
            said = [rng.choice(words) for _ in range(prompts)]
            await _say_all(cage, model, said=said, tally=tally)
    tally.wall_s, tally.cpu_s = time.monotonic() - began, _cpu_s() - cpu
    return tally


async def _say_all(cage: Cage, model: Witness, *, said: list[str], tally: Tally) -> None:
    submitted: list[int] = []
    for number, words in enumerate(said):
        began = time.monotonic()
        prompt = await cage.deliver(marked(number, words).encode())
        took_s = time.monotonic() - began
        tally.slowest_s = max(tally.slowest_s, took_s)
        if prompt.outcome == "submitted":
            submitted.append(number)
            await _told(model, number)
        else:
            tally.uncertain.append(f"{number}: {prompt.evidence}")
            log.info("%s", await cage.picture())
        if took_s + 10 < time.monotonic() - began:
            log.info("%s", await cage.picture())
        log.info(
            "%d %s after %.2f s, turn after %.2f s", number, prompt.outcome, took_s, time.monotonic() - began
        )
    tally.submitted = len(submitted)
    counts = model.counts()
    found = model.found()
    tally.lost = [number for number in submitted if not counts[number]]
    tally.doubled = [number for number, count in counts.items() if count > 1]
    tally.merged = [each.number for each in found if each.beside > 1]
    order = [each.number for each in found]
    tally.is_ordered = order == sorted(order)
    tally.altered = [
        f"{each.number}: {each.words!r}"
        for each in found
        if cleaned(each.words) != cleaned(said[each.number])
    ]


async def _told(model: Witness, number: int) -> None:
    """Until the model knows it, or for so long: what it is not told by then is lost, and counted."""

    async def is_told() -> bool:
        return bool(model.counts()[number])

    with suppress(TimeoutError):
        await eventually_async(is_told, within_s=TURN_S)


def cleaned(words: str) -> str:
    """What is left of a text when it has been typed."""
    kept = "".join(each for each in words if each >= " " or each in "\t\n")
    return kept.replace("\t", "    ")  # as most of them draw it, and send it


def _cpu_s() -> float:
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    name, prompts = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    tally = asyncio.run(tell(name, prompts=prompts, seed=seed))
    print(msgspec.json.encode(tally).decode())
    return 0 if tally.is_clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
