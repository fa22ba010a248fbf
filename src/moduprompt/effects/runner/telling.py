"""What a run is told first.

A run that carries its conversation on knows what it was told: it hears what is new, or to go on. One that begins
fresh is told all of it: what the session says of itself where there is such an account, then its task, then what
this run alone is told.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from moduprompt.domain.capsule.commands import CapsuleKind

GO_ON: Final = "Go on with your work where you stopped."
ACCOUNT: Final = "You go on with work that was begun before. This is what is known of it."


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A capsule with its text."""

    kind: CapsuleKind
    text: str


def told_going_on(*prompts: str | None) -> str:
    """To a program that remembers: what it has not heard yet."""
    return "\n\n".join(prompt for prompt in prompts if prompt) or GO_ON


def told_afresh(
    session_prompt: str | None, run_prompt: str | None, *, accounts: Sequence[Account] = ()
) -> str | None:
    """To a program that knows nothing; None where there is nothing to tell."""
    capsules = [f"## {each.kind}\n\n{each.text.strip()}" for each in accounts]
    preface = "\n\n".join((ACCOUNT, *capsules)) if capsules else None
    parts = [part for part in (preface, session_prompt, run_prompt) if part]
    return "\n\n---\n\n".join(parts) if parts else None
