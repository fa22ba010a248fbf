"""Tells programs what was decided about their questions: each once, also over a daemon's death.

The bytes of an answer stand nowhere but in the program's own lines: its channel makes them, and after a restart
makes them again from the recording. Whether they were written before is known by the keeper's journal. So
an answer waits until its run has been heard from the beginning, and only then may it be too late.
"""

from collections.abc import Mapping
from typing import Final

from moduprompt.domain.approval.commands import AnswerEnd, ReportAnswered
from moduprompt.domain.approval.intents import AnswerPermission
from moduprompt.domain.decider import Intent
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.speaking import NotSent, Sent, Speaker
from moduprompt.effects.runner.talking import Talk, TalkWith
from moduprompt.protocol import REASON_MAX

TOO_LATE: Final = "its program wanted no answer any more"


class Answerer:
    """The `Hand` for answers to permission prompts."""

    handles = (AnswerPermission,)

    def __init__(self, reporter: Reporter, *, talk_with: TalkWith, speaker: Speaker) -> None:
        self._reporter = reporter
        self._talk_with = talk_with
        self._speaker = speaker

    async def carry_out(self, intent: Intent) -> bool:
        """Write it, report it. False: not now."""
        assert isinstance(intent, AnswerPermission), f"BUG: {type(intent).__name__} is no answer"
        input_id = f"answer/{intent.approval_id}"
        told = self._speaker.told(intent.run_id, input_id)
        if told is None:
            talk = self._talk_with(intent.run_id)
            answers = None if talk is None else _answers_in(talk, intent)
            line = answers.get(intent.option) if answers is not None else None
            if line is None:
                is_late = talk is not None and talk.has_caught_up
                if not is_late or self._speaker.began(intent.run_id, input_id):
                    return False
                return await self._say(intent, "not_taken", evidence=TOO_LATE)
            author = port.Author(kind="user", id=intent.approval_id)
            told = await self._speaker.say(intent.run_id, line, input_id=input_id, author=author)
        match told:
            case Sent():
                return await self._say(intent, "given", evidence=f"option {intent.option} was sent")
            case NotSent():
                return await self._say(intent, "not_taken", evidence=told.why)
            case None:
                return False

    async def _say(self, intent: AnswerPermission, how: AnswerEnd, *, evidence: str) -> bool:
        said = ReportAnswered(
            workspace_id=intent.workspace_id,
            approval_id=intent.approval_id,
            how=how,
            evidence=evidence[:REASON_MAX],
        )
        await report(self._reporter, said, key=f"approval/{intent.approval_id}/answered")
        return True


def _answers_in(talk: Talk, intent: AnswerPermission) -> Mapping[str, bytes] | None:
    return talk.answers_to(intent.request_id, tool=intent.tool, arguments_digest=intent.arguments_digest)
