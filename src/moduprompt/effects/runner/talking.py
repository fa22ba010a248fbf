"""A run that is talked to: its channel as far as it has heard, the questions that stand open, and what is owed.

All of it is made from the run's output, so a daemon that begins anew has it again once it has heard the
recording; what is owed is sent in order, under names that the keeper knows.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from moduprompt.domain.run.said import PermissionWithdrawn, TurnEnded
from moduprompt.effects.agents.lines import digest_of
from moduprompt.effects.agents.port import Asked, Channel, Heard, InputOver, Owed
from moduprompt.effects.runner import port
from moduprompt.effects.runner.speaking import PIECE_MARK, NotSent, Speaker
from moduprompt.kernel.ports import Clock

ERRANDS_MAX: Final = 64  # lines that are owed and not sent yet; behind them the program has to wait
QUESTIONS_MAX: Final = 256  # whose answers are kept: more than any channel leaves open
# An errand's name that stands for itself in an input's id, of which a keeper takes a hundred characters, pieces included.
PLAIN: Final = re.compile(r"[A-Za-z0-9_./:-][A-Za-z0-9_./: -]{0,79}")
AGAIN_S: Final = 0.5  # before a line is sent again that its program could not take

log = logging.getLogger(__name__)


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is shown of it: a program may ask two things under one name."""

    request_id: str
    tool: str
    arguments_digest: str


class Talk:
    """One live run and its channel."""

    def __init__(self, channel: Channel, *, run_id: str) -> None:
        self.channel = channel
        self.has_caught_up = False  # with what was printed before anybody listened
        self._run_id = run_id
        self._answers: dict[_Question, Mapping[str, bytes]] = {}
        self._errands: asyncio.Queue[Owed | InputOver] = asyncio.Queue(ERRANDS_MAX)

    async def heard(self, heard: Heard) -> None:
        """What was said, in order."""
        match heard:
            case Asked():
                asked = heard.said
                question = _Question(
                    request_id=asked.request_id, tool=asked.tool, arguments_digest=asked.arguments_digest
                )
                self._answers.setdefault(question, heard.answers)
                if len(self._answers) > QUESTIONS_MAX:
                    del self._answers[next(iter(self._answers))]
            case PermissionWithdrawn():
                for each in [each for each in self._answers if each.request_id == heard.request_id]:
                    del self._answers[each]
            case Owed() | InputOver():
                await self._errands.put(heard)
            case TurnEnded():
                self._answers.clear()
            case _:
                return

    def answers_to(self, request_id: str, *, tool: str, arguments_digest: str) -> Mapping[str, bytes] | None:
        """The lines that answer the very question that was shown, by option; None where it stands open no more."""
        return self._answers.get(
            _Question(request_id=request_id, tool=tool, arguments_digest=arguments_digest)
        )

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
        sent = await speaker.say(self._run_id, owed.line, input_id=_errand_id(owed.name), author=author)
        if isinstance(sent, NotSent):
            log.warning("errand.not_sent", extra={"run_id": self._run_id, "why": sent.why})
        return sent is not None


TalkWith: TypeAlias = Callable[[str], Talk | None]
"""Who knows how a run is talked to; None where it is not."""


def _errand_id(name: str) -> str:
    """The input's id of an errand. Its program may have given the name, so no keeper need take it as it is."""
    if PLAIN.fullmatch(name) and PIECE_MARK not in name:
        return f"owed/{name}"
    return f"owed/{digest_of(name.encode('utf-8', 'replace'))}"
