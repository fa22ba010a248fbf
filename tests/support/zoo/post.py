"""What the kernel would know of the prompts to one run: each is placed, and then submitted or uncertain, once.

The first outcome stands, under whatever key, as in the domain: a report that comes later changes nothing.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from moduprompt.domain.decider import Command
from moduprompt.domain.run.intents import KeepRun, TypePrompt
from moduprompt.domain.session.commands import ReportPrompt, ReportPromptHeld
from moduprompt.protocol import (
    Accepted,
    Answer,
    ArtifactRef,
    CommandId,
    ProjectId,
    PromptId,
    RunId,
    SessionId,
    TextRef,
    WorkspaceId,
)
from tests.support.fake_runner import WORKSPACE, Texts

SOME_EVENT = msgspec.Raw(b"{}")


class Prompt(msgspec.Struct, kw_only=True):
    """One prompt, and how far it came. `held`: for what it has waited, in order."""

    prompt_id: PromptId
    ref: ArtifactRef
    text: bytes
    is_placed: bool = False
    outcome: str = ""  # submitted or uncertain, when that is known
    evidence: str = ""
    held: list[str] = msgspec.field(default_factory=list[str])


class Post(Texts):
    """A reporter and a store of texts in one, for the prompts of one run."""

    def __init__(self, run_id: str, *, argv: tuple[str, ...]) -> None:
        super().__init__()
        self._run_id = RunId(run_id)
        self.argv = argv
        self._bytes: dict[str, bytes] = {}
        self.prompts: dict[PromptId, Prompt] = {}

    def accept(self, text: bytes) -> Prompt:
        """A prompt that waits."""
        number = len(self.prompts) + 1
        own = PromptId(f"{self._run_id[:23]}-{number:012x}")
        ref = ArtifactRef(f"blake3:{blake2b(text + own.encode(), digest_size=32).hexdigest()}")
        self._bytes[ref] = text
        self.prompts[own] = Prompt(prompt_id=own, ref=ref, text=text)
        return self.prompts[own]

    def intent(self, prompt: Prompt) -> TypePrompt:
        """What the domain wants of the typist now."""
        return TypePrompt(
            name=f"type {prompt.prompt_id}",
            workspace_id=WORKSPACE,
            run_id=self._run_id,
            session_id=SessionId(self._run_id),
            adapter="command",
            argv=self.argv,
            prompt_id=prompt.prompt_id,
            text=TextRef(ref=prompt.ref, chars=len(prompt.text)),
            is_placed=prompt.is_placed,
        )

    @property
    def keep(self) -> KeepRun:
        """What the domain wants of the hand that listens."""
        return KeepRun(
            name="keep",
            workspace_id=WORKSPACE,
            run_id=self._run_id,
            session_id=SessionId(self._run_id),
            project_id=ProjectId(self._run_id),
            adapter="command",
            argv=self.argv,
            cwd=None,
            prompt=None,
            rows=40,
            cols=120,
            is_started=True,
        )

    async def get(self, workspace_id: WorkspaceId, ref: ArtifactRef) -> bytes | None:
        del workspace_id
        return self._bytes.get(ref)

    async def execute(self, command: Command, *, key: str) -> Answer:
        is_news = False
        if isinstance(command, ReportPromptHeld):
            held = self.prompts[command.prompt_id].held
            if command.by not in held[-1:]:
                held.append(command.by)
        elif isinstance(command, ReportPrompt):
            is_news = self._move(self.prompts[command.prompt_id], command)
        events = (SOME_EVENT,) if is_news else ()
        return Accepted(command_id=CommandId(self._run_id), trace_id=key, seq_global=1, events=events)

    def _move(self, prompt: Prompt, said: ReportPrompt) -> bool:
        if prompt.outcome:
            return False
        if said.outcome == "placed":
            prompt.is_placed = True
            return True
        prompt.outcome, prompt.evidence = said.outcome, said.evidence
        return True
