"""Rounds of `kill -9`: who is killed, when, and who of them there is at that moment.

Everything is drawn from a seed. A round is one run; several of them share a daemon, and whoever kills that
kills it for all. What a run's keeper has come to is read from its journal on disk, what its program has
received from a file of its own, so nothing here needs the daemon that may be dead.
"""

import os
import random
import signal
import sys
from pathlib import Path
from typing import Final, Literal

import msgspec

from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import read_journal
from moduprompt.keeper import processes

Victim = Literal["daemon", "keeper", "program"]
Moment = Literal["asked", "launching", "started", "typing", "typed", "stopping", "leaving", "ended"]
Ending = Literal["bye", "stop"]

VICTIMS: Final[tuple[tuple[Victim, ...], ...]] = (
    ("daemon",),
    ("keeper",),
    ("program",),
    ("daemon", "keeper"),
    ("daemon", "program"),
    ("keeper", "program"),
)
# After the moment has come: as long as what begins then may take, so that any part of it is hit.
DELAY_S_MAX: Final[dict[Moment, float]] = {
    "asked": 0.4,
    "launching": 0.05,
    "started": 0.5,
    "typing": 0.02,
    "typed": 0.3,
    "stopping": 0.3,
    "leaving": 0.02,
    "ended": 0.1,
}
MOMENTS: Final[tuple[Moment, ...]] = tuple(DELAY_S_MAX)
FLOOD_BYTES: Final = 3_000_000  # printed before it leaves: packing that takes long enough to be met

PROGRAM: Final = f"""
import os, signal, sys
said = os.open(os.path.join(sys.argv[1], os.environ["MP_RUN"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(said, b"begin\\n")
is_stubborn = sys.argv[2] == "stubborn"
if is_stubborn:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        while True: signal.pause()
try:
    for line in sys.stdin:
        os.write(said, line.encode())
        if line == "bye\\n":
            print("x" * {FLOOD_BYTES}, flush=True)
            sys.exit(0)
except OSError:
    pass
while is_stubborn: signal.pause()
"""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to one run."""

    number: int
    victims: tuple[Victim, ...]
    moment: Moment
    delay_s: float
    away_s: float  # how long a killed daemon stays away
    ending: Ending
    is_stubborn: bool  # it ignores that its terminal is gone, and leaves a tool in a session of its own

    def argv(self, said: Path) -> tuple[str, ...]:
        """Its program, which writes what it received into this folder."""
        kind = "stubborn" if self.is_stubborn else "plain"
        return (sys.executable, "-I", "-S", "-c", PROGRAM, str(said), kind)

    @property
    def words(self) -> tuple[str, ...]:
        """What it is told, in order."""
        spoken = (f"first {self.number}", f"second {self.number}")
        return (*spoken, "bye") if self.ending == "bye" else spoken


def draw(seed: int, number: int) -> Round:
    """The same for the same seed and number. Every pair of victims and moment comes up once in 48 rounds."""
    rng = random.Random(f"{seed}/{number}")
    pairs: list[tuple[tuple[Victim, ...], Moment]] = [
        (victims, moment) for victims in VICTIMS for moment in MOMENTS
    ]
    random.Random(f"{seed}/{number // len(pairs)}").shuffle(pairs)
    victims, moment = pairs[number % len(pairs)]
    return Round(
        number=number,
        victims=victims,
        moment=moment,
        delay_s=rng.random() ** 3 * DELAY_S_MAX[moment],  # most of what goes wrong goes wrong early
        away_s=rng.choice((0.0, 0.0, 0.5)),
        ending="stop" if moment == "stopping" else "bye",
        is_stubborn=rng.random() < 0.5,
    )


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """What one run leaves on the machine, whoever is dead."""

    run_id: str
    run_dir: Path
    said_file: Path

    def reports(self) -> tuple[port.Report, ...]:
        """Its keeper's, as they stand on disk."""
        return tuple(entry.report for entry in read_journal(self.run_dir))

    def said(self) -> list[str]:
        """What its program has received, line by line; the first says that it began."""
        try:
            return self.said_file.read_text().splitlines()
        except FileNotFoundError:
            return []

    def has_come(self, moment: Moment) -> bool:
        """Whether its life is as far as that."""
        match moment:
            case "asked":
                return True
            case "stopping":
                return self._has(port.Stopping)
            case "launching":
                return self._has(port.Launching)
            case "started":
                return self._has(port.Started)
            case "typing":
                return self._has(port.InputIntended)
            case "typed":
                return self._has(port.InputApplied)
            case "leaving":
                return "bye" in self.said()
            case "ended":
                return self._has(port.Exited)

    def keepers(self) -> list[int]:
        """Everything of its keeper: what waits for it to start, and itself."""
        return keepers(self.run_id)

    def program(self) -> list[int]:
        """The program itself, without what it started; none before it runs."""
        keepers = self.keepers()
        return [each.pid for each in self.living() if each.ppid in keepers]

    def living(self) -> list[processes.Process]:
        """Every live process of the run, its keeper not counted."""
        return processes.marked(f"MP_RUN={self.run_id}")

    def _has(self, kind: type[port.Report]) -> bool:
        return any(isinstance(report, kind) for report in self.reports())


def keepers(run_id: str) -> list[int]:
    """Everything of a run's keeper: what waits for it to start, and itself."""
    return [pid for pid in _pids() if _is_keeper(pid, run_id)]


def killed(pids: list[int]) -> bool:
    """Kill all of these; whether there was one."""
    hit = False
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        hit = True
    return hit


def _pids() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def _is_keeper(pid: int, run_id: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    process = processes.inspect(pid)
    is_one = b"/keeper/__main__.py\0" in words and run_id.encode() in words
    return is_one and process is not None and process.is_alive
