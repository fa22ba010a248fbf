"""What happens to a machine: bad weather on its disk, and its end, at drawn moments."""

import random
from typing import Final

import apsw

from tests.support.simulation.disk import Operation
from tests.support.simulation.machine import Machine
from tests.support.simulation.virtual_time import VirtualLoop

ENDS: Final = ("power between", "power within", "kill between", "kill within", "clean")
STORM_EVERY: Final = 250  # operations of the disk between two storms, on average
STORM_LASTS: Final = 12  # operations at most: shorter than clients are patient
TURNS_OF_LIFE: Final = 3_000
OPERATIONS_OF_LIFE: Final = 700


class Fate:
    """Of one machine. `between` two turns of the loop is at an await; `within` is in a write."""

    def __init__(self, machine: Machine, *, loop: VirtualLoop, rng: random.Random, storms: bool) -> None:
        self._machine = machine
        self._rng = rng
        self._loop = loop
        self.end = rng.choice(ENDS)
        self._last_turn = loop.turns + rng.randrange(TURNS_OF_LIFE)
        self._last_operation = rng.randrange(OPERATIONS_OF_LIFE)
        self._has_storms = storms
        self._operations = 0
        self._storm_ends = 0
        self._storm: type[apsw.Error] = apsw.IOError

    def begin(self) -> None:
        """From now on."""
        self._machine.disk.on_change = self._operate
        self._loop.on_turn = self._turn

    def calm(self) -> None:
        """No storms any more: what must hold is looked at."""
        self._has_storms = False
        self._storm_ends = 0

    def is_deadly(self) -> bool:
        """Whether it ends in the middle of things."""
        return self.end != "clean"

    def _turn(self, number: int) -> None:
        if self.end.endswith("between") and number >= self._last_turn:
            self._die()

    def _operate(self, operation: Operation, name: str) -> None:
        self._operations += 1
        if self.end.endswith("within") and self._operations >= self._last_operation:
            self._die()
            raise apsw.IOError(f"the power goes at a {operation} of {name}")
        if self._has_storms and self._rng.randrange(STORM_EVERY) == 0:
            self._storm_ends = self._operations + self._rng.randint(1, STORM_LASTS)
            self._storm = self._rng.choice((apsw.IOError, apsw.FullError))
        if self._operations <= self._storm_ends:
            raise self._storm(f"a storm at a {operation} of {name}")

    def _die(self) -> None:
        self._machine.die(self._rng, power=self.end.startswith("power"))
