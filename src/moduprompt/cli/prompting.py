"""`mpctl session prompt` and its company: what waits for a session, how far it came, what holds it.

A prompt that waits says for whom: a program that works, a question, a person's half-typed line.
"""

import argparse
from collections.abc import Sequence
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed, misused
from moduprompt.cli.lookup import PART_MIN, find_item, find_own
from moduprompt.cli.tables import Column, to_table
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.typed import text_or_input
from moduprompt.cli.verbs import Verb
from moduprompt.cli.waiting_out import parked_told
from moduprompt.domain.run.state import LIVE
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import CancelPrompt, PromptSession, ResendPrompt
from moduprompt.domain.session.view import PromptItem, SessionItem
from moduprompt.protocol import Code, PromptId, SessionId
from moduprompt.views.board_rows import short

MINE: Final = "MP_SESSION"
COLUMNS: Final[tuple[Column[PromptItem], ...]] = (
    ("ID", lambda prompt: prompt.prompt_id),
    ("STATE", lambda prompt: prompt.state),
    ("INTO", lambda prompt: _turn_of(prompt)),
    ("BECAUSE", lambda prompt: prompt.evidence),
    ("AGAIN", lambda prompt: short(prompt.resend_of) if prompt.resend_of else None),
)
UNHEARD: Final = ("accepted", "placed", "submitted")
WHY: Final = {
    "working": "it works; it is typed when the program asks for input",
    "blocked_on_permission": "it asks for permission: a person answers first",
    "rate_limited": "it is held by a rate limit",
}


def _turn_of(prompt: PromptItem) -> str | None:
    """The turn that it steers, or has steered."""
    if prompt.steered_into is not None:
        return f"turn {prompt.steered_into}"
    return "the turn that runs" if prompt.steer and prompt.state in UNHEARD else None


async def _prompt(call: Call) -> None:
    item = await _named(call)
    text = text_or_input(call.words.text("text"))
    if not text:
        raise misused("there is nothing to say", hint="mpctl session prompt SESSION TEXT, or - to read it")
    command = PromptSession(
        workspace_id=item.workspace_id,
        session_id=SessionId(item.id),
        prompt=text,
        steer=call.words.is_set("steer"),
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item), *await _unheard(call, item))


async def _list(call: Call) -> None:
    item = await find_own(call, SessionItem, call.words.maybe("session"), variable=MINE)
    if call.is_json:
        await call.show_item(item, "")
        return
    shown = to_table(item.prompts, COLUMNS) if item.prompts else f"{item.name} was never told anything"
    reason = waits_for(item, await runs_of(call, item))
    await call.show_item(item, f"{shown}\n\nwaits for: {reason}" if reason else shown)


async def _cancel(call: Call) -> None:
    item = await _named(call)
    command = CancelPrompt(
        workspace_id=item.workspace_id,
        session_id=SessionId(item.id),
        prompt_id=_meant(item, call.words.text("prompt")),
        reason=call.words.maybe("reason"),
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


async def _resend(call: Call) -> None:
    item = await _named(call)
    command = ResendPrompt(
        workspace_id=item.workspace_id,
        session_id=SessionId(item.id),
        prompt_id=_meant(item, call.words.text("prompt")),
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item), *await _unheard(call, item))


def waits_for(item: SessionItem, runs: Sequence[RunItem]) -> str | None:
    """Why the first prompt that waits is not typed yet, and who can change that; None where none waits."""
    first = next((p for p in item.prompts if p.state == "accepted"), None)
    if first is None:
        return None
    if (not runs or runs[-1].status not in LIVE) and item.parked is not None:
        return f"the end of its parking, {parked_told(item)}"
    if not runs or runs[-1].status not in LIVE:
        return f"a run: mpctl run start {short(item.id)}"
    run = runs[-1]
    if run.observed == "unknown":
        seen = f"{run.evidence}; " if run.evidence else ""
        return f"the program: nobody knows yet what it does; {seen}look and type for yourself with mpctl run attach {short(run.id)}"
    if run.observed in WHY:
        return f"the program: {WHY[run.observed]}"
    if first.held_by == "draft":
        whose = f"user {first.holder}" if first.holder else "a person"
        return f"{whose}'s draft: send it or clear it with mpctl run attach {short(run.id)}"
    if first.held_by is not None:
        return f"a person: {first.evidence}; mpctl run attach {short(run.id)}"
    return "its turn"


def waits_to_start(run: RunItem) -> str | None:
    """A run's place in the queue of starts, and what it stands there for; None where it does not wait."""
    if run.waits is None:
        return None
    return f"waits to start, as no {run.waits.place} since {run.waits.since}: {run.waits.why}"


def silent_keeper(run: RunItem) -> str | None:
    """Since when a run's keeper has not answered, and what is known of that; None where it does."""
    if run.unanswered is None:
        return None
    return f"does not answer since {run.unanswered.since}: {run.unanswered.why}"


def status_told(run: RunItem) -> str:
    """How a run stands, in a word or three."""
    if run.waits is not None:
        return f"waits, no {run.waits.place}"
    return f"{run.status}, no answer" if run.unanswered is not None else run.status


async def runs_of(call: Call, item: SessionItem) -> Sequence[RunItem]:
    """The runs of a session, oldest first."""
    runs = await call.list(RunItem, of=item.workspace_id)
    return sorted((run for run in runs if run.session_id == item.id), key=lambda run: run.ordinal)


async def _named(call: Call) -> SessionItem:
    return await find_item(call, SessionItem, call.words.text("session"))


def _meant(item: SessionItem, text: str) -> PromptId:
    """The prompt whose id this is, or ends like this."""
    known = [p.prompt_id for p in item.prompts]
    found = [each for each in known if each == text or (len(text) >= PART_MIN and each.endswith(text))]
    if len(found) == 1:
        return PromptId(found[0])
    raise failed(
        Code.NOT_FOUND,
        f"{text!r} names no single prompt of session {item.id}",
        hint=f"mpctl session prompts {short(item.id)}",
    )


async def _unheard(call: Call, item: SessionItem) -> list[str]:
    """What to type when nobody is there to hear a prompt: it waits for the next run, and nothing else says so."""
    if call.is_json:
        return []
    runs = await runs_of(call, item)
    if not runs or runs[-1].status in LIVE:
        return []
    if item.parked is not None:
        return [f"{item.name} is parked {parked_told(item)}; the run after that gets it"]
    return [f"no run of {item.name} is live; the next one gets it: mpctl run start {short(item.id)}"]


def _said(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="id or name")
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    parser.add_argument("--steer", action="store_true", help="into the turn that runs, where the agent can")


def _maybe_one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", nargs="?", help="id or name; inside a run: its own")


def _one_prompt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="id or name")
    parser.add_argument("prompt", metavar="PROMPT", help="its id, or the end of it")


def _cancelled(parser: argparse.ArgumentParser) -> None:
    _one_prompt(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")


PROMPT: Final = Verb(
    "prompt", _prompt, summary="say something to it, or answer its question", arguments=_said
)
ABOUT_PROMPTS: Final = (
    Verb(
        "prompts",
        _list,
        summary="list what it was told, how far each came, and what holds it",
        arguments=_maybe_one,
        shows_past=True,
    ),
    Verb(
        "cancel-prompt",
        _cancel,
        summary="take a prompt back that is not at the keyboard yet",
        arguments=_cancelled,
    ),
    Verb(
        "resend-prompt",
        _resend,
        summary="say again what nobody knows was typed; look first",
        arguments=_one_prompt,
    ),
)
