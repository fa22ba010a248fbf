"""Sees what becomes of an Enter behind a pasted text: one that was not taken is typed once more.

    Enter ── the text has left its place ──→ taken
      ├─ it stands there after a while ──→ Enter      a busy program took the first one for a line's end
      └─ a question is open ── answered ── it stands there ──→ Enter      the question took the first one

It goes into the same text in the same place, of a program that takes text, where no person's line stands, and only while nothing is
printed in between. Into an empty input line it would do nothing. Until that is seen no other prompt is typed there: it
would be merged with this one. Forgotten with the daemon.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from moduprompt.domain.run.intents import TAKES_TEXT
from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.desk import Desk, without_own
from moduprompt.effects.runner.keys import cleaned
from moduprompt.effects.runner.status.engine import is_stale
from moduprompt.effects.runner.status.facts import Look
from moduprompt.effects.runner.status.own_text import lines_below
from moduprompt.kernel.ports import Clock

AGAIN_MS: Final = 1_500  # by then a program has shown something for an Enter that it took
AGAINS_MAX: Final = (
    2  # a question may take the second one, too; whoever loses three is looked after by a person
)
LOOKS_MAX: Final = 150  # three seconds at `PAUSE_S`: of what is taken up again later less is known
PAUSE_S: Final = 0.02  # between looks: about as often as a busy screen is drawn
ANSWER_PAUSE_S: Final = 0.25  # while a question is open: a person is never quicker
ANSWER_LOOKS_MAX: Final = 2_400  # ten minutes: who answers later sees for himself what stands there

DraftBy: TypeAlias = Callable[[Desk, Look], str | None]


class Pressed(msgspec.Struct, frozen=True, kw_only=True):
    """An Enter behind a prompt's text. `seen`: right before it."""

    prompt_id: str
    enter: bytes
    seen: Look


class Enters:
    """The Enters of one daemon that are being looked after."""

    def __init__(self, *, composers: Composers, clock: Clock, draft_by: DraftBy) -> None:
        """`draft_by`: whose half-typed line stands there."""
        self._composers = composers
        self._clock = clock
        self._draft_by = draft_by
        self._pressed: dict[str, Pressed] = {}

    def pressed(self, desk: Desk, enter: bytes, *, seen: Look) -> None:
        """It was typed: until `see_it_go` is over nobody knows what became of it."""
        own = Pressed(prompt_id=desk.intent.prompt_id, enter=enter, seen=seen)
        self._pressed[desk.intent.run_id] = own

    def is_unsure_for(self, desk: Desk) -> bool:
        """Whether another prompt may still stand in this run's input line."""
        pressed = self._pressed.get(desk.intent.run_id)
        return pressed is not None and pressed.prompt_id != desk.intent.prompt_id

    def give_up(self, desk: Desk) -> None:
        """Nobody looks after this prompt's Enter any more. Safe twice, and before one was typed."""
        if not self.is_unsure_for(desk):
            self._pressed.pop(desk.intent.run_id, None)

    async def see_it_go(self, desk: Desk) -> None:
        """Until the text is gone, or nobody can say more. Where no Enter was typed there is nothing to see."""
        pressed = self._pressed.get(desk.intent.run_id)
        if pressed is not None and not self.is_unsure_for(desk):
            await self._look_after(desk, pressed.enter, sent=pressed.seen)

    async def _look_after(self, desk: Desk, enter: bytes, *, sent: Look) -> None:
        text = cleaned(desk.text)
        below = None if sent.sight is None else lines_below(text, sent.sight)
        looks, questions, agains = 0, 0, 0
        while below is not None and looks < LOOKS_MAX and agains < AGAINS_MAX:
            await self._clock.sleep(ANSWER_PAUSE_S if questions else PAUSE_S)
            looks, questions = (looks, questions + 1) if questions else (looks + 1, 0)
            look = await desk.onlooker.glance()
            if look.reply.unread_bytes or is_stale(look.reply):
                continue
            seen, asked = desk.onlooker.meaning(look), desk.onlooker.meaning(without_own(text, look))
            if look.sight is None or seen is None or questions > ANSWER_LOOKS_MAX:
                return
            if asked is not None and asked.status == "blocked_on_permission":
                questions = max(questions, 1)
            elif seen.status not in TAKES_TEXT and questions:
                continue  # it does what was answered; our text is hidden, or sent
            elif seen.status not in TAKES_TEXT or lines_below(text, look.sight) != below:
                return
            elif (look.reply.since_typed_ms or AGAIN_MS) >= AGAIN_MS:
                typed = await self._press_again(desk, enter, seen=look, number=agains + 1)
                if typed is None or (isinstance(typed, port.RequestRefused) and typed.code != "moved_on"):
                    return
                agains += isinstance(typed, port.InputResult)

    async def _press_again(
        self, desk: Desk, enter: bytes, *, seen: Look, number: int
    ) -> port.InputResult | port.RequestRefused | None:
        """None where a person's line stands there by now."""
        async with self._composers.turn(desk.intent.run_id):
            if self._draft_by(desk, await desk.onlooker.glance()) is not None:
                return None
            return await desk.link.send_input(
                enter,
                author=port.Author(kind="user", id=desk.intent.prompt_id),
                input_id=f"{desk.intent.prompt_id}/again/{number}",
                if_output_bytes=seen.reply.output_bytes,
                if_canonical=seen.reply.canonical,
            )
