"""Says prompts to programs that are talked to over pipes: in order, between turns, each once.

    placed (durable) ── the line, under the prompt's id ──→ submitted ── its turn begins ──→ observed

There is no draft to spoil and no dialog to fall into: whether the program takes a prompt its channel knows from
what the program has said. `placed` is durable before the first byte; what became of a line is the keeper's to say.
"""

from moduprompt.domain.run.intents import TypePrompt
from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.agents.port import AgentRequest
from moduprompt.effects.reporter import Reporter
from moduprompt.effects.runner import port
from moduprompt.effects.runner.reports import tell_prompt
from moduprompt.effects.runner.speaking import NotSent, Sent, Speaker
from moduprompt.effects.runner.talking import Talk, TalkWith


class Teller:
    """Tells programs what people and sessions say to them."""

    def __init__(self, reporter: Reporter, *, talk_with: TalkWith, speaker: Speaker) -> None:
        self._reporter = reporter
        self._talk_with = talk_with
        self._speaker = speaker

    async def tell(self, intent: TypePrompt, *, text: str) -> bool:
        """Place, send, report. False: not now."""
        talk = self._talk_with(intent.run_id)
        told = self._speaker.told(intent.run_id, intent.prompt_id) if intent.is_placed else None
        if told is None:
            line = None if talk is None else self._line(intent, talk, text=text)
            if line is None:
                return False
            if not intent.is_placed and not await tell_prompt(self._reporter, intent, outcome="placed"):
                return True  # taken back, just before its first byte
            author = port.Author(kind="user", id=intent.prompt_id)
            told = await self._speaker.say(intent.run_id, line, input_id=intent.prompt_id, author=author)
        match told:
            case Sent():
                await tell_prompt(self._reporter, intent, outcome="submitted", output_bytes=told.output_bytes)
                return True
            case NotSent():
                await tell_prompt(self._reporter, intent, outcome="uncertain", evidence=told.why)
                return True
            case None:
                return False

    def _line(self, intent: TypePrompt, talk: Talk, *, text: str) -> bytes | None:
        """The prompt as the program takes it; None while it takes none, or has not been heard out."""
        begun = intent.is_placed and self._speaker.began(intent.run_id, intent.prompt_id)
        if not talk.has_caught_up:
            return None
        return talk.channel.say(text, prompt_id=intent.prompt_id, is_steering=intent.is_steering) or (
            # What has begun has to be ended, whatever the program does by now.
            talk.channel.say(text, prompt_id=intent.prompt_id, is_steering=True) if begun else None
        )


def is_talked_to(intent: TypePrompt) -> bool:
    """Whether the run's program takes its prompts as lines of its own kind, and no keys."""
    adapter = adapter_named(intent.adapter)
    return adapter is not None and adapter.channel(AgentRequest(words=intent.argv)) is not None
