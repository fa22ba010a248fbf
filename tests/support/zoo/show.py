"""The zoo's show: prompts into every animal, and what the animals say they got.

    make zoo N=10000 [SEED=n]        ZOO_ABANDONED=0.5 ZOO_KILLED=0.03: so many daemons and keepers die over a prompt

What is looked at is exact: what a program got as prompts is what was told as submitted, in order, each once; one that is uncertain
it got at most once; no question and no draft of a person got anything of a prompt.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec
from msgspec.structs import replace

from moduprompt.effects.runner import port
from moduprompt.effects.runner import typist as typist_module
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.status import onlooker as onlooker_module
from moduprompt.effects.runner.status.rules import read_rules
from tests.support.kill_wave import later
from tests.support.runs import a_run
from tests.support.zoo.cage import Cage, caged
from tests.support.zoo.post import Prompt
from tests.support.zoo.texts import HUGE_BYTES, cleaned, draw_text

HERE: Final = Path(__file__).parent
PYTHON: Final = Path(sys.executable).resolve()
AT_ONCE: Final = 10
PROMPTS_OF_A_RUN: Final = 25
PERSON: Final = port.Author(kind="user", id="00000000-0000-7000-8000-0000000000ad")
LOOK_S: Final = 0.03
READ_LOOKS: Final = 15  # at which all is read: the slowest of them takes a tenth of a second for a line
SHOWN_MS_MAX: Final = 2_500  # the daemon is more patient; nobody here is busy with anything else
RUN_S_MAX: Final = 600.0
PROMPT_S_MAX: Final = float(os.environ.get("ZOO_PATIENCE_S") or 120)
FAMILIES: Final[Mapping[str, Mapping[str, object]]] = {
    "lines": {"line": True},
    "lines, slow": {"line": True, "slow": True, "read_max": 7},
    "lines that ask": {"line": True, "asks": 0.2},
    "raw": {},
    "raw, inline": {"inline": True},
    "raw, draws by timer": {"ticks": True},
    "raw, alternate screen": {"alternate": True},
    "raw, no paste": {"paste": False},
    "raw, paste on and off": {"toggles": 0.2},
    "raw, slow": {"slow": True, "read_max": 61},
    "raw, asks": {"asks": 0.2},
    "raw, asks and draws": {"asks": 0.2, "ticks": True, "alternate": True},
    "raw, asks, no paste": {"asks": 0.15, "paste": False},
    "raw, swallows Enter": {"asks": 0.3, "swallows": True},
    "raw, goes over to lines": {"switches": 0.3},
    "dies": {"dies": 0.03},
    "dies in lines": {"line": True, "dies": 0.03},
    "all of it": {"asks": 0.1, "toggles": 0.1, "switches": 0.1, "slow": True, "dies": 0.01},
}


class Fates(msgspec.Struct, frozen=True, kw_only=True):
    """How often something happens to who types: chances for each prompt."""

    abandoned: float = 0.0  # the daemon dies in the middle of it
    keeper_killed: float = 0.0
    drafts: float = 0.15


class Tally(msgspec.Struct, kw_only=True):
    """What came of it all."""

    prompts: int = 0
    submitted: int = 0
    uncertain: int = 0
    never_placed: int = 0
    held: int = 0
    drafts: int = 0
    questions: int = 0
    unseen: int = 0  # swallowed by a question that opened before it could be seen
    abandoned: int = 0
    keepers_killed: int = 0
    runs: int = 0
    wrong: list[str] = msgspec.field(default_factory=list[str])
    why_uncertain: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    wall_s: float = 0.0
    cpu_s: float = 0.0


class Truth:
    """What one animal has written down."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        whole, _, _ = self.path.read_bytes().rpartition(b"\n")
        return [json.loads(line) for line in whole.split(b"\n") if line]

    def open_question(self) -> int | None:
        """The number of the question that waits for its answer."""
        lines = self.lines()
        opened = max((line["opened"] for line in lines if "opened" in line), default=0)
        closed = max((line["closed"] for line in lines if "closed" in line), default=0)
        return opened if opened > closed else None


class Act:
    """One run of one animal, its prompts, and a person beside it."""

    def __init__(self, name: str, *, seed: str, count: int, fates: Fates, tally: Tally) -> None:
        self._name = name
        self._habits = FAMILIES[name]
        self._seed = seed
        self._rng = random.Random(seed)
        self._count = count
        # A daemon that dies over a swallowed Enter leaves it: see what follows in 0049.
        self._fates = replace(fates, abandoned=0.0) if "swallows" in self._habits else fates
        self._tally = tally
        self._answered = 0
        self._is_over = False

    async def play(self, folder: Path) -> None:
        home = folder / f"act-{self._tally.runs}"
        self._tally.runs += 1
        home.mkdir()
        truth = Truth(home / "truth.ndjson")
        program = folder / "animal"
        with suppress(FileExistsError):
            program.symlink_to(PYTHON)
        habits = json.dumps({**self._habits, "seed": self._seed})
        spec = a_run(
            str(program), "-I", "-S", str(HERE / "animal.py"), str(truth.path), habits, cwd=str(home)
        )
        backend = LocalBackend(home / "runs")
        async with asyncio.timeout(RUN_S_MAX), caged(backend, spec) as cage:
            answering = asyncio.create_task(self._answer(cage, truth))
            try:
                for number in range(self._count):
                    if not await self._one(cage, number):
                        break
                await self._has_read(cage)
            except TimeoutError as late:
                late.add_note(f"{self._name} {self._seed}: {truth.lines()[-5:]}")
                raise
            finally:
                self._is_over = True
                await asyncio.gather(answering, return_exceptions=True)
        self._judge(list(cage.post.prompts.values()), truth.lines())

    async def _has_read(self, cage: Cage) -> None:
        """The program gets the time to read what was typed last, before it is stopped."""
        looks = 0
        async with asyncio.timeout(PROMPT_S_MAX):
            with suppress(port.LinkClosedError):
                while looks < READ_LOOKS and (now := await cage.link.status()).state == "running":
                    looks = 0 if now.unread_bytes or now.input_waiting_bytes else looks + 1
                    await later(LOOK_S)

    async def _one(self, cage: Cage, number: int) -> bool:
        """One prompt, with what fate has in store; False where the run is over."""
        drawn = self._rng.random()
        is_keys = self._habits.get("paste") is False
        bytes_max = LONG_BYTES_RAW if is_keys or "asks" in self._habits else LINES_BYTES
        if not self._habits:
            bytes_max = HUGE_BYTES + 100_000
        text = draw_text(self._rng, number, bytes_max=bytes_max, is_one_line=is_keys)
        draft = (
            asyncio.create_task(self._draft(cage, number))
            if number and drawn < self._fates.drafts and self._drafts
            else None
        )
        if draft is not None:
            await later(self._rng.random() * 0.05)
        prompt = cage.post.accept(text)
        fate = self._rng.random()
        if fate < self._fates.abandoned:
            await self._abandoned(cage, prompt)
        elif fate < self._fates.abandoned + self._fates.keeper_killed:
            return await self._killed(cage, prompt)
        try:
            async with asyncio.timeout(PROMPT_S_MAX):
                await cage.go_on(prompt)
        except TimeoutError as late:
            late.add_note(f"{prompt}\n{await cage.picture()}")
            raise
        if draft is not None:
            await draft
        return bool(prompt.outcome) and "ended" not in prompt.evidence

    @property
    def _drafts(self) -> bool:
        return not ({"asks", "switches", "dies"} & set(self._habits))

    async def _abandoned(self, cage: Cage, prompt: Prompt) -> None:
        """The daemon dies at a drawn moment, once or more; the next one knows the log and the keeper."""
        for _ in range(self._rng.randrange(1, 4)):
            typing = asyncio.create_task(cage.go_on(prompt))
            turns = self._rng.randrange(120)
            for _ in range(turns):
                await later(0 if self._rng.random() < 0.7 else 0.004)
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)
            self._tally.abandoned += 1
            cage.new_daemon()

    async def _killed(self, cage: Cage, prompt: Prompt) -> bool:
        """The keeper dies with `kill -9` while it is typed."""
        typing = asyncio.create_task(cage.go_on(prompt))
        await later(self._rng.random() * 0.5)
        with suppress(ProcessLookupError):
            os.kill(cage.link.welcome.keeper_pid, signal.SIGKILL)
        self._tally.keepers_killed += 1
        async with asyncio.timeout(60):
            await typing
        return False

    async def _draft(self, cage: Cage, number: int) -> None:
        """A person types half a line, waits, and sends it or takes it back."""
        self._tally.drafts += 1
        await type_as_person(cage, f"draft:{number}".encode())
        await later(self._rng.random() * 0.3)
        await type_as_person(cage, self._rng.choice((b"\r", b"\x15")))

    async def _answer(self, cage: Cage, truth: Truth) -> None:
        """A person answers each question, after a while."""
        while not self._is_over:
            await later(LOOK_S)
            number = truth.open_question()
            if number is not None and number != self._answered:
                await later(self._rng.random() * 0.3)
                self._answered = number
                with suppress(port.LinkClosedError):
                    await type_as_person(cage, b"y\r" if self._habits.get("line") else b"y")

    def _judge(self, prompts: list[Prompt], lines: list[dict[str, Any]]) -> None:
        tally, name = self._tally, f"{self._name} {self._seed}"
        tally.questions += sum("opened" in line for line in lines)
        tally.unseen += sum(line.get("got") == "unseen" for line in lines)
        tally.wrong += [
            f"{name}: a question got {line['keys']!r}" for line in lines if line.get("got") == "dialog"
        ]
        tally.prompts += len(prompts)
        for prompt in prompts:
            tally.held += bool(prompt.held)
            tally.submitted += prompt.outcome == "submitted"
            tally.uncertain += prompt.outcome == "uncertain"
            tally.never_placed += not prompt.outcome
            if prompt.outcome == "uncertain":
                why = prompt.evidence.rpartition(" after ")[0] or prompt.evidence[:40]
                tally.why_uncertain[why] = tally.why_uncertain.get(why, 0) + 1
        got = [line["text"] for line in lines if line.get("got") == "prompt" and not is_draft(line["text"])]
        tally.wrong += [f"{name}: {each}" for each in compare(prompts, got, is_mortal="dies" in self._habits)]


LONG_BYTES_RAW: Final = (
    2_000  # what a terminal holds at once: nothing of it is still to be typed when a question opens
)
LINES_BYTES: Final = 20_000


def is_draft(text: str) -> bool:
    """Whether a person wrote it, and nobody else: anything merged with it is more than that."""
    return text.startswith("draft:") and text[6:].isdigit()


def compare(prompts: list[Prompt], got: list[str], *, is_mortal: bool) -> list[str]:
    """What is wrong: lost, altered, doubled, out of order. `is_mortal`: it may have died of the last one, unwritten."""
    last = max((n for n, prompt in enumerate(prompts) if prompt.outcome), default=0)
    wrong: list[str] = []
    at = 0
    for number, prompt in enumerate(prompts):
        whole = cleaned(prompt.text)
        lines = whole.split("\n")
        if at < len(got) and got[at] == whole:
            taken = 1
        else:
            taken = next(
                (n for n, pair in enumerate(zip(got[at:], lines, strict=False)) if pair[0] != pair[1]), None
            )
            taken = min(len(lines), len(got) - at) if taken is None else taken
        is_last_word = is_mortal and number == last
        if (
            prompt.outcome == "submitted"
            and not is_last_word
            and got[at : at + 1] != [whole]
            and taken < len(lines)
        ):
            wrong.append(
                f"{prompt.prompt_id} {whole[:60]!r} was submitted; got {[each[:60] for each in got[at : at + 2]]}"
            )
            continue
        if prompt.outcome:
            at += taken
    wrong += [f"nobody sent {text[:80]!r}, or it was sent twice" for text in got[at:]]
    return wrong


async def type_as_person(cage: Cage, keys: bytes) -> None:
    """As an attached person types."""
    run_id = cage.link.welcome.run_id
    async with cage.composers.turn(run_id):
        typed = await cage.link.send_input(keys, author=PERSON, input_id=None)
        if isinstance(typed, port.InputResult):
            cage.composers.typed(run_id, keys, PERSON)


async def show(
    prompts: int,
    *,
    seed: int,
    fates: Fates | None = None,
    names: tuple[str, ...] = tuple(FAMILIES),
    each: int = PROMPTS_OF_A_RUN,
) -> Tally:
    """So many prompts, over all animals."""
    tally, began, cpu = Tally(), time.monotonic(), _cpu_s()
    acts = [
        Act(names[n % len(names)], seed=f"{seed}/{n}", count=each, fates=fates or Fates(), tally=tally)
        for n in range(-(-prompts // each))
    ]
    rules = read_rules((HERE / "animal.toml").read_bytes())
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(act: Act, folder: Path) -> None:
        async with gate:
            await act.play(folder)

    with (
        tempfile.TemporaryDirectory(prefix="zoo-", ignore_cleanup_errors=True) as folder,
        mock.patch.object(onlooker_module, "rules_for", return_value=rules),
        mock.patch.object(typist_module, "SHOWN_MS_MAX", SHOWN_MS_MAX),
    ):
        async with asyncio.TaskGroup() as group:
            for act in acts:
                group.create_task(one(act, Path(folder)))
    tally.wall_s, tally.cpu_s = time.monotonic() - began, _cpu_s() - cpu
    return tally


def _cpu_s() -> float:
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> int:
    prompts, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    names = tuple(sys.argv[3:]) or tuple(FAMILIES)
    fates = Fates(
        abandoned=float(os.environ.get("ZOO_ABANDONED") or 0),
        keeper_killed=float(os.environ.get("ZOO_KILLED") or 0),
    )
    tally = asyncio.run(show(prompts, seed=seed, fates=fates, names=names))
    print(msgspec.json.format(msgspec.json.encode(tally)).decode())
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
