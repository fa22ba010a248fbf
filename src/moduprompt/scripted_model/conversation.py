"""What every dialect's request comes down to, and the answer that its script has for it.

The step is read from the request's own history: how many results of tools came after the last text of the user that
has a script. So nothing has to be remembered: any number of agents share a server, a repeated request gets the same
step again, and a session that was resumed goes on where it stood.
"""

from typing import NamedTuple

from moduprompt.scripted_model import loose
from moduprompt.scripted_model.script import (
    NO_TROUBLE,
    Fault,
    Script,
    Step,
    Trouble,
    Usage,
    find_script,
    has_script,
)
from moduprompt.scripted_model.tools import Chosen, NoTool, Offer, choose, example

SIDE = "Scripted"  # short enough for a title, harmless as a summary
NO_SCRIPT = "scripted model: no SCRIPT[ … ]ENDSCRIPT stands in the prompt"
ALL_DONE = "All done."
BYTES_PER_TOKEN = 4  # roughly, for English and code


class Said(NamedTuple):
    """A text of the user."""

    text: str


class Result(NamedTuple):
    """What a tool gave back."""


class Conversation(NamedTuple):
    """A request, whatever its dialect. `answer_schema`: what the answer must look like, where that was asked for."""

    model: str
    history: tuple[Said | Result, ...]
    offers: tuple[Offer, ...]
    is_streamed: bool
    answer_schema: object = None
    size: int = 0


class Call(NamedTuple):
    """`is_malformed`: what is sent can't be read by anybody."""

    call_id: str
    name: str
    arguments: dict[str, object] | str
    is_malformed: bool

    @property
    def raw(self) -> str:
        """The arguments as they are sent, cut in the middle when they are malformed."""
        text = self.arguments if isinstance(self.arguments, str) else loose.to_text(self.arguments)
        return text[: max(1, len(text) // 2)] if self.is_malformed else text


class Reply(NamedTuple):
    """What the model says. `reply_id` is the same whenever the same step is asked for."""

    reply_id: str
    model: str
    text: str
    call: Call | None
    usage: Usage


class Turn(NamedTuple):
    """A reply, what goes wrong with it, and the name under which that is counted."""

    reply: Reply
    trouble: Trouble
    place: str


def next_turn(conversation: Conversation) -> Turn:
    """What comes next. A script that can't be followed is said in the model's own text: there it is read."""
    if conversation.answer_schema is not None:
        return _plain(conversation, loose.to_text(example(conversation.answer_schema)))
    try:
        script, number = _place_in(conversation)
        step = script.steps[number] if script is not None and number < len(script.steps) else None
        if not conversation.offers and not (step is not None and step.is_without_tools):
            return _plain(conversation, SIDE)
        if script is None:
            return _plain(conversation, NO_SCRIPT)
        if step is None:
            return _plain(conversation, ALL_DONE)
        return _scripted(conversation, step, place=f"{script.digest[:24]}_{number + 1}")
    except (Fault, NoTool) as broken:
        return _plain(conversation, f"scripted model: {broken}" if conversation.offers else SIDE)


def _place_in(conversation: Conversation) -> tuple[Script | None, int]:
    """The last script, and how many results came after it."""
    results = 0
    for entry in reversed(conversation.history):
        if isinstance(entry, Result):
            results += 1
        elif has_script(entry.text):
            return find_script(entry.text), results
    return None, 0


def _scripted(conversation: Conversation, step: Step, *, place: str) -> Turn:
    # A conversation that is told the same again (a fork, a repeated prompt) must not meet the same calls: claude takes
    # the result of the second for the first's, and the step would be asked for for ever.
    prompts = sum(isinstance(entry, Said) and has_script(entry.text) for entry in conversation.history)
    mark = place if prompts == 1 else f"{place}_{prompts}"
    call = None
    if step.order is not None:
        chosen = choose(step.order, conversation.offers)
        call = _call(chosen, is_malformed=step.trouble.is_malformed, mark=mark)
    usage = step.usage or _guessed(conversation, step.text + (call.raw if call else ""))
    return Turn(Reply(mark, conversation.model, step.text, call, usage), step.trouble, place)


def _call(chosen: Chosen, *, is_malformed: bool, mark: str) -> Call:
    return Call(f"call_{mark}", chosen.name, chosen.arguments, is_malformed)


def untroubled(turn: Turn) -> Turn:
    """The same turn after its trouble was played often enough."""
    call = turn.reply.call
    whole = call._replace(is_malformed=False) if call else None
    return turn._replace(reply=turn.reply._replace(call=whole), trouble=NO_TROUBLE)


def _plain(conversation: Conversation, text: str) -> Turn:
    reply = Reply("plain", conversation.model, text, None, _guessed(conversation, text))
    return Turn(reply, NO_TROUBLE, "")


def _guessed(conversation: Conversation, text: str) -> Usage:
    return Usage(conversation.size // BYTES_PER_TOKEN, 0, max(1, len(text) // BYTES_PER_TOKEN))
