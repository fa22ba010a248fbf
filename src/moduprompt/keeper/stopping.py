"""How a run is ended: SIGINT, then SIGTERM, then SIGKILL, each after its grace.

    begin ──INT──> (grace) ──TERM──> (grace) ──KILL, again and again──> (grace) ──> given up

SIGINT goes to the process groups only, as a person's Ctrl-C would: programs treat it as a wish. SIGTERM
and SIGKILL go to every descendant as well, for tools that took a session of their own. What survives
SIGKILL for its grace can't be ended by anybody; it is reported, not waited for.
"""

import os
import signal

from moduprompt.keeper import processes

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from moduprompt.keeper.processes import Process

KILL_AGAIN_S = 0.1  # a process may fork between two looks


class Ladder:
    """The steps and their times. It sends nothing by itself: `due` says what to send now."""

    def __init__(self, graces_s: tuple[float, float, float]) -> None:
        self._graces_s = graces_s
        self._step = -1
        self.next_at: float | None = None
        self._give_up_at = 0.0

    @property
    def is_begun(self) -> bool:
        """Whether stopping has begun."""
        return self._step >= 0

    def begin(self, now: float) -> None:
        """Start with SIGINT. Asking again changes nothing."""
        if not self.is_begun:
            self._step, self.next_at = 0, now

    def begin_with_terminate(self, now: float) -> None:
        """Start with SIGTERM: for what a program that has ended left behind."""
        if self._step < 2:
            self._step, self.next_at = 1, now

    def due(self, now: float) -> int:
        """The signal to send now, or 0. Each call moves on."""
        if self.next_at is None or now < self.next_at:
            return 0
        if self._step < 2:
            self.next_at = now + self._graces_s[self._step]
            self._step += 1
            return signal.SIGINT if self._step == 1 else signal.SIGTERM
        if self._step == 2:
            self._give_up_at = now + self._graces_s[2]
            self._step = 3
        self.next_at = now + KILL_AGAIN_S
        return signal.SIGKILL

    def is_exhausted(self, now: float) -> bool:
        """Whether even SIGKILL had its grace."""
        return self._step > 2 and now >= self._give_up_at


def deliver(number: int, groups: set[int], living: "list[Process]") -> None:
    """Send a signal to groups and, unless it is a mere interrupt, to each process too."""
    for group in groups:
        _send(-group, number)
    if number == signal.SIGINT:
        return
    for process in living:
        processes.send_signal(process, number)
        if number == signal.SIGTERM:
            processes.send_signal(process, signal.SIGCONT)  # a stopped process acts on nothing but SIGKILL


def _send(target: int, number: int) -> None:
    try:
        os.kill(target, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or it changed its user and is beyond us; what survives is reported
