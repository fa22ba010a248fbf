"""The one list of aggregates, in the order in which one may read another's events."""

from typing import get_args

from moduprompt.domain import asking, leaving, windows
from moduprompt.domain.approval import commands as approval_commands
from moduprompt.domain.approval import decide as approval_decide
from moduprompt.domain.approval import events as approval_events
from moduprompt.domain.approval import intents as approval_intents
from moduprompt.domain.approval import reactions as approval_reactions
from moduprompt.domain.approval import state as approval_state
from moduprompt.domain.approval import view as approval_view
from moduprompt.domain.artifact import commands as artifact_commands
from moduprompt.domain.artifact import decide as artifact_decide
from moduprompt.domain.artifact import events as artifact_events
from moduprompt.domain.artifact import intents as artifact_intents
from moduprompt.domain.artifact import state as artifact_state
from moduprompt.domain.artifact import view as artifact_view
from moduprompt.domain.capsule import commands as capsule_commands
from moduprompt.domain.capsule import decide as capsule_decide
from moduprompt.domain.capsule import events as capsule_events
from moduprompt.domain.capsule import state as capsule_state
from moduprompt.domain.capsule import view as capsule_view
from moduprompt.domain.decider import Decider
from moduprompt.domain.gate import commands as gate_commands
from moduprompt.domain.gate import decide as gate_decide
from moduprompt.domain.gate import events as gate_events
from moduprompt.domain.gate import reactions as gate_reactions
from moduprompt.domain.gate import state as gate_state
from moduprompt.domain.gate import view as gate_view
from moduprompt.domain.item import View
from moduprompt.domain.project import commands as project_commands
from moduprompt.domain.project import decide as project_decide
from moduprompt.domain.project import events as project_events
from moduprompt.domain.project import state as project_state
from moduprompt.domain.project import view as project_view
from moduprompt.domain.run import commands as run_commands
from moduprompt.domain.run import events as run_events
from moduprompt.domain.run import intents as run_intents
from moduprompt.domain.run import reactions as run_reactions
from moduprompt.domain.run import state as run_state
from moduprompt.domain.run import view as run_view
from moduprompt.domain.session import commands as session_commands
from moduprompt.domain.session import events as session_events
from moduprompt.domain.session import state as session_state
from moduprompt.domain.session import timers as session_timers
from moduprompt.domain.session import view as session_view
from moduprompt.domain.task import commands as task_commands
from moduprompt.domain.task import decide as task_decide
from moduprompt.domain.task import events as task_events
from moduprompt.domain.task import reactions as task_reactions
from moduprompt.domain.task import state as task_state
from moduprompt.domain.task import timers as task_timers
from moduprompt.domain.task import view as task_view
from moduprompt.domain.user import commands as user_commands
from moduprompt.domain.user import decide as user_decide
from moduprompt.domain.user import events as user_events
from moduprompt.domain.user import state as user_state
from moduprompt.domain.workspace import commands as workspace_commands
from moduprompt.domain.workspace import decide as workspace_decide
from moduprompt.domain.workspace import events as workspace_events
from moduprompt.domain.workspace import state as workspace_state
from moduprompt.domain.workspace import view as workspace_view
from moduprompt.domain.worktree import commands as worktree_commands
from moduprompt.domain.worktree import decide as worktree_decide
from moduprompt.domain.worktree import events as worktree_events
from moduprompt.domain.worktree import intents as worktree_intents
from moduprompt.domain.worktree import reactions as worktree_reactions
from moduprompt.domain.worktree import state as worktree_state
from moduprompt.domain.worktree import view as worktree_view

DECIDERS: tuple[Decider, ...] = (
    Decider(
        noun="workspace",
        state=workspace_state.WorkspaceState,
        commands=get_args(workspace_commands.WorkspaceCommand),
        events=get_args(workspace_events.WorkspaceFact),
        decide=workspace_decide.decide,
        evolve=workspace_state.evolve,
    ),
    Decider(
        noun="user",
        state=user_state.UserState,
        commands=(user_commands.CreateUser,),
        events=(user_events.UserCreated,),
        decide=user_decide.decide,
        evolve=user_state.evolve,
    ),
    Decider(
        noun="project",
        state=project_state.ProjectState,
        commands=get_args(project_commands.ProjectCommand),
        events=get_args(project_events.ProjectFact),
        decide=project_decide.decide,
        evolve=project_state.evolve,
    ),
    Decider(
        noun="session",
        state=session_state.SessionState,
        commands=(
            *get_args(session_commands.SessionCommand),
            *get_args(session_commands.PlaceCommand),
            *get_args(session_commands.TurnCommand),
        ),
        events=get_args(session_events.SessionFact),
        decide=windows.decide,
        evolve=session_state.evolve,
        timers=session_timers.timers,
        intents=leaving.intents,
        woken_by=leaving.woken_by,
        woken_on=get_args(leaving.Waking),
    ),
    Decider(
        noun="worktree",
        state=worktree_state.WorktreeState,
        commands=get_args(worktree_commands.WorktreeCommand),
        events=get_args(worktree_events.WorktreeFact),
        decide=worktree_decide.decide,
        evolve=worktree_state.evolve,
        react=worktree_reactions.react,
        reacts_to=get_args(worktree_reactions.Heard),
        intents=worktree_intents.intents,
    ),
    Decider(
        noun="run",
        state=run_state.RunState,
        commands=get_args(run_commands.RunCommand),
        events=get_args(run_events.RunFact),
        decide=asking.decide,
        evolve=run_state.evolve,
        react=run_reactions.react,
        reacts_to=get_args(run_reactions.Heard),
        intents=run_intents.intents,
        woken_by=run_intents.woken_by,
        woken_on=get_args(run_intents.Waking),
    ),
    Decider(
        noun="approval",
        state=approval_state.ApprovalState,
        commands=get_args(approval_commands.ApprovalCommand),
        events=get_args(approval_events.ApprovalFact),
        decide=approval_decide.decide,
        evolve=approval_state.evolve,
        react=approval_reactions.react,
        reacts_to=get_args(approval_reactions.Heard),
        intents=approval_intents.intents,
        woken_by=approval_intents.woken_by,
        woken_on=(run_events.RunExited, run_events.RunLost),
    ),
    Decider(
        noun="gate",
        state=gate_state.GateState,
        commands=get_args(gate_commands.GateCommand),
        events=get_args(gate_events.GateFact),
        decide=gate_decide.decide,
        evolve=gate_state.evolve,
        react=gate_reactions.react,
        reacts_to=get_args(gate_reactions.Heard),
    ),
    Decider(
        noun="task",
        state=task_state.TaskState,
        commands=get_args(task_commands.TaskCommand),
        events=get_args(task_events.TaskFact),
        decide=task_decide.decide,
        evolve=task_state.evolve,
        react=task_reactions.react,
        reacts_to=get_args(task_reactions.Heard),
        timers=task_timers.timers,
    ),
    Decider(
        noun="artifact",
        state=artifact_state.ArtifactState,
        commands=(artifact_commands.EraseArtifact,),
        events=(artifact_events.ArtifactErased,),
        decide=artifact_decide.decide,
        evolve=artifact_state.evolve,
        intents=artifact_intents.intents,
    ),
    Decider(
        noun="capsule",
        state=capsule_state.CapsuleState,
        commands=get_args(capsule_commands.CapsuleCommand),
        events=(capsule_events.CapsuleUpdated,),
        decide=capsule_decide.decide,
        evolve=capsule_state.evolve,
    ),
)

VIEWS: tuple[View, ...] = (
    workspace_view.VIEW,
    project_view.VIEW,
    session_view.VIEW,
    worktree_view.VIEW,
    run_view.VIEW,
    approval_view.VIEW,
    gate_view.VIEW,
    task_view.VIEW,
    artifact_view.VIEW,
    capsule_view.VIEW,
)
