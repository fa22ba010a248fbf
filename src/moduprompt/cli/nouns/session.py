"""`mpctl session`: start lines of work, speak to them, see what they do and why we think so."""

import argparse
from pathlib import Path
from typing import Final, Literal

from moduprompt.cli.budgeting import SET_BUDGET, budget_told, budget_words
from moduprompt.cli.call import Call
from moduprompt.cli.faults import failed, misused
from moduprompt.cli.interrupting import INTERRUPT, interrupt_told
from moduprompt.cli.limits import to_limits
from moduprompt.cli.live.text import plain
from moduprompt.cli.lookup import find_item, find_own, workspace_of
from moduprompt.cli.outcomes import evidence_told, outcome_told, rule_told, since_when
from moduprompt.cli.pictures import show_tree, watch_tree
from moduprompt.cli.prompting import ABOUT_PROMPTS, MINE, PROMPT, runs_of, waits_for, waits_to_start
from moduprompt.cli.sums import row_told
from moduprompt.cli.tables import Column, to_paragraph, to_table
from moduprompt.cli.telling import to_sentences
from moduprompt.cli.typed import text_or_input
from moduprompt.cli.verbs import Verb
from moduprompt.cli.waiting_out import SET_PATIENCE, begun_told, parked_told
from moduprompt.client import first_event
from moduprompt.domain.approval.view import WAITING, ApprovalItem
from moduprompt.domain.project.view import ProjectItem
from moduprompt.domain.run.view import RunItem, SeenItem
from moduprompt.domain.session.commands import (
    AgentSpec,
    AttachWorktree,
    CloseSession,
    DetachWorktree,
    ForkMode,
    ForkSession,
    RenameSession,
    SpawnSession,
)
from moduprompt.domain.session.events import SessionForked, SessionSpawned
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.view import TaskItem
from moduprompt.domain.worktree.view import WorktreeItem
from moduprompt.protocol import Code, ProjectId, SessionId, TaskId, WorkspaceId, WorktreeId
from moduprompt.views.board_rows import short
from moduprompt.views.usage import usage_of

MODES: Final[dict[str, ForkMode]] = {
    "default": "default",
    "same_branch": "same_branch",
    "planning_only": "planning_only",
}
MODES_TOLD: Final = (
    "default: a worktree and a branch of its own; same_branch: a worktree on the same branch; "
    "planning_only: no worktree"
)
COLUMNS: Final[tuple[Column[SessionItem], ...]] = (
    ("ID", lambda item: item.id),
    ("NAME", lambda item: item.name),
    ("STATUS", lambda item: item.status),
    ("AGENT", lambda item: item.adapter),
    ("BRANCH", lambda item: item.branch),
    ("FROM", lambda item: _origin(item)),
)
RUN_COLUMNS: Final[tuple[Column[RunItem], ...]] = (
    ("RUN", lambda run: run.id),
    ("NO", lambda run: run.ordinal),
    ("STATUS", lambda run: run.status),
    ("SEEN", lambda run: run.observed),
    ("CODE", lambda run: run.code),
)

SEEN_COLUMNS: Final[tuple[Column[SeenItem], ...]] = (
    ("SEEN BEFORE", lambda seen: seen.status),
    ("AT", lambda seen: seen.at),
    ("RULE", lambda seen: f"{seen.rule} {seen.rule_version}"),
    ("EVIDENCE", lambda seen: seen.evidence),
)


async def _spawn(call: Call) -> None:
    words = call.words
    project = await find_item(call, ProjectItem, words.text("project"))
    parent = await _parent(call)
    task = words.maybe("task")
    place: Literal["new_worktree", "none"] = "none" if words.is_set("no_worktree") else "new_worktree"
    command = SpawnSession(
        workspace_id=project.workspace_id,
        project_id=ProjectId(project.id),
        name=words.text("name"),
        agent=_agent(call),
        prompt=_text(words.maybe("prompt")),
        parent_session_id=parent,
        task_id=TaskId((await find_item(call, TaskItem, task)).id) if task else None,
        place=place,
        branch=words.maybe("branch"),
        base=words.maybe("base"),
        budget_tokens=words.count("budget_tokens"),
        budget_cost_micros=words.count("budget_cost"),
        limits=to_limits(words.texts("limit")),
        patience="endless" if words.is_set("endless") else "bounded",
    )
    accepted = await call.submit(command)
    made = first_event(accepted, SessionSpawned)
    call.answer(accepted, f"session {made.session_id} {plain(made.name)}", *to_sentences(accepted)[1:])


async def _fork(call: Call) -> None:
    words = call.words
    item = await _named(call)
    command = ForkSession(
        workspace_id=item.workspace_id,
        session_id=SessionId(item.id),
        name=words.text("name"),
        mode=MODES[words.text("mode")],
        agent=_agent(call) if words.maybe("agent") or words.maybe("script") or words.program() else None,
        prompt=_text(words.maybe("prompt")),
        branch=words.maybe("branch"),
        dirty=words.is_set("dirty"),
    )
    accepted = await call.submit(command)
    made = first_event(accepted, SessionForked)
    call.answer(accepted, f"session {made.session_id} {plain(made.name)}", *to_sentences(accepted)[1:])


async def _list(call: Call) -> None:
    of = await workspace_of(call)
    await call.show_list(
        SessionItem, COLUMNS, of=of, empty="no session yet: mpctl session spawn NAME --project PROJECT"
    )


async def _show(call: Call) -> None:
    item = await _own(call)
    if call.is_json:
        await call.show_item(item, "")
        return
    runs = await runs_of(call, item)
    facts: list[tuple[str, str | int | None]] = [
        ("id", item.id),
        ("status", item.status),
        ("agent", " ".join((item.adapter, *item.argv))),
        ("branch", item.branch),
        ("worktree", item.worktree_id),
        ("task", item.task_id),
        ("from", _origin(item)),
        ("conversation", begun_told(item, runs)),
        ("prompts", ", ".join(f"{short(p.prompt_id)} {p.state}" for p in item.prompts)),
        ("interrupt", interrupt_told(item.interrupt)),
        ("asks", await _asked(call, item)),
        ("waits for", waits_for(item, runs)),
        ("its run", waits_to_start(runs[-1]) if runs else None),
        ("waits until", _branch_told(item)),
        ("waits for", _budget_awaited(item)),
        ("parked", parked_told(item)),
        ("used", row_told(usage_of(runs))),
        ("budget", budget_told(item.budget)),
        ("patience", item.patience if item.patience != "bounded" else None),
        ("may", ", ".join(item.may)),
    ]
    shown = to_paragraph(item.name, facts)
    await call.show_item(item, f"{shown}\n\n{to_table(runs, RUN_COLUMNS)}" if runs else shown)


def _branch_told(item: SessionItem) -> str | None:
    if item.awaits is None:
        return None
    whom = f"session {short(item.branch_holder)}" if item.branch_holder is not None else "git"
    return f"{whom} writes on {item.awaits} no more"


def _budget_awaited(item: SessionItem) -> str | None:
    if item.awaits_budget_of is None:
        return None
    payer = short(item.awaits_budget_of)
    return f"room in the budget of {payer}: mpctl session set-budget {payer} --tokens N --cost USD"


async def _asked(call: Call, item: SessionItem) -> str:
    """What its program may not do until somebody says yes, and how to say it."""
    approvals = await call.list(ApprovalItem, of=WorkspaceId(item.workspace_id))
    waiting = [each for each in approvals if each.session_id == item.id and each.status == WAITING]
    return ", ".join(
        f"to use {plain(each.tool or 'a tool')}: mpctl approval grant {short(each.id)}" for each in waiting
    )


async def _explain(call: Call) -> None:
    """What it is doing, by which rule, on what evidence: never a bare verdict."""
    item = await _own(call)
    runs = await runs_of(call, item)
    if not runs:
        # A session that was just made starts by itself: to start a run by hand would be the wrong advice.
        raise failed(
            Code.NOT_FOUND,
            f"session {item.id} has had no run yet",
            hint="the first starts when its worktree is there; mpctl board shows what it waits for",
        )
    last = runs[-1]
    facts = [
        ("session", item.id),
        ("run", f"{last.id} (number {last.ordinal})"),
        ("status", last.status),
        ("rule", rule_told(last)),
        ("evidence", evidence_told(last)),
        ("ended", last.how),
        ("code", str(last.code) if last.code is not None else None),
        ("signal", str(last.signal) if last.signal is not None else None),
        ("outcome", outcome_told(last)),
        ("failure", last.failure),
        ("reason", last.reason),
        ("since", since_when(last)),
    ]
    shown = to_paragraph(f"{item.name}: {last.observed}", facts)
    before = to_table(last.seen[-2::-1], SEEN_COLUMNS)
    await call.show_item(last, f"{shown}\n\n{before}" if len(last.seen) > 1 else shown)


async def _tree(call: Call) -> None:
    of = await workspace_of(call)
    await (watch_tree(call, of) if call.words.is_set("watch") else show_tree(call, of))


async def _rename(call: Call) -> None:
    item = await _named(call)
    accepted = await call.submit(
        RenameSession(
            workspace_id=item.workspace_id, session_id=SessionId(item.id), name=call.words.text("new_name")
        )
    )
    call.answer(accepted, *to_sentences(accepted, item))


async def _attach_worktree(call: Call) -> None:
    item = await _named(call)
    tree = await find_item(call, WorktreeItem, call.words.text("worktree"))
    command = AttachWorktree(
        workspace_id=item.workspace_id, session_id=SessionId(item.id), worktree_id=WorktreeId(tree.id)
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


async def _detach_worktree(call: Call) -> None:
    item = await _named(call)
    command = DetachWorktree(workspace_id=item.workspace_id, session_id=SessionId(item.id))
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


async def _close(call: Call) -> None:
    item = await _named(call)
    command = CloseSession(
        workspace_id=item.workspace_id, session_id=SessionId(item.id), reason=call.words.maybe("reason")
    )
    accepted = await call.submit(command)
    call.answer(accepted, *to_sentences(accepted, item))


async def _named(call: Call) -> SessionItem:
    return await find_item(call, SessionItem, call.words.text("session"))


async def _own(call: Call) -> SessionItem:
    return await find_own(call, SessionItem, call.words.maybe("session"), variable=MINE)


async def _parent(call: Call) -> SessionId | None:
    """Inside a run what is spawned is a child of the run's session: there is no other that it may make."""
    named = call.words.maybe("parent") or (call.environ.get(MINE) if call.is_in_run else None)
    return None if named is None else SessionId((await find_item(call, SessionItem, named)).id)


def _agent(call: Call) -> AgentSpec:
    """`--script` means the scripted agent, words behind `--` mean a command; both at once can't be meant."""
    script, program = call.words.maybe("script"), call.words.program()
    adapter = call.words.maybe("agent") or ("scripted" if script else "command" if program else None)
    if adapter is None:
        raise misused(
            "say which agent",
            hint="--agent NAME, as mpctl agents list has it; or --script FILE, or -- PROGRAM …",
        )
    if script and program:
        raise misused("a script and a program can't both be run", hint="leave one of them out")
    argv = (str(Path(script).expanduser().absolute()),) if script else program
    return AgentSpec(adapter=adapter, argv=argv)


def _text(typed: str | None) -> str | None:
    return None if typed is None else text_or_input(typed)


def _origin(item: SessionItem) -> str | None:
    if item.fork_of is not None:
        return f"fork of {short(item.fork_of)}"
    return f"child of {short(item.parent_session_id)}" if item.parent_session_id is not None else None


def _agent_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--agent",
        metavar="NAME",
        help="one of mpctl agents list; command runs PROGRAM, scripted plays FILE",
    )
    parser.add_argument("--script", metavar="FILE", help="what the scripted agent does (--agent scripted)")
    parser.add_argument("--prompt", metavar="TEXT", help="what it is told; - reads standard input")
    parser.add_argument("--branch", metavar="BRANCH", help="the branch of its worktree")


def _spawn_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("-p", "--project", metavar="PROJECT", required=True, help="id or name")
    parser.add_argument("--parent", metavar="SESSION", help="whose child it is")
    parser.add_argument("--task", metavar="TASK", help="what it works on")
    parser.add_argument("--base", metavar="BRANCH", help="where its branch begins; default: the project's")
    parser.add_argument(
        "--limit",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="what each run may take, several with commas: wall, idle, memory, output, processes, cores",
    )
    parser.add_argument("--no-worktree", action="store_true", help="let it work nowhere: it only thinks")
    budget_words(parser)
    parser.add_argument("--endless", action="store_true", help="don't stop it when it gets nowhere")
    _agent_words(parser)


def _fork_words(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--mode", choices=tuple(MODES), default="default", help=MODES_TOLD)
    parser.add_argument("--dirty", action="store_true", help="take along what is not committed there")
    _agent_words(parser)


def _one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", help="id or name")


def _placed(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("worktree", metavar="WORKTREE", help="id or branch")


def _maybe_one(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("session", metavar="SESSION", nargs="?", help="id or name; inside a run: its own")


def _watched(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="keep it up to date")


def _renamed(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("new_name", metavar="NAME")


def _reasoned(parser: argparse.ArgumentParser) -> None:
    _one(parser)
    parser.add_argument("--reason", metavar="TEXT", help="why, for the log")


VERBS: Final = (
    Verb(
        "spawn",
        _spawn,
        summary="start a line of work with a fresh mind",
        arguments=_spawn_words,
        more="A relative PROGRAM is looked for in the worktree.",
        takes_program=True,
    ),
    Verb(
        "fork", _fork, summary="start an alternative to a session", arguments=_fork_words, takes_program=True
    ),
    PROMPT,
    *ABOUT_PROMPTS,
    INTERRUPT,
    Verb("list", _list, summary="list the sessions of the workspace", shows_past=True),
    Verb("show", _show, summary="show one, with its runs", arguments=_maybe_one, shows_past=True),
    Verb("tree", _tree, summary="draw who came from whom", arguments=_watched, shows_past=True),
    Verb(
        "explain",
        _explain,
        summary="say what it does, by which rule, on what evidence",
        arguments=_maybe_one,
        shows_past=True,
    ),
    SET_BUDGET,
    SET_PATIENCE,
    Verb(
        "attach-worktree",
        _attach_worktree,
        summary="let it work in a worktree that is there, from its next run on",
        arguments=_placed,
    ),
    Verb(
        "detach-worktree",
        _detach_worktree,
        summary="let it work in its worktree no more; that one stays",
        arguments=_one,
    ),
    Verb("rename", _rename, summary="give it another name", arguments=_renamed),
    Verb("close", _close, summary="end it: its run is stopped, its worktree stays", arguments=_reasoned),
)
