"""What a keeper's entries mean to the kernel: which command each becomes, and under which key.

The key is given by what is reported, so whoever reports it, and however often, says it
once: an entry by its number, a prompt's outcome by the prompt.
"""

from typing import Final, Literal

import msgspec

from moduprompt.domain.decider import Command
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportExited, ReportStarted, TurnAbility
from moduprompt.domain.run.intents import KeepRun, TypePrompt
from moduprompt.domain.session.commands import ReportPrompt
from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.agents.port import Verdict
from moduprompt.effects.reporter import Reporter, report
from moduprompt.effects.runner import port
from moduprompt.effects.runner.keys import FORMS, Form
from moduprompt.effects.runner.limiting import to_order
from moduprompt.protocol import REASON_MAX, ArtifactRef, PromptId, is_id

PromptOutcome = Literal["placed", "submitted", "uncertain"]
# A key belongs to what is said under it: daemons of before said less of a submitted prompt, under `submitted`.
_KEYS: Final[dict[PromptOutcome, str]] = {
    "placed": "placed",
    "submitted": "typed",
    "uncertain": "uncertain",
}


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """A command of the kernel's own, and the key that makes it happen once."""

    command: Command
    key: str


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is made of a run when it is over: its recording, and the verdict of its adapter."""

    recording: ArtifactRef | None = None
    verdict: Verdict | None = None


def to_report(intent: KeepRun, entry: port.Entry, *, kept: Kept) -> Reported | None:
    """The report of one entry; None where the kernel need not know."""
    said = entry.report
    if isinstance(said, port.InputApplied | port.InputFailed) and not is_id(prompt_of(said.input_id)):
        return None  # no prompt's: who sent it learns of it
    if isinstance(said, port.InputApplied):
        if prompt_of(said.input_id) != said.input_id:
            return None  # a part of it: what sends it comes behind
        prompt_id = PromptId(said.input_id)
        return prompt_report(intent, prompt_id, outcome="submitted", output_bytes=said.output_bytes)
    if isinstance(said, port.InputFailed):
        if said.withdrawn:
            return None  # it goes on as if nothing had been tried
        return prompt_report(
            intent, prompt_of(said.input_id), outcome="uncertain", evidence=cut_short(said.bytes)
        )
    command = _run_report(intent, said, kept=kept)
    return (
        None
        if command is None
        else Reported(command=command, key=f"run/{intent.run_id}/journal/{entry.number}")
    )


def prompt_report(
    intent: KeepRun | TypePrompt,
    prompt_id: PromptId,
    *,
    outcome: PromptOutcome,
    evidence: str = "",
    output_bytes: int | None = None,
) -> Reported:
    """What became of a prompt. `output_bytes` is of one that was submitted."""
    said = ReportPrompt(
        workspace_id=intent.workspace_id,
        session_id=intent.session_id,
        prompt_id=prompt_id,
        outcome=outcome,
        evidence=evidence[:REASON_MAX],
        run_id=intent.run_id if outcome == "submitted" else None,
        output_bytes=output_bytes,
    )
    return Reported(command=said, key=f"prompt/{prompt_id}/{_KEYS[outcome]}")


async def tell_prompt(
    to: Reporter,
    intent: TypePrompt,
    *,
    outcome: PromptOutcome,
    evidence: str = "",
    output_bytes: int | None = None,
) -> bool:
    """Report it; whether anything was recorded: of a prompt that was taken back nothing is."""
    said = prompt_report(
        intent, intent.prompt_id, outcome=outcome, evidence=evidence, output_bytes=output_bytes
    )
    return bool((await report(to, said.command, key=said.key)).events)


def part_id(prompt_id: str, form: Form, number: int) -> str:
    """The input's id of a part of a prompt; what sends it has the prompt's own."""
    return f"{prompt_id}/{form}/{number}"


def form_of(input_id: str) -> Form | None:
    """How the text was cut that this input is a part of."""
    word = input_id.partition("/")[2].partition("/")[0]
    for form in FORMS:
        if form == word:
            return form
    return None


def prompt_of(input_id: str) -> PromptId:
    """Whose input this is."""
    return PromptId(input_id.partition("/")[0])


def cut_short(typed_bytes: int) -> str:
    """Why it is unclear what became of an input whose program ended first: the same words, whoever reports it."""
    return f"the program ended after {typed_bytes} bytes of it"


def _abilities(intent: KeepRun) -> tuple[TurnAbility, ...] | None:
    adapter = adapter_named(intent.adapter)
    return None if adapter is None else adapter.reach(intent.argv).abilities()


def _run_report(intent: KeepRun, said: port.Report, *, kept: Kept) -> Command | None:
    match said:
        case port.Started() if intent.is_started:
            return None  # the log has it: a daemon before may have said less of it, under the same key
        case port.Started():
            return ReportStarted(
                workspace_id=intent.workspace_id,
                run_id=intent.run_id,
                pid=said.pid,
                start_time=said.start_time,
                caught_by=said.caught_by,
                limits_held=said.limits_held,
                limits=None if said.limits is None else to_order(said.limits),
                can=_abilities(intent),
            )
        case port.StartFailed():
            return ReportExited(
                workspace_id=intent.workspace_id,
                run_id=intent.run_id,
                how="not_started",
                failure=FailureClass(said.failure),
                reason=said.message[:REASON_MAX],
            )
        case port.Exited():
            return ReportExited(
                workspace_id=intent.workspace_id,
                run_id=intent.run_id,
                how=said.how,
                code=said.code,
                signal=said.signal,
                reason=said.reason[:REASON_MAX] if said.reason else None,
                output_bytes=said.output_bytes,
                leftovers=len(said.survivors),
                recording=kept.recording,
                # What was stopped or ended from outside is told by `how`, as for every other program.
                failure=kept.verdict.failure if kept.verdict and said.how == "exited" else None,
                outcome=kept.verdict.outcome if kept.verdict else None,
                rule=kept.verdict.rule if kept.verdict else None,
                evidence=kept.verdict.evidence[:REASON_MAX] if kept.verdict else None,
            )
        case _:
            return None
