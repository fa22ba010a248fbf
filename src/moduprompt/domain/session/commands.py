"""Orders about sessions."""

from typing import Annotated, ClassVar, Literal, TypeAlias

import msgspec

from moduprompt.domain.decider import Command
from moduprompt.domain.session.limits import RunLimitsSpec
from moduprompt.policy.rights import Right
from moduprompt.protocol import (
    Count,
    Id,
    InterruptId,
    Name,
    ProjectId,
    PromptId,
    Reason,
    RunId,
    SessionId,
    TaskId,
    Text,
    UserId,
    WorktreeId,
)

ARGV_MAX = 256  # words of a command line; an agent with more wants a file
BRANCH_PATTERN = r"^(?![-/.])(?!.*(\.\.|//|@\{|\.lock(/|$)|/\.))[^\x00-\x20\x7f~^:?*\[\\]+(?<![/.])$(?!\n)"

Word: TypeAlias = Annotated[str, msgspec.Meta(max_length=4_096, pattern=r"^[^\x00]*$")]
BranchName: TypeAlias = Annotated[str, msgspec.Meta(max_length=200, pattern=BRANCH_PATTERN)]
Amount: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
"""Of tokens, or of millionths of a US dollar."""
Place: TypeAlias = Literal["new_worktree", "none"]
ForkMode: TypeAlias = Literal["default", "same_branch", "planning_only"]
HeldBy: TypeAlias = Literal["draft", "dialog", "screen"]
"""What keeps a prompt from being typed: a person's half-typed line, an open question, or a screen of which
it is not known that it takes text."""
Patience: TypeAlias = Literal["endless", "bounded"]
"""Whether a run that gets nowhere is stopped, or goes on as long as it likes."""
InterruptOutcome: TypeAlias = Literal["placed", "sent", "not_taken", "uncertain"]
"""`placed`: it may be sent from here on. `not_taken`: nothing was sent. `uncertain`: nobody can say whether it was."""
Unparked: TypeAlias = Literal["due", "started", "stopped", "closed", "task_ended"]
"""Why a session waits no more for a window: it is open, somebody started a run before or wants none,
it was closed, or the last task that it worked for is over."""
BudgetBound: TypeAlias = Literal["tokens", "cost", "unknown_cost"]
"""Which bound of a budget was reached. `unknown_cost`: there is a bound on cost only, and something was used
of which nobody knows the cost."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """Which program, by its adapter, and the words it is started with: as facts hold it.

    Facts ignore fields that they don't know, so that an old client reads a new log.
    """

    adapter: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,39}$(?!\n)")]
    argv: Annotated[tuple[Word, ...], msgspec.Meta(max_length=ARGV_MAX)] = ()


class AgentSpec(Agent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same as orders hold it: a field that is not known is refused."""

    def to_agent(self) -> Agent:
        """What the fact says."""
        return Agent(adapter=self.adapter, argv=self.argv)


class SpawnSession(Command, frozen=True, kw_only=True):
    """Start a line of work with a fresh mind, below a parent or as a root.

    Its worktree is made, then its first run starts. `may` narrows what the session is
    allowed to do; it never gets more than its parent has. `budget_…`: as in `SetBudget`. `limits`: what each of
    its runs may take, over what its adapter says; a child is never given more than its parent.
    """

    wire: ClassVar[str] = "session.spawn"
    kind: ClassVar[str] = "session"
    right: ClassVar[Right | None] = Right.SPAWN
    text_field: ClassVar[str | None] = "prompt"
    later: ClassVar[frozenset[str]] = frozenset({"budget_tokens", "budget_cost_micros", "limits", "patience"})

    project_id: Id[ProjectId]
    name: Name
    agent: AgentSpec
    prompt: Text | None = None
    parent_session_id: Id[SessionId] | None = None
    task_id: Id[TaskId] | None = None
    place: Place = "new_worktree"
    branch: BranchName | None = None
    base: BranchName | None = None
    may: tuple[Right, ...] | None = None
    budget_tokens: Amount | None = None
    budget_cost_micros: Amount | None = None
    limits: RunLimitsSpec | None = None
    patience: Patience = "bounded"


class SessionOrder(Command, frozen=True, kw_only=True):
    """An order about one session."""

    kind: ClassVar[str] = "session"
    key: ClassVar[str | None] = "session_id"

    session_id: Id[SessionId]


class SessionReport(SessionOrder, frozen=True, kw_only=True):
    """What a hand or a timer tells of a session. Kernel only."""

    internal: ClassVar[bool] = True


class ForkSession(SessionOrder, frozen=True, kw_only=True):
    """Start an alternative to an existing session, from where its branch stands.

    `dirty`: what is not committed in its worktree is to lie in the new one too; the old one stays as it is.
    """

    wire: ClassVar[str] = "session.fork"
    right: ClassVar[Right | None] = Right.SPAWN
    text_field: ClassVar[str | None] = "prompt"
    later: ClassVar[frozenset[str]] = frozenset({"dirty"})

    name: Name
    mode: ForkMode = "default"
    agent: AgentSpec | None = None
    prompt: Text | None = None
    branch: BranchName | None = None
    dirty: bool = False


class PromptSession(SessionOrder, frozen=True, kw_only=True):
    """Say something to a session; it is typed when its program asks for input.

    `steer`: into the turn that runs, where the agent takes that; where none runs, it begins one.
    """

    wire: ClassVar[str] = "session.prompt"
    right: ClassVar[Right | None] = Right.PROMPT_DESCENDANTS
    text_field: ClassVar[str | None] = "prompt"
    later: ClassVar[frozenset[str]] = frozenset({"steer"})

    prompt: Text
    steer: bool = False


class CancelPrompt(SessionOrder, frozen=True, kw_only=True):
    """Take a prompt back that is not at the keyboard yet. Whoever's it is: so it is for people only."""

    wire: ClassVar[str] = "session.cancel_prompt"

    prompt_id: Id[PromptId]
    reason: Reason | None = None


class ResendPrompt(SessionOrder, frozen=True, kw_only=True):
    """Say again what nobody can say was typed: as a prompt of its own, by a person who has looked."""

    wire: ClassVar[str] = "session.resend_prompt"

    prompt_id: Id[PromptId]


class InterruptSession(SessionOrder, frozen=True, kw_only=True):
    """End the turn that its program is in; the program and the conversation stay.

    Asking again before it is known what came of it is the same wish.
    """

    wire: ClassVar[str] = "session.interrupt"
    # Whoever may say something to a session may say that it shall stop: steering it ends what it does as well.
    right: ClassVar[Right | None] = Right.PROMPT_DESCENDANTS

    reason: Reason | None = None


class RenameSession(SessionOrder, frozen=True, kw_only=True):
    """Give it another name."""

    wire: ClassVar[str] = "session.rename"

    name: Name


class SetBudget(SessionOrder, frozen=True, kw_only=True):
    """Say what it and all that is charged to it may use in all; None takes a bound away.

    It can be raised when it is used up, also above what was used before there was one. For people only.
    """

    wire: ClassVar[str] = "session.set_budget"

    tokens: Amount | None = None
    cost_micros: Amount | None = None


class SetPatience(SessionOrder, frozen=True, kw_only=True):
    """Say whether its runs are stopped when they get nowhere."""

    wire: ClassVar[str] = "session.set_patience"

    patience: Patience


class FireUnpark(SessionReport, frozen=True, kw_only=True):
    """The window is open for which it waits since this run. Kernel only."""

    wire: ClassVar[str] = "session.fire_unpark"

    run_id: Id[RunId]


class CloseSession(SessionOrder, frozen=True, kw_only=True):
    """End the line of work: its run is stopped, its worktree stays."""

    wire: ClassVar[str] = "session.close"

    reason: Reason | None = None


class AttachWorktree(SessionOrder, frozen=True, kw_only=True):
    """Let it work in a worktree that is there, from its next run on."""

    wire: ClassVar[str] = "session.attach_worktree"

    worktree_id: Id[WorktreeId]


class DetachWorktree(SessionOrder, frozen=True, kw_only=True):
    """Let it work in its worktree no more; that one stays as it is."""

    wire: ClassVar[str] = "session.detach_worktree"


class ReportHomeErased(SessionReport, frozen=True, kw_only=True):
    """What its programs kept for it is gone. Kernel only."""

    wire: ClassVar[str] = "session.report_home_erased"


class ReportPrompt(SessionReport, frozen=True, kw_only=True):
    """What became of a prompt in the terminal. Kernel only.

    `output_bytes`: how much the run had printed when the last key was typed.
    """

    wire: ClassVar[str] = "session.report_prompt"
    later: ClassVar[frozenset[str]] = frozenset({"run_id", "output_bytes"})

    prompt_id: Id[PromptId]
    outcome: Literal["placed", "submitted", "uncertain"]
    evidence: Reason = ""
    run_id: Id[RunId] | None = None
    output_bytes: Count | None = None


class ReportPromptHeld(SessionReport, frozen=True, kw_only=True):
    """Why a prompt whose turn it is can't be typed now. `user_id`: whose draft stands there. Kernel only."""

    wire: ClassVar[str] = "session.report_prompt_held"

    prompt_id: Id[PromptId]
    by: HeldBy
    evidence: Reason
    user_id: Id[UserId] | None = None


class ReportTurn(SessionReport, frozen=True, kw_only=True):
    """A prompt that was submitted has reached the program, by this rule. Kernel only."""

    wire: ClassVar[str] = "session.report_turn"

    prompt_id: Id[PromptId]
    rule: str
    rule_version: Count
    evidence: Reason


class ReportInterrupt(SessionReport, frozen=True, kw_only=True):
    """How far an interrupt came on its way to the program. Kernel only."""

    wire: ClassVar[str] = "session.report_interrupt"

    interrupt_id: Id[InterruptId]
    outcome: InterruptOutcome
    evidence: Reason = ""


class FireInterruptDue(SessionReport, frozen=True, kw_only=True):
    """By now the turn's end should have been seen. Kernel only."""

    wire: ClassVar[str] = "session.fire_interrupt_due"

    interrupt_id: Id[InterruptId]


SessionCommand: TypeAlias = (
    SpawnSession
    | ForkSession
    | PromptSession
    | CancelPrompt
    | ResendPrompt
    | RenameSession
    | SetBudget
    | SetPatience
    | FireUnpark
    | CloseSession
    | ReportHomeErased
    | ReportPrompt
    | ReportPromptHeld
    | ReportTurn
)

PlaceCommand: TypeAlias = AttachWorktree | DetachWorktree
"""Orders about a session that are decided by what is in its place (`domain/placing.py`)."""

TurnCommand: TypeAlias = InterruptSession | ReportInterrupt | FireInterruptDue
"""Orders about a session that are decided by the turn that its run is in (`domain/turns.py`)."""
