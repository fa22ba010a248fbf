"""The real programs through the whole daemon: each cell ends in its state, its class and its event, and leaves nothing."""

import asyncio
import os
from contextlib import suppress

import pytest

from moduprompt.domain.task.view import TaskItem
from tests.agents.cells import CELLS, EITHER, GONE, UNANSWERED, WIDE, Cell, Ends
from tests.support.deadline import eventually_async
from tests.support.fleet import FEW_AT_ONCE, NOWHERE, RUN_S_MAX, Fleet, Session, fleet, living
from tests.support.model_server import scripted
from tests.support.programs import IN_CI, KNOWN, is_installed, need

# Two of them start as slowly as this on a busy machine; who never ends by itself is still there then.
ENDLESS_WALL = "15s"
OF_CI = [pytest.param(name, CELLS, id=name) for name in IN_CI]
THE_REST = [
    *(pytest.param(name, WIDE, id=f"{name}, wide") for name in IN_CI),
    pytest.param("opencode", (*CELLS, *WIDE), id="opencode, wide"),
]
GIVEN = {".git", ".gitignore", "readme.txt"}


async def played(own: Fleet, cell: Cell, program: str) -> Ends:
    """One cell to its end; fails where a process is left."""
    known = KNOWN[program]
    # Its name makes the prompt its own: how often a fault was played is counted by prompt.
    prompt = None if cell.steps is None else scripted(*cell.steps, words=f"{program}: {cell.name}.")
    words = known.words if cell.may == "all" else known.asking
    session = await own.spawn(f"{program}: {cell.name}", program=program, prompt=prompt, words=words)
    if cell.deed is not None:
        await done_to(own, session, cell)
    ended = await own.ended(session)
    assert ended.left == (), f"{program}: {cell.name}: left behind"
    is_parked = ended.task.status == "parked"
    if is_parked:
        await own.close(session)  # else it begins again when the window opens
    return Ends(
        how=EITHER if is_parked else ended.exited.how,
        outcome=ended.exited.outcome or "",
        failure=ended.exited.failure,
        rule=EITHER if is_parked else ended.exited.rule or "",
        task=how_it_stands(ended.task),
        files=tuple(sorted({each.name for each in session.worktree.iterdir()} - GIVEN)),
    )


def how_it_stands(task: TaskItem) -> str:
    """Its state and, of a failure, its class."""
    return f"{task.status} as {task.failure.partition(':')[0]}" if task.failure else task.status


async def done_to(own: Fleet, session: Session, cell: Cell) -> None:
    """What the cell does to its run as soon as its tool has begun."""

    async def has_begun() -> bool:
        return (session.worktree / "begun").exists()

    await eventually_async(has_begun, within_s=RUN_S_MAX)
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


async def each_ends_as_it_should(program: str, cells: tuple[Cell, ...]) -> None:
    need(program)
    async with fleet(settings=FEW_AT_ONCE + '[limits.opencode]\nwall = "60s"\n') as own:
        ends = await asyncio.gather(*(played(own, cell, program) for cell in cells))
        touched = [each.name for each in own.place.home.iterdir() if program in each.name]

    seen = {cell.name: end for cell, end in zip(cells, ends, strict=True)}
    assert seen == {cell.name: cell.ends_of(program, seen=seen[cell.name]) for cell in cells}
    assert touched == [], "it touched its user's own configuration"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("program", "cells"), OF_CI)
async def test_whatever_happens_to_a_program_its_run_ends_as_it_should(
    program: str, cells: tuple[Cell, ...]
) -> None:
    await each_ends_as_it_should(program, cells)


@pytest.mark.wide
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("program", "cells"), THE_REST)
async def test_so_it_does_where_that_takes_longer_than_ci_can_wait(
    program: str, cells: tuple[Cell, ...]
) -> None:
    await each_ends_as_it_should(program, cells)


@pytest.mark.timeout(900)
async def test_a_model_that_never_answers_is_ended_by_the_limit() -> None:
    programs = [name for name in IN_CI if is_installed(name)]
    need(IN_CI[0])
    limits = "".join(f'[limits.{name}]\nwall = "{ENDLESS_WALL}"\n' for name in programs)
    async with fleet(settings=FEW_AT_ONCE + limits) as own:
        ends = await asyncio.gather(*(played(own, UNANSWERED, name) for name in programs))

    seen = dict(zip(programs, ends, strict=True))
    assert seen == {name: UNANSWERED.ends_of(name, seen=seen[name]) for name in programs}


@pytest.mark.timeout(900)
async def test_who_finds_no_server_ends_or_is_ended() -> None:
    programs = [name for name in IN_CI if is_installed(name)]
    need(IN_CI[0])
    limits = f'[limits.codex]\nwall = "{ENDLESS_WALL}"\n'
    async with fleet(settings=FEW_AT_ONCE + limits, address=NOWHERE) as own:
        ends = await asyncio.gather(*(played(own, GONE, name) for name in programs))

    seen = dict(zip(programs, ends, strict=True))
    assert seen == {name: GONE.ends_of(name, seen=seen[name]) for name in programs}
