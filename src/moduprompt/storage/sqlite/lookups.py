"""Look-ups that arrive together travel together.

A thread that is handed one small query at a time costs more in handing over than in
asking: the interpreter changes threads twice for each. So while one batch is asked,
what arrives waits, and goes as the next one.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from moduprompt.storage.sqlite.worker import Worker

Q = TypeVar("Q")
A = TypeVar("A")

BATCH_MAX: Final = 256  # as many as the writer takes at once


class Lookups(Generic[Q, A]):
    """Asks questions in batches, in the order they came."""

    def __init__(self, worker: Worker, ask: Callable[[list[Q]], list[A]]) -> None:
        self._worker = worker
        self._ask = ask
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._task: asyncio.Task[None] | None = None

    async def find(self, question: Q) -> A:
        """The answer to one question. Raises what asking raised."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="lookups")
        return await answer

    async def stop(self) -> None:
        """Answer what waits, then end; stopping twice is fine."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            await self._answer(batch)

    async def _answer(self, batch: list[tuple[Q, asyncio.Future[A]]]) -> None:
        questions = [question for question, _ in batch]
        (found,) = await asyncio.gather(
            self._worker.run(lambda: self._ask(questions)), return_exceptions=True
        )
        for place, (_, answer) in enumerate(batch):
            if answer.done():
                continue
            if isinstance(found, BaseException):
                answer.set_exception(found)
            else:
                answer.set_result(found[place])
