"""What a command did, as sentences: one for each of its events, in the words of the live view."""

from collections.abc import Sequence
from contextlib import aclosing

from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed
from moduprompt.cli.live.lines import Change
from moduprompt.cli.live.story import Story
from moduprompt.cli.live.text import plain
from moduprompt.cli.lookup import name_of
from moduprompt.cli.progress import waiting_for
from moduprompt.client import Wanted, envelopes
from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item
from moduprompt.domain.registry import known_event
from moduprompt.domain.worktree.events import WorktreeFailed
from moduprompt.protocol import Accepted, Code, Subject, decode_event
from moduprompt.views.board_rows import short

NOTHING = "nothing to do: it is so already"


def to_sentences(accepted: Accepted, about: Item | None = None) -> list[str]:
    """`planner [1a2b3c4d]: is renamed …`; one line where the wish was fulfilled before.

    The events of one command don't hold the names of what they are about; `about` does.
    """
    story = Story()
    changes = [story.tell(envelope) for envelope in envelopes(accepted)]
    return [f"{_subject(each, about)}: {each.sentence}" for each in changes if each is not None] or [NOTHING]


async def await_outcome(
    call: Call,
    accepted: Accepted,
    *,
    subject: Subject,
    ends: Sequence[type[Event]],
    about: Item | None = None,
) -> str | None:
    """The sentence of the event that ends what a command began; None where it began nothing.

    Raises CallFailed with the reason where the daemon's hands could not do it.
    """
    begun = envelopes(accepted)
    if not begun:
        return None
    wanted = Wanted(workspace_id=begun[0].workspace_id, subject=subject)
    client = await call.client()
    story = Story()
    after = begun[0].seq_global - 1
    async with waiting_for(f"the {subject.kind}"), aclosing(client.frames(wanted, from_=after)) as frames:
        async for frame in frames:
            envelope = decode_event(frame.data)
            change, event = story.tell(envelope), known_event(envelope)
            if isinstance(event, WorktreeFailed):
                raise failed(
                    Code.VALIDATION_FAILED,
                    f"{subject.kind} {subject.id}: {event.operation} failed: {event.reason}",
                    hint=f"mpctl {subject.kind} show {subject.id}",
                    details={"reason": event.failure.value},
                )
            if isinstance(event, tuple(ends)):
                return None if change is None else f"{_subject(change, about)}: {change.sentence}"
    return None


def _subject(change: Change, about: Item | None) -> str:
    mark = "" if about is None else f"[{short(about.id)}]"
    name = None if about is None else name_of(about)
    return f"{plain(name)} {mark}" if name and change.subject.endswith(mark) else change.subject
