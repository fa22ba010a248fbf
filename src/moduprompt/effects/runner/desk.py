"""One prompt before one terminal: what its typist needs at every step, and what may hold it up."""

import msgspec
from msgspec.structs import replace

from moduprompt.domain.run.intents import TypePrompt
from moduprompt.domain.session.commands import HeldBy
from moduprompt.effects.runner import port
from moduprompt.effects.runner.keys import Form
from moduprompt.effects.runner.reports import form_of
from moduprompt.effects.runner.status.facts import Look
from moduprompt.effects.runner.status.onlooker import Onlooker
from moduprompt.effects.runner.status.own_text import without


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Why it waits now, and for whom."""

    by: HeldBy
    evidence: str
    user_id: str | None = None


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt before one terminal. `begun`: ids of what may have been typed of it already."""

    intent: TypePrompt
    link: port.RunLink
    onlooker: Onlooker
    text: bytes
    begun: frozenset[str] = frozenset()

    @property
    def begun_as(self) -> Form | None:
        """How the text was cut that was begun."""
        return next((form for form in map(form_of, self.begun) if form is not None), None)


def without_own(text: str, look: Look) -> Look:
    """What we have typed may read like a question."""
    return look if look.sight is None else replace(look, sight=without(text, look.sight))
