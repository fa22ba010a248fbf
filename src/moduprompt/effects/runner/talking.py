"""A run that is talked to: its channel as far as it has heard, the questions that stand open, and what is owed.

All of it is made from the run's output, so a daemon that begins anew has it again once it has heard the
recording; what is owed is sent in order, under names that the keeper knows.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from moduprompt.domain.run.said import PermissionWithdrawn, TurnEnded
from moduprompt.effects.agents.port import Asked, Channel, Heard, InputOver, Owed
from moduprompt.effects.runner import port
from moduprompt.effects.runner.speaking import Speaker
from moduprompt.kernel.ports import Clock

ERRANDS_MAX: Final = 64  # lines that are owed and not sent yet; behind them the program has to wait
QUESTIONS_MAX: Final = 256  # whose answers are kept: more than any channel leaves open
AGAIN_S: Final = 0.5  # before a line is sent again that its program could not take

log = logging.getLogger(__name__)


class Talk:
    """One live run and its channel."""

    def __init__(self, channel: Channel, *, run_id: str) -> None:
        self.channel = channel
        self.has_caught_up = False  # with what was printed before anybody listened
        self._run_id = run_id
        self._answers: dict[str, Mapping[str, bytes]] = {}
        self._errands: asyncio.Queue[Owed | InputOver] = asyncio.Queue(ERRANDS_MAX)

    async def heard(self, heard: Heard) -> None:
        """What was said, in order."""
        match heard:
            case Asked():
                self._answers[heard.said.request_id] = heard.answers
                if len(self._answers) > QUESTIONS_MAX:
                    del self._answers[next(iter(self._answers))]
            case PermissionWithdrawn():
                self._answers.pop(heard.request_id, None)
            case Owed() | InputOver():
                await self._errands.put(heard)
            case TurnEnded():
                self._answers.clear()
            case _:
                return

    def answers_to(self, request_id: str) -> Mapping[str, bytes] | None:
        """The lines that answer a question, by option; None where it stands open no more."""
        return self._answers.get(request_id)

    async def run_errands(self, speaker: Speaker, *, clock: Clock) -> None:
        """Send what is owed, until whoever waits for this gives up."""
        while True:
            owed = await self._errands.get()
            while not await self._is_settled(owed, speaker):
                await clock.sleep(AGAIN_S)

    async def _is_settled(self, owed: Owed | InputOver, speaker: Speaker) -> bool:
        if isinstance(owed, InputOver):
            return await speaker.end(self._run_id)
        author = port.Author(kind="kernel", id=self._run_id)
        sent = await speaker.say(self._run_id, owed.line, input_id=f"owed/{owed.name}", author=author)
        return sent is not None
