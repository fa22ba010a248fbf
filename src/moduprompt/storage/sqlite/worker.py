"""A thread that owns one connection, so that the event loop never waits for a disk.

The thread lives as long as its worker, and is handed work through a queue: of all ways
from a loop to a thread and back the one with the fewest locks, which is what a command
that travels alone waits for.
"""

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Final, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

SWITCH_S: Final = 0.000_2
"""How long a busy thread keeps the interpreter from one that waits for it (`sys.setswitchinterval`).

Whoever commits asks for the interpreter after every statement. With the default of 5 ms a busy
loop made a commit of 64 commands take a hundred times as long as the disk does.
"""


class Worker:
    """Runs functions one after another in a thread of its own.

    A store takes the class it makes its workers from, so that a simulation can say when work is done.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._stopped = False

    async def run(self, work: Callable[[], T]) -> T:
        """The function's result. Once begun it runs to its end, whoever stops waiting."""
        if self._stopped:
            raise RuntimeError(f"{self._name} was stopped: it takes no more work")
        if self._thread is None:
            # A daemon: a worker that nobody stopped must not keep the process from ending.
            self._thread = Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        job = _Job(work, asyncio.get_running_loop())
        self._jobs.put(job.do)
        return await job.answer

    def stop(self) -> None:
        """Wait for what was given, take nothing more; stopping twice is fine."""
        self._stopped = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (do := self._jobs.get()) is not None:
            do()
            del do  # while it waits for more, a thread must not keep what the last work was about


class _Job(Generic[T]):
    """A function, and who waits for its result."""

    def __init__(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop
        self.answer: asyncio.Future[T] = loop.create_future()

    def do(self) -> None:
        """In the worker's thread."""
        if self.answer.cancelled():
            return
        try:
            result = self._work()
        except BaseException as fault:  # noqa: BLE001 - whoever waits is told, whatever it is
            self._tell(self._fail, fault)
        else:
            self._tell(self._succeed, result)

    def _tell(self, tell: Callable[[R], None], what: R) -> None:
        try:
            self._loop.call_soon_threadsafe(tell, what)
        except RuntimeError:
            return  # the loop has been closed: nobody waits any more

    def _succeed(self, result: T) -> None:
        if not self.answer.done():
            self.answer.set_result(result)

    def _fail(self, fault: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(fault)
