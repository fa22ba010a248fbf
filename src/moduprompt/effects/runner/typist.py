"""Types prompts: each at most once, and it is always known how far one came.

`placed` is durable before the first key; the keeper takes each prompt's id only once,
also from another daemon after a crash, so sending it again is how one learns what
became of it. Where nobody can say, it is `uncertain` and never typed again by itself.
"""

from collections.abc import Callable
from typing import Final, Literal

from moduprompt.domain.decider import Intent
from moduprompt.domain.run.intents import TypePrompt
from moduprompt.domain.session.commands import ReportPrompt
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.kernel.ports import ArtifactStore
from moduprompt.protocol import REASON_MAX

LINE_BYTES_MAX: Final = 4_094  # a terminal in line mode holds 4,096 bytes; what is longer it cuts
ENTER: Final = b"\r"
TAB, NEWLINE, SPACE, DELETE = 0x09, 0x0A, 0x20, 0x7F


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
    ) -> None:
        self._backend = backend
        self._reporter = reporter
        self._artifacts = artifacts
        self._typed = typed

    async def carry_out(self, intent: Intent) -> bool:
        """Place, type, report."""
        assert isinstance(intent, TypePrompt), f"BUG: {type(intent).__name__} is no prompt"
        text = await self._artifacts.get(intent.text.ref)
        if text is None:
            await self._say(intent, "uncertain", evidence="its text has been erased")
            return True
        keys = to_keys(text)
        if max(map(len, keys.split(ENTER))) > LINE_BYTES_MAX:
            await self._say(intent, "uncertain", evidence=f"not typed: a line is over {LINE_BYTES_MAX} bytes")
            return True
        found = await self._backend.dial(intent.run_id)
        if isinstance(found, port.Unreachable):
            return False
        if isinstance(found, port.Gone):
            if intent.is_placed:
                await self._say(intent, "uncertain", evidence=found.evidence)
            return True
        async with found as link:
            await self._say(intent, "placed")
            return await self._type(intent, link, keys=keys)

    async def _type(self, intent: TypePrompt, link: port.RunLink, *, keys: bytes) -> bool:
        author = port.Author(kind="user", id=intent.prompt_id)
        try:
            typed = await link.send_input(keys, author=author, input_id=intent.prompt_id)
        except port.LinkClosedError:
            return False
        if isinstance(typed, port.RequestRefused):
            if typed.code == "not_running":
                await self._say(intent, "uncertain", evidence=typed.message)
                return True
            return False
        if typed.outcome == "applied":
            await self._say(intent, "submitted")
            self._typed(intent.run_id)
        else:
            await self._say(intent, "uncertain", evidence=f"the program ended after {typed.bytes} bytes")
        return True

    async def _say(
        self, intent: TypePrompt, outcome: Literal["placed", "submitted", "uncertain"], *, evidence: str = ""
    ) -> None:
        said = ReportPrompt(
            workspace_id=intent.workspace_id,
            session_id=intent.session_id,
            prompt_id=intent.prompt_id,
            outcome=outcome,
            evidence=evidence[:REASON_MAX],
        )
        await report(self._reporter, said, key=f"prompt/{intent.prompt_id}/{outcome}")


def to_keys(text: bytes) -> bytes:
    """What is typed for a text: its lines, each ended by Enter; control characters are left out.

    An escape or a Ctrl-C inside a text would be an order to the terminal, not text.
    """
    kept = bytes(b for b in text if (b >= SPACE and b != DELETE) or b in (TAB, NEWLINE))
    return kept.strip(b"\n").replace(b"\n", ENTER) + ENTER
