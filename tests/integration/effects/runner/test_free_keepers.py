"""Keepers that wait for an acknowledgement nobody owes them any more."""

from __future__ import annotations

from pathlib import Path

from moduprompt.effects.runner.freeing import free_keepers
from moduprompt.protocol import RunId
from tests.support.deadline import eventually_async
from tests.support.runs import a_run, dialled, finish, gone, local_backend, shell


async def test_a_keeper_whose_runs_end_is_known_goes(tmp_path: Path) -> None:
    backend = local_backend(tmp_path)
    spec = a_run(*shell("exit 3"))
    await backend.start(spec)

    async def has_ended() -> bool:
        async with await dialled(backend, spec.run_id) as link:
            return link.welcome.state == "exited"

    await eventually_async(has_ended)
    assert await free_keepers(backend, [RunId(spec.run_id)]) == (spec.run_id,)
    assert (await gone(backend, spec.run_id)).last_word is not None
    assert await free_keepers(backend, [RunId(spec.run_id)]) == ()


async def test_a_keeper_whose_program_runs_is_left_alone(tmp_path: Path) -> None:
    backend = local_backend(tmp_path)
    spec = a_run(*shell("read line"))
    await backend.start(spec)
    try:
        assert await free_keepers(backend, [RunId(spec.run_id)]) == ()
        async with await dialled(backend, spec.run_id) as link:
            assert link.welcome.state == "running"
    finally:
        await finish(backend, spec.run_id)
