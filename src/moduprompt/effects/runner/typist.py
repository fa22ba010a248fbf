"""Types prompts: each at most once, and it is always known how far one came.

    look ── held (a draft, an open question) ──→ wait, visibly
      └─ it takes text ── placed (durable) ── parts ── look ── Enter ──→ submitted

`placed` is durable before the first key. Nothing is typed into what was not looked at: the first part and
the Enter behind a paste go in only while the program has printed exactly what was seen and the terminal has the same
mode (`if_output_bytes`, `if_canonical`), so a question that opens in between gets no key. Enter sends only what is seen
to stand there: a text that a question has swallowed, or that somebody took away, is `uncertain`. Each part has an id of its own (`<prompt>/<n>`, Enter the
prompt's), which the keeper takes only once, also from another daemon after a crash: sending them again is
how one goes on, or learns what became of it. Where nobody can say, it is `uncertain` and never typed again
by itself. While it goes in, a person's keys wait; where a person's line stands, it waits.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from moduprompt.domain.decider import Intent
from moduprompt.domain.run.intents import TAKES_TEXT, TypePrompt
from moduprompt.domain.session.commands import ReportPromptHeld
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.desk import Desk, Held, without_own
from moduprompt.effects.runner.enters import Enters
from moduprompt.effects.runner.journal import Journals
from moduprompt.effects.runner.keys import Form, Keys, Unfit, cleaned, form_for, to_keys
from moduprompt.effects.runner.prompting import Teller, is_talked_to
from moduprompt.effects.runner.reports import (
    cut_short,
    part_id,
    prompt_of,
    tell_prompt,
)
from moduprompt.effects.runner.status.drawings import Drawings
from moduprompt.effects.runner.status.engine import is_stale
from moduprompt.effects.runner.status.facts import BRACKETED_PASTE, Look
from moduprompt.effects.runner.status.onlooker import Onlooker, rules_of
from moduprompt.effects.runner.status.own_text import is_short, stands_there
from moduprompt.kernel.clock import SystemClock
from moduprompt.kernel.ports import ArtifactStore, Clock
from moduprompt.protocol import REASON_MAX, UserId, is_id

SHOWN_MS_MAX: Final = 10_000  # a text that is not seen so long after the last key does not stand there
OWN_FORM_MS: Final = 1_000  # programs draw a paste within some tenths of a second, in words that can be found
MODE_CHANGED: Final = "its program changed the terminal's mode in the middle of it"
NOT_SEEN: Final = (
    "it was typed, and something came in between: it does not stand there any more, and may have been sent"
)
LOOKS_MAX: Final = (
    25  # before the hand is sent again later: a program that redraws moves on between two looks
)
ENTER_LOOKS_MAX: Final = 150  # three seconds: of what is taken up again later less is known
PAUSE_S: Final = 0.02  # between them: about as often as a busy screen is drawn
SETTLED_MS: Final = 150  # after a paste: for 40 ms gemini takes an Enter for one of the paste's line ends
SLOWLY: Final = 3  # times as long as it took to show the first of it: a busy machine makes all of that late
SETTLED_MS_MAX: Final = 3_000  # whatever it does by then is not about the paste
QUIET_MS: Final = 40  # between two drawings of one paste
RESTLESS_MS: Final = 1_000  # after this it is one that draws all the time, and does not wait for silence

log = logging.getLogger(__name__)


class Typist:
    """The `Hand` for prompts."""

    handles = (TypePrompt,)

    def __init__(
        self,
        backend: port.Backend,
        reporter: Reporter,
        *,
        artifacts: ArtifactStore,
        typed: Callable[[str], None],
        composers: Composers,
        teller: Teller | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`teller`: who speaks to programs that have no terminal."""
        self._teller = teller
        self._backend = backend
        self._reporter = reporter
        self._artifacts = artifacts
        self._typed = typed
        self._composers = composers
        self._clock = clock or SystemClock()
        self._drawings = Drawings()
        self._journals = Journals(backend.run_dir)
        self._enters = Enters(composers=composers, clock=self._clock, draft_by=self._draft_by)

    async def carry_out(self, intent: Intent) -> bool:
        """Place, type, report. False: not now."""
        assert isinstance(intent, TypePrompt), f"BUG: {type(intent).__name__} is no prompt"
        text = await self._artifacts.get(intent.workspace_id, intent.text.ref)
        if text is None:
            return await self._give_up(intent, "not typed: its text has been erased")
        if self._teller is not None and is_talked_to(intent):
            return await self._teller.tell(intent, text=text.decode("utf-8", "replace"))
        found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Unreachable):
            return False
        if isinstance(found, port.Gone):
            self._drawings.forget(intent.run_id)
            self._journals.forget(intent.run_id)
            return await self._learn(intent, found.entries, found.evidence)
        onlooker = Onlooker(
            found,
            run_dir=self._backend.run_dir(intent.run_id),
            program=rules_of(adapter=intent.adapter, argv=intent.argv),
            drawing=self._drawings.take(intent.run_id),
        )
        begun = self._begun(intent) if intent.is_placed else frozenset[str]()
        desk = Desk(intent=intent, link=found, onlooker=onlooker, text=text, begun=begun)
        async with found:
            with closing(onlooker):
                try:
                    done = await self._go_on(desk)
                except port.LinkClosedError:
                    return False
                self._drawings.bring_back(intent.run_id, onlooker.leave_drawing())
                return done

    async def _learn(self, intent: TypePrompt, entries: Sequence[port.Entry], evidence: str) -> bool:
        """From the journal of a dead keeper. What was never placed waits for the next run."""
        if not intent.is_placed:
            return True
        for entry in entries:
            match entry.report:
                case port.InputApplied(input_id=intent.prompt_id, output_bytes=output_bytes):
                    await tell_prompt(self._reporter, intent, outcome="submitted", output_bytes=output_bytes)
                    return True
                case port.InputFailed(input_id=input_id, bytes=typed_bytes, withdrawn=False) if (
                    prompt_of(input_id) == intent.prompt_id
                ):
                    return await self._give_up(intent, cut_short(typed_bytes))
                case _:
                    continue
        return await self._give_up(intent, evidence)

    async def _go_on(self, desk: Desk) -> bool:
        """From where it stands: not begun, begun, or sent by a daemon that could not say so any more."""
        if desk.intent.prompt_id in desk.begun:
            return await self._learn_of_enter(desk)
        for _ in range(LOOKS_MAX):
            done = await self._try(desk)
            if done is not None:
                return done
            await self._clock.sleep(PAUSE_S)
        return False

    async def _learn_of_enter(self, desk: Desk) -> bool:
        """Its keeper knows what became of the last key, and gets no key under its id."""
        typed = await self._send(desk, b"", desk.intent.prompt_id)
        if isinstance(typed, port.InputResult) and typed.outcome == "applied" and not typed.bytes:
            return await self._give_up(desk.intent, "it was about to be sent, and no key of that was typed")
        return bool(await self._sent(desk, typed))

    async def _try(self, desk: Desk) -> bool | None:
        """One look, and the keys where it allows them; None where the program moved on in between."""
        look = await desk.onlooker.glance()
        form, begun_as = _form(look), desk.begun_as
        if begun_as is not None and (begun_as == "lines") != (form == "lines"):
            # What was pasted stands in the program's input line until it comes back to it; lines are gone.
            return await self._give_up(desk.intent, MODE_CHANGED) if begun_as == "lines" else False
        if begun_as is None:
            held = self._held(desk, look)
            if held is not None:
                await self._hold(desk.intent, held)
                return False
            if not self._takes_text(desk, look):
                return False
        keys = to_keys(desk.text, begun_as or form)
        if isinstance(keys, Unfit):  # judged by the mode in which it takes text, not by that of its start
            return await self._give_up(desk.intent, keys.why)
        try:
            async with self._composers.turn(desk.intent.run_id):
                done = await self._type(desk, keys, look)
            await self._enters.see_it_go(desk)
        finally:
            self._enters.give_up(desk)
        return done

    def _begun(self, intent: TypePrompt) -> frozenset[str]:
        """What of it may have been typed already, as the keeper's journal says."""
        begun: set[str] = set()
        for entry in self._journals.of(intent.run_id):
            match entry.report:
                case port.InputIntended(input_id=input_id) if prompt_of(input_id) == intent.prompt_id:
                    begun.add(input_id)
                case port.InputFailed(input_id=input_id, withdrawn=True):
                    begun.discard(input_id)
                case _:
                    continue
        return frozenset(begun)

    def _held(self, desk: Desk, look: Look) -> Held | None:
        author = self._draft_by(desk, look)
        if author is not None:
            return Held(by="draft", evidence="a half-typed line stands there", user_id=author)
        seen = desk.onlooker.meaning(look)
        if seen is not None and seen.status == "blocked_on_permission":
            return Held(by="dialog", evidence=f"a question is open: {seen.evidence}")
        return None

    def _draft_by(self, desk: Desk, look: Look) -> str | None:
        """Whose line stands there. The keys alone don't say which of them answered a question; the screen does.

        What each key does depends on the terminal's mode, which the keeper knew; keepers of before don't say.
        """
        author = look.reply.draft_by
        if look.reply.printed_since_typed is None:
            author = self._composers.draft_by(desk.intent.run_id) or author
        is_answer = author is not None and look.sight is not None and author not in look.sight.drafts
        return None if is_answer else author

    def _takes_text(self, desk: Desk, look: Look) -> bool:
        if look.reply.unread_bytes or look.reply.input_waiting_bytes:
            return False  # what the program makes of that is not seen yet
        seen = desk.onlooker.meaning(look)
        return seen is not None and seen.status in TAKES_TEXT

    async def _type(self, desk: Desk, keys: Keys, look: Look) -> bool | None:
        """Parts and Enter; None where the program has moved on since the look, and nothing was typed."""
        intent = desk.intent
        if self._enters.is_unsure_for(desk):
            return None
        if self._composers.draft_by(intent.run_id) is not None:  # perhaps since the look
            drafted = self._draft_by(desk, await desk.onlooker.glance())
            if drafted is not None:
                return None
        if not intent.is_placed and not await tell_prompt(self._reporter, intent, outcome="placed"):
            return True  # taken back, just before its first key
        seen: Look | None = look
        for number, part in enumerate(keys.parts):
            typed = await self._send(desk, part, part_id(intent.prompt_id, keys.form, number), seen=seen)
            if isinstance(typed, port.RequestRefused):
                return await self._refused(intent, typed)
            if typed.outcome == "failed":
                return await self._give_up(intent, cut_short(typed.bytes))
            seen = None
        if keys.form == "lines":
            return await self._sent(desk, await self._send(desk, keys.last, intent.prompt_id, seen=seen))
        return await self._press_enter(desk, keys.last, before=look)

    async def _press_enter(self, desk: Desk, enter: bytes, *, before: Look) -> bool:
        """Behind a text that the program has read and shows, and never into a question that opened meanwhile."""
        shown_ms: int | None = None
        for _ in range(ENTER_LOOKS_MAX):
            await self._clock.sleep(PAUSE_S)
            look = await desk.onlooker.glance()
            reply = look.reply
            if reply.state != "running":
                break
            if reply.canonical:
                return False  # Enter would answer whatever reads lines now
            if reply.unread_bytes or reply.input_waiting_bytes or is_stale(reply):
                continue
            shown_ms = reply.since_typed_ms if shown_ms is None else shown_ms
            held = self._held(desk, without_own(cleaned(desk.text), look))
            if held is not None:
                await self._hold(desk.intent, held)
                return False
            if not _stands_there(desk, look, before):
                if desk.begun_as is not None and (reply.since_typed_ms or 0) > SHOWN_MS_MAX:
                    return await self._give_up(desk.intent, NOT_SEEN)
                continue
            if not _is_settled(reply, shown_ms=shown_ms or 0):
                continue
            typed = await self._send(desk, enter, desk.intent.prompt_id, seen=look)
            if isinstance(typed, port.InputResult) and typed.outcome == "applied":
                self._enters.pressed(
                    desk, enter, seen=look
                )  # before anybody hears of it, and types the next one
            sent = await self._sent(desk, typed)
            if sent is not None:
                return sent
        return False

    async def _sent(self, desk: Desk, typed: port.InputResult | port.RequestRefused) -> bool | None:
        """What became of the last key; None where the program has moved on since the look."""
        intent = desk.intent
        if isinstance(typed, port.RequestRefused):
            return await self._refused(intent, typed)
        if typed.outcome == "failed":
            return await self._give_up(intent, cut_short(typed.bytes))
        await tell_prompt(self._reporter, intent, outcome="submitted", output_bytes=typed.output_bytes)
        self._typed(intent.run_id)
        return True

    async def _send(
        self, desk: Desk, keys: bytes, input_id: str, *, seen: Look | None = None
    ) -> port.InputResult | port.RequestRefused:
        """Type it, where it was looked at only while what was seen is true."""
        return await desk.link.send_input(
            keys,
            author=port.Author(kind="user", id=desk.intent.prompt_id),
            input_id=input_id,
            if_output_bytes=None if seen is None else seen.reply.output_bytes,
            if_canonical=None if seen is None else seen.reply.canonical,
        )

    async def _refused(self, intent: TypePrompt, refused: port.RequestRefused) -> bool | None:
        if refused.code == "moved_on":
            return None
        if refused.code == "not_running":
            return await self._give_up(intent, refused.message)
        return False

    async def _give_up(self, intent: TypePrompt, evidence: str) -> bool:
        await tell_prompt(self._reporter, intent, outcome="uncertain", evidence=evidence)
        return True

    async def _hold(self, intent: TypePrompt, held: Held) -> None:
        """Say for whom it waits; the log keeps each reason once."""
        log.info("prompt.held", extra={"run_id": intent.run_id, "prompt_id": intent.prompt_id, "by": held.by})
        said = ReportPromptHeld(
            workspace_id=intent.workspace_id,
            session_id=intent.session_id,
            prompt_id=intent.prompt_id,
            by=held.by,
            evidence=held.evidence[:REASON_MAX],
            user_id=UserId(held.user_id) if held.user_id and is_id(held.user_id) else None,
        )
        await report(self._reporter, said, key=f"prompt/{intent.prompt_id}/held/{self._clock.now()}")


def _form(look: Look) -> Form:
    takes_paste = look.sight is not None and BRACKETED_PASTE in look.sight.modes
    return form_for(is_canonical=look.reply.canonical, takes_paste=takes_paste)


def _is_settled(reply: port.StatusReply, *, shown_ms: int) -> bool:
    """Whether what it does about the last keys is over, as far as can be told. Keepers of before don't say when that was."""
    if reply.since_typed_ms is None:
        return reply.quiet_ms >= SETTLED_MS
    is_quiet = reply.quiet_ms >= QUIET_MS or reply.since_typed_ms >= RESTLESS_MS
    wanted_ms = min(max(SETTLED_MS, SLOWLY * shown_ms), SETTLED_MS_MAX)
    return is_quiet and reply.since_typed_ms >= wanted_ms


def _stands_there(desk: Desk, look: Look, before: Look) -> bool:
    """Whether the text is in the program's input line. Keepers of before say too little to wait for that."""
    if look.sight is None or look.reply.printed_since_typed is None:
        return look.reply.printed_since_typed is None
    if stands_there(cleaned(desk.text), look.sight):
        return True
    if desk.begun_as is not None or before.sight is None or before.sight.lines == look.sight.lines:
        return False
    # It shows something for it, in a form of its own. Nothing else has come in between.
    return is_short(cleaned(desk.text)) or (look.reply.since_typed_ms or 0) > OWN_FORM_MS
