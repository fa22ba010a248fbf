"""The real programs through the whole daemon: each cell ends in its state, its class and its event, and leaves nothing."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

import pytest

from moduprompt.domain.approval.commands import DenyApproval, GrantApproval
from moduprompt.domain.task.view import TaskItem
from tests.agents.cell import EITHER, Cell, Ends, Played
from tests.agents.cells import (
    AIDER,
    AIDER_ENDED_BY_A_LIMIT,
    CELLS,
    FAULTS,
    GONE,
    UNANSWERED,
    WIDE,
    WITHOUT_FAULTS,
)
from tests.support.deadline import eventually_async
from tests.support.fleet import FEW_AT_ONCE, NOWHERE, RUN_S_MAX, Fleet, Session, fleet, living
from tests.support.model_server import scripted
from tests.support.people import answering
from tests.support.programs import BY_ACP, DRIVEN, IN_CI, KNOWN, is_installed, need
from tests.support.told import told_by

# Two of them start as slowly as this on a busy machine; who never ends by itself is still there then.
ENDLESS_WALL = "15s"
# Nothing at all is told by it before a whole step of its model is over.
TELL_LATE = frozenset({"opencode"})
OF_CI = [
    *(pytest.param(name, CELLS, id=name) for name in IN_CI),
    *(pytest.param(name, FAULTS, id=name) for name in BY_ACP),
]
THE_REST = [
    *(pytest.param(name, WIDE, id=f"{name}, wide") for name in IN_CI),
    *(pytest.param(name, (*WITHOUT_FAULTS, *WIDE), id=f"{name}, wide") for name in BY_ACP),
    pytest.param("opencode", (*CELLS, *WIDE), id="opencode, wide"),
]
GIVEN = {".git", ".gitignore", "readme.txt"}


async def played(own: Fleet, cell: Cell, program: str) -> Played:
    """One cell to its end; fails where a process is left."""
    known = DRIVEN[program]
    # Its name makes the prompt its own: how often a fault was played is counted by prompt.
    prompt = None if cell.steps is None else scripted(*cell.steps, words=f"{program}: {cell.name}.")
    words = known.words if cell.may == "all" else known.asking
    session = await own.spawn(f"{program}: {cell.name}", program=program, prompt=prompt, words=words)
    async with answering(own, session, order=GrantApproval if cell.may == "all" else DenyApproval):
        if cell.deed is not None:
            await done_to(own, session, cell, program=program)
        ended = await own.ended(session)
    assert ended.left == (), f"{program}: {cell.name}: left behind"
    is_parked = ended.task.status == "parked"
    if is_parked:
        await own.close(session)  # else it begins again when the window opens
    ends = Ends(
        how=EITHER if is_parked else ended.exited.how,
        outcome=ended.exited.outcome or "",
        failure=ended.exited.failure,
        rule=EITHER if is_parked else ended.exited.rule or "",
        task=how_it_stands(ended.task),
        files=tuple(sorted({each.name for each in session.worktree.iterdir()} - GIVEN)),
    )
    return Played(ends, told_by(own.heard(session.run_id)))


def how_it_stands(task: TaskItem) -> str:
    """Its state and, of a failure, its class."""
    return f"{task.status} as {task.failure.partition(':')[0]}" if task.failure else task.status


async def done_to(own: Fleet, session: Session, cell: Cell, *, program: str) -> None:
    """What the cell does to its run as soon as its tool has begun, and the log has heard of it."""

    async def has_begun() -> bool:
        return (session.worktree / "begun").exists()

    if "begun" in cell.ends.files:
        await eventually_async(has_begun, within_s=RUN_S_MAX)
    if program not in TELL_LATE:
        await own.first(cell.deed_after, of=session.run_id)
    match cell.deed:
        case None:
            raise AssertionError("BUG: nothing is done in this cell")
        case "stop":
            await own.stop(session)
        case number, "leader":
            os.kill(await own.leader(session), number)
        case number, _:
            for each in living(session, daemon=own.place.pid):
                with suppress(ProcessLookupError):
                    os.kill(each.pid, number)


async def each_ends_as_it_should(
    pairs: Sequence[tuple[Cell, str]], *, settings: str, address: str | None = None
) -> None:
    """Every cell with its program, all of them at once."""
    async with fleet(settings=FEW_AT_ONCE + settings, address=address) as own:
        configuration = own.repository.path / ".git" / "config"
        given = configuration.read_text()
        seen = await asyncio.gather(*(played(own, *pair) for pair in pairs))
        touched = [each.name for each in own.place.home.iterdir() if any(name in each.name for name in KNOWN)]
        is_as_given = configuration.read_text() == given

    wanted = [
        cell.as_it_should(program, seen=each) for (cell, program), each in zip(pairs, seen, strict=True)
    ]
    wrong = [
        f"{program}: {cell.name}:\n    seen   {each}\n    wanted {right}"
        for (cell, program), each, right in zip(pairs, seen, wanted, strict=True)
        if each != right
    ]
    assert not wrong, "\n".join(wrong)
    assert touched == [], "something touched its user's own configuration"
    assert is_as_given, "something wrote into the repository's configuration, which all worktrees share"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("program", "cells"), OF_CI)
async def test_whatever_happens_to_a_program_its_run_ends_as_it_should(
    program: str, cells: tuple[Cell, ...]
) -> None:
    need(program)
    await each_ends_as_it_should([(cell, program) for cell in cells], settings="")


@pytest.mark.wide
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("program", "cells"), THE_REST)
async def test_so_it_does_where_that_takes_longer_than_ci_can_wait(
    program: str, cells: tuple[Cell, ...]
) -> None:
    need(program)
    await each_ends_as_it_should([(cell, program) for cell in cells], settings="")


@pytest.mark.wide
@pytest.mark.timeout(900)
async def test_who_tries_for_more_than_a_minute_finds_no_server_either() -> None:
    need("opencode")
    await each_ends_as_it_should([(GONE, "opencode")], settings="", address=NOWHERE)


@pytest.mark.wide
@pytest.mark.timeout(900)
async def test_aider_ends_as_it_should() -> None:
    need("aider")
    await each_ends_as_it_should([(cell, "aider") for cell in AIDER], settings="")


@pytest.mark.timeout(900)
async def test_aider_is_ended_by_a_limit() -> None:
    need("aider")
    await each_ends_as_it_should(
        [(cell, "aider") for cell in AIDER_ENDED_BY_A_LIMIT], settings=limits("aider")
    )


@pytest.mark.timeout(900)
async def test_a_model_that_never_answers_is_ended_by_the_limit() -> None:
    programs = [name for name in (*IN_CI, *BY_ACP) if is_installed(name)]
    need(IN_CI[0])
    await each_ends_as_it_should([(UNANSWERED, name) for name in programs], settings=limits(*IN_CI, "acp"))


@pytest.mark.timeout(900)
async def test_who_finds_no_server_ends_or_is_ended() -> None:
    programs = [name for name in (*IN_CI, *BY_ACP) if is_installed(name)]
    need(IN_CI[0])
    await each_ends_as_it_should(
        [(GONE, name) for name in programs], settings=limits("codex"), address=NOWHERE
    )


def limits(*adapters: str) -> str:
    """For who never ends by itself."""
    return "".join(f'[limits.{name}]\nwall = "{ENDLESS_WALL}"\n' for name in adapters)
