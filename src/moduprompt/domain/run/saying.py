"""What a program said becomes facts: one to one, in order, each once.

Each thing said has its place in the program's output, and places rise. What lies at or before the place that was
taken last is a wish already fulfilled, however it comes again: alone, or beside what is new. So is all that comes
for a run whose end is known; the recording has it. What says nothing new (a name that was told before) is no fact.

A turn that begins after a prompt went in, or the prompt's own name, shows that the prompt has arrived. Programs are
often through with it before it is known here that all of it went in, and these two come in any order: what the
program told of a turn behind the last key counts for that prompt whichever is decided first.

What it does after a report is an observation where it does something else than before, or a turn lies in between:
who waited, worked and waits again has been seen to wait anew.
"""

from collections.abc import Iterator
from typing import Final, assert_never

from msgspec.structs import replace

from moduprompt.domain.decider import Decision, Event, World
from moduprompt.domain.run.commands import ReportSaid, Sighting
from moduprompt.domain.run.events import (
    OfferedOption,
    RunConversationNamed,
    RunLineSkipped,
    RunPermissionAsked,
    RunPermissionWithdrawn,
    RunPromptAwaited,
    RunStatusObserved,
    RunToolCalled,
    RunToolEnded,
    RunTroubleObserved,
    RunTurnBegan,
    RunTurnEnded,
    RunUsageReported,
)
from moduprompt.domain.run.said import (
    ConversationNamed,
    Detail,
    LineSkipped,
    PermissionAsked,
    PermissionWithdrawn,
    PromptAwaited,
    PromptTaken,
    Said,
    ToolCalled,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.domain.run.state import RunState
from moduprompt.domain.session.events import PromptSubmitted, TurnObserved
from moduprompt.domain.session.state import SessionState
from moduprompt.protocol import PromptId, TextRef

SAID_TURN: Final = "said_turn"  # a turn began after the prompt had gone in
SAID_PROMPT: Final = "said_prompt"  # the program called the prompt by its name
SAID_PERMISSION: Final = "said_permission"  # a question of its is open
ANSWERED: Final = "question_answered"  # it stood still for a question, and has its answer
CALLED_BY_NAME: Final = "the program called it by its name"
RULE_VERSION: Final = 1


def decide_said(command: ReportSaid, own: RunState, world: World) -> Decision:
    """The facts; none where they are known, or come too late."""
    if not own.is_live() or command.upto <= own.said_upto:
        return []
    return _Scribe(command, own, world.find(SessionState, own.session_id)).facts()


def began_behind(turn: int) -> str:
    """The evidence that a prompt has arrived by a turn."""
    return f"turn {turn} began after the prompt had gone in"


class _Scribe:
    """One report, written down from front to back: what was said first counts for what follows."""

    def __init__(self, command: ReportSaid, own: RunState, session: SessionState | None) -> None:
        places = command.places or (command.upto,) * len(command.said)
        self._said = [each for each in zip(places, command.said, strict=False) if each[0] > own.said_upto]
        self._seen = command.seen
        self._tree = command.tree
        self._upto = own.said_upto
        self._own = own
        self._session = session
        self._turn = own.turns
        self._status = own.observed
        self._has_turned = False  # what is seen afterwards is news, even where it is what was seen before
        self._is_in_turn = own.is_in_turn
        self._conversation = own.conversation_id
        self._arrived: set[PromptId] = set()

    def facts(self) -> list[Event]:
        found: list[Event] = []
        for place, said in self._said:
            self._upto = place
            found += self._facts_of(said)
        if self._tree is not None:
            found = _with_tree(found, self._tree)
        if self._seen is not None:
            found += self._observed(self._seen)
        return found

    def _facts_of(self, said: Said) -> Iterator[Event]:
        run_id, upto = self._own.run_id, self._upto
        match said:
            case ConversationNamed():
                if said.conversation_id != self._conversation:
                    self._conversation = said.conversation_id
                    yield RunConversationNamed(run_id=run_id, upto=upto, conversation_id=said.conversation_id)
            case PromptAwaited():
                yield RunPromptAwaited(run_id=run_id, upto=upto)
            case TurnBegan():
                self._turn += 1
                self._has_turned = True
                self._is_in_turn = True
                yield RunTurnBegan(run_id=run_id, upto=upto, turn=self._turn)
                yield from self._turn_shows()
            case PromptTaken():
                yield from self._taken(said)
            case TurnEnded():
                self._has_turned = True
                self._is_in_turn = False
                yield RunTurnEnded(
                    run_id=run_id, upto=upto, turn=self._turn, how=said.how, failure=said.failure
                )
            case ToolCalled() | ToolEnded() | PermissionAsked() | PermissionWithdrawn():
                yield self._of_tool(said)
            case UsageReported() | TroubleSeen() | LineSkipped():
                yield self._of_running(said)
            case _:
                assert_never(said)

    def _of_tool(self, said: ToolCalled | ToolEnded | PermissionAsked | PermissionWithdrawn) -> Event:
        run_id, upto = self._own.run_id, self._upto
        match said:
            case ToolCalled():
                return RunToolCalled(
                    run_id=run_id,
                    upto=upto,
                    call_id=said.call_id,
                    tool=said.tool,
                    arguments_digest=said.arguments_digest,
                    paths=said.paths,
                )
            case ToolEnded():
                return RunToolEnded(run_id=run_id, upto=upto, call_id=said.call_id, how=said.how)
            case PermissionAsked():
                return RunPermissionAsked(
                    run_id=run_id,
                    upto=upto,
                    request_id=said.request_id,
                    tool=said.tool,
                    arguments_digest=said.arguments_digest,
                    options=tuple(
                        OfferedOption(id=each.id, kind=each.kind, label=each.label) for each in said.options
                    ),
                    detail=None if said.detail is None else _stored(said.detail),
                )
            case PermissionWithdrawn():
                return RunPermissionWithdrawn(run_id=run_id, upto=upto, request_id=said.request_id)
            case _:
                assert_never(said)

    def _of_running(self, said: UsageReported | TroubleSeen | LineSkipped) -> Event:
        run_id, upto = self._own.run_id, self._upto
        match said:
            case UsageReported():
                return RunUsageReported(
                    run_id=run_id,
                    upto=upto,
                    turn=self._turn,
                    input_tokens=said.input_tokens,
                    cached_tokens=said.cached_tokens,
                    output_tokens=said.output_tokens,
                    cost_micros=said.cost_micros,
                )
            case TroubleSeen():
                return RunTroubleObserved(
                    run_id=run_id,
                    upto=upto,
                    failure=said.failure,
                    retry_after_s=said.retry_after_s,
                    is_final=said.is_final,
                )
            case LineSkipped():
                return RunLineSkipped(run_id=run_id, upto=upto, bytes=said.bytes)
            case _:
                assert_never(said)

    def _turn_shows(self) -> Iterator[Event]:
        """A turn that began behind the last key that was typed is about what was typed."""
        last = self._session.submitted if self._session else None
        if last is None or last.run_id != self._own.run_id or self._upto <= (last.output_bytes or 0):
            return
        yield from self._arrives(last.prompt_id, rule=SAID_TURN, evidence=began_behind(self._turn))

    def _taken(self, said: PromptTaken) -> Iterator[Event]:
        session = self._session
        if session is None:
            return
        placed = next((p for p in session.prompts if p.prompt_id == said.prompt_id and p.is_placed), None)
        if placed is not None:
            # The program was faster than who reports that all of it has gone in.
            if said.prompt_id not in self._arrived:
                # First: what follows from a prompt that is in depends on what its program does.
                yield from self._works_on(said.prompt_id)
                yield PromptSubmitted(
                    session_id=session.session_id, prompt_id=said.prompt_id, run_id=self._own.run_id
                )
            yield from self._arrives(
                said.prompt_id, rule=SAID_PROMPT, evidence=CALLED_BY_NAME, turn=placed.turn
            )
        elif session.submitted is not None and session.submitted.prompt_id == said.prompt_id:
            turn = session.submitted.turn
            yield from self._arrives(said.prompt_id, rule=SAID_PROMPT, evidence=CALLED_BY_NAME, turn=turn)

    def _works_on(self, prompt_id: PromptId) -> Iterator[Event]:
        if self._status in ("working", "blocked_on_permission"):
            return
        self._status = "working"
        yield RunStatusObserved(
            run_id=self._own.run_id,
            status="working",
            rule=SAID_PROMPT,
            rule_version=RULE_VERSION,
            evidence=f"prompt {prompt_id}: {CALLED_BY_NAME}",
        )

    def _observed(self, seen: Sighting) -> Iterator[Event]:
        if self._status == seen.status and (seen.status == "working" or not self._has_turned):
            return
        yield RunStatusObserved(
            run_id=self._own.run_id,
            status=seen.status,
            rule=seen.rule,
            rule_version=seen.rule_version,
            evidence=seen.evidence,
        )

    def _arrives(
        self, prompt_id: PromptId, *, rule: str, evidence: str, turn: int | None = None
    ) -> Iterator[Event]:
        """`turn`: that it was to steer; it may have ended meanwhile."""
        if prompt_id in self._arrived:
            return
        self._arrived.add(prompt_id)
        yield TurnObserved(
            session_id=self._own.session_id,
            prompt_id=prompt_id,
            rule=rule,
            rule_version=RULE_VERSION,
            evidence=evidence,
            steered_into=turn if self._is_in_turn and turn == self._turn else None,
        )


def _stored(detail: Detail) -> TextRef:
    return TextRef(ref=detail.ref, chars=detail.chars)


def _with_tree(facts: list[Event], tree: str) -> list[Event]:
    """It was looked at after all of them, so the last call of a tool is the one that led there."""
    for number in reversed(range(len(facts))):
        fact = facts[number]
        if isinstance(fact, RunToolEnded):
            return [*facts[:number], replace(fact, tree=tree), *facts[number + 1 :]]
    return facts
