"""Types prompts: each at most once, and it is always known how far one came.

A person's half-written line is never typed into: while one may stand there, prompts wait.
`placed` is durable before the first key; the keeper takes each prompt's id only once,
also from another daemon after a crash, so sending it again is how one learns what
became of it. Where nobody can say, it is `uncertain` and never typed again by itself.
"""

import logging
import re
from collections.abc import Callable
from typing import Final

from moduprompt.domain.decider import Intent
from moduprompt.domain.run.intents import TypePrompt
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.reports import PromptOutcome, cut_short, prompt_report
from moduprompt.keeper.wire import INPUT_BYTES_MAX
from moduprompt.kernel.ports import ArtifactStore

LINE_BYTES_MAX: Final = 4_094  # a terminal in line mode holds 4,096 bytes; what is longer it cuts
ENTER: Final = b"\r"
# An escape or a Ctrl-C inside a text would be an order to the terminal, not text: neither ASCII's nor C1's.
CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

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
    ) -> None:
        self._backend = backend
        self._reporter = reporter
        self._artifacts = artifacts
        self._typed = typed
        self._composers = composers

    async def carry_out(self, intent: Intent) -> bool:
        """Place, type, report."""
        assert isinstance(intent, TypePrompt), f"BUG: {type(intent).__name__} is no prompt"
        text = await self._artifacts.get(intent.workspace_id, intent.text.ref)
        if text is None:
            await self._say(intent, "uncertain", evidence="not typed: its text has been erased")
            return True
        keys = to_keys(text)
        unfit = _unfit(keys)
        if unfit is not None:
            await self._say(intent, "uncertain", evidence=unfit)
            return True
        found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Unreachable):
            return False
        if isinstance(found, port.Gone):
            return await self._learn(intent, found)
        if not intent.is_placed and self._composers.has_draft(intent.run_id):
            await found.close()
            log.info("prompt.waits_for_draft", extra={"run_id": intent.run_id, "prompt_id": intent.prompt_id})
            return False
        async with found as link:
            await self._say(intent, "placed")
            return await self._type(intent, link, keys=keys)

    async def _learn(self, intent: TypePrompt, gone: port.Gone) -> bool:
        """From the journal of a dead keeper. What was never placed waits for the next run."""
        if not intent.is_placed:
            return True
        for entry in gone.entries:
            match entry.report:
                case port.InputApplied(input_id=intent.prompt_id):
                    await self._say(intent, "submitted")
                    return True
                case port.InputFailed(input_id=intent.prompt_id, bytes=typed_bytes):
                    await self._say(intent, "uncertain", evidence=cut_short(typed_bytes))
                    return True
                case _:
                    continue
        await self._say(intent, "uncertain", evidence=gone.evidence)
        return True

    async def _type(self, intent: TypePrompt, link: port.RunLink, *, keys: bytes) -> bool:
        author = port.Author(kind="user", id=intent.prompt_id)
        try:
            typed = await link.send_input(keys, author=author, input_id=intent.prompt_id)
        except port.LinkClosedError:
            return False
        if isinstance(typed, port.RequestRefused):
            if typed.code != "not_running":
                return False
            await self._say(intent, "uncertain", evidence=typed.message)
            return True
        if typed.outcome == "applied":
            await self._say(intent, "submitted")
            self._typed(intent.run_id)
        else:
            await self._say(intent, "uncertain", evidence=cut_short(typed.bytes))
        return True

    async def _say(self, intent: TypePrompt, outcome: PromptOutcome, *, evidence: str = "") -> None:
        said = prompt_report(intent, intent.prompt_id, outcome=outcome, evidence=evidence)
        await report(self._reporter, said.command, key=said.key)


def to_keys(text: bytes) -> bytes:
    """What is typed for a text: its lines, each ended by Enter; control characters are left out."""
    kept = CONTROL.sub("", text.decode("utf-8", "replace"))
    return kept.strip("\n").replace("\n", "\r").encode() + ENTER


def _unfit(keys: bytes) -> str | None:
    """Why these keys can't be typed whole; what is cut would be another text."""
    if len(keys) > INPUT_BYTES_MAX:
        return f"not typed: it has over {INPUT_BYTES_MAX} bytes; put long text into a file"
    if max(map(len, keys.split(ENTER))) > LINE_BYTES_MAX:
        return f"not typed: a line is over {LINE_BYTES_MAX} bytes"
    return None
