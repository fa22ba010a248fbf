"""Sees what becomes of an Enter behind a pasted text: one that was not taken is typed once more.

    Enter ── the text has left its place ──→ taken
      ├─ it stands there after a while ──→ Enter      a busy program took the first one for a line's end
      └─ a question is open ── answered ── it stands there ──→ Enter      the question took the first one

It goes into the same text in the same place, of a program that takes text, where no person's line stands, and only while nothing is
printed in between. Into an empty input line it would do nothing. Until that is seen no other prompt is typed there: it
would be merged with this one. Forgotten with the daemon.
"""

import logging
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

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
GONE_LOOKS: Final = 3  # one after another, at which it works, or shows the text further up
UNCLEAR_LOOKS: Final = (
    50  # at which the text is not seen: a busy machine takes long between two pieces of a drawing
)
PAUSE_S: Final = 0.02  # between looks: about as often as a busy screen is drawn
ANSWER_PAUSE_S: Final = 0.25  # while a question is open: a person is never quicker
ANSWER_LOOKS_MAX: Final = 2_400  # ten minutes: who answers later sees for himself what stands there

Place: TypeAlias = Literal["here", "asked", "busy", "gone", "unclear"]
DraftBy: TypeAlias = Callable[[Desk, Look], str | None]

log = logging.getLogger(__name__)


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
        below = None if sent.sight is None else lines_below(cleaned(desk.text), sent.sight)
        looks, answer_looks, agains, away, before = 0, 0, 0, 0, "here"
        while below is not None and max(looks / LOOKS_MAX, answer_looks / ANSWER_LOOKS_MAX) < 1:
            await self._clock.sleep(ANSWER_PAUSE_S if answer_looks and not away else PAUSE_S)
            looks, answer_looks = (looks, answer_looks + 1) if answer_looks else (looks + 1, 0)
            look = await desk.onlooker.glance()
            if look.reply.state != "running":
                return
            if look.reply.unread_bytes or is_stale(look.reply):
                continue
            place = _place(desk, look, below=below)
            answer_looks += place == "asked" and not answer_looks
            is_away = place in ("gone", "unclear") or (place == "busy" and not answer_looks)
            away = away + 1 if is_away and place == before else int(is_away)
            before = place
            if away >= (UNCLEAR_LOOKS if place == "unclear" else GONE_LOOKS) or agains == AGAINS_MAX:
                return
            if place == "here" and (look.reply.since_typed_ms or AGAIN_MS) >= AGAIN_MS:
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
            log.info("prompt.enter_again", extra={"prompt_id": desk.intent.prompt_id, "number": number})
            return await desk.link.send_input(
                enter,
                author=port.Author(kind="user", id=desk.intent.prompt_id),
                input_id=f"{desk.intent.prompt_id}/again/{number}",
                if_output_bytes=seen.reply.output_bytes,
                if_canonical=seen.reply.canonical,
            )


def _place(desk: Desk, look: Look, *, below: int) -> Place:
    """Where the text is by now: where it was, hidden by a question, left for work, further up, or not to be seen."""
    text = cleaned(desk.text)
    asked, seen = desk.onlooker.meaning(without_own(text, look)), desk.onlooker.meaning(look)
    if asked is not None and asked.status == "blocked_on_permission":
        return "asked"
    if look.sight is None or seen is None:
        return "unclear"
    if seen.status not in TAKES_TEXT:
        return "unclear" if seen.status == "unknown" else "busy"
    now = lines_below(text, look.sight)
    if now is None:
        return "unclear"
    # Below its place is what was there before, or less of it; further up there is the input line, too.
    return "here" if now <= below else "gone"
