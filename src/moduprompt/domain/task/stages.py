"""The stages of a pipeline, as a task pins them when it is made."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from moduprompt.domain.gate.events import GateKind
from moduprompt.protocol import GateId, Id

STAGES_MAX = 32  # a pipeline that long is a program
GATES_MAX = 8  # in front of one stage

StageKind: TypeAlias = Literal[
    "plan",
    "implement",
    "test",
    "review",
    "merge",
    "security_gate",
    "manual_approval",
    "external_webhook_wait",
    "delay_or_cron",
]
StageName: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}$(?!\n)")]


class GateSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gate in front of a stage, as asked for."""

    kind: GateKind = "manual_approval"
    approvals_needed: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


class StageSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stage, as asked for."""

    name: StageName
    kind: StageKind
    gates: Annotated[tuple[GateSpec, ...], msgspec.Meta(max_length=GATES_MAX)] = ()


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of one task; its gates have ids of their own."""

    name: StageName
    kind: StageKind
    gate_ids: tuple[Id[GateId], ...] = ()


DEFAULT_PIPELINE: tuple[StageSpec, ...] = (
    StageSpec(name="plan", kind="plan"),
    StageSpec(name="implement", kind="implement"),
    StageSpec(name="test", kind="test"),
    StageSpec(name="review", kind="review"),
    StageSpec(name="merge", kind="merge", gates=(GateSpec(),)),
)
"""What a task goes through when nobody says otherwise: a person opens the way to the merge."""
