"""Full-screen programs under a real keeper are seen as what they are, by the rules for any program."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.status import onlooker as onlookers
from moduprompt.effects.runner.status.drawing import Drawing
from moduprompt.effects.runner.status.facts import Seen, Sight
from moduprompt.effects.runner.status.onlooker import Onlooker
from tests.support.deadline import eventually_async
from tests.support.runs import AUTHOR, a_run, local_backend, python, running

# Draws one of its faces for each key: a prompt, a spinner that turns, a dialog, something that nobody knows.
PROGRAM = r"""
import select, sys, tty
tty.setraw(0)
FACES = {
    "p": "done.\r\n" + "-" * 20 + "\r\n> ",
    "w": "thinking\r\n\u280b Thinking... (esc to interrupt)\r\n" + "-" * 20 + "\r\n> ",
    "d": "Apply this change?\r\n \u203a 1. Yes, allow once\r\n   2. No (esc)\r\n",
    "?": "~ ~ ~\r\n",
}
def draw(face):
    sys.stdout.write("\x1b[?1049h\x1b[?2004h\x1b[2J\x1b[H" + FACES[face])
    sys.stdout.flush()
draw("?")
while True:
    key = sys.stdin.read(1)
    if key in FACES:
        draw(key)
"""
FACES = {"p": "waiting_input", "w": "working", "d": "blocked_on_permission", "?": "unknown"}


async def until(onlooker: Onlooker, status: str) -> Seen:
    """The first look that sees this."""
    found: list[Seen] = []

    async def is_seen() -> bool:
        seen = await onlooker.look()
        if seen is not None and seen.status == status:
            found.append(seen)
        return bool(found)

    await eventually_async(is_seen)
    return found[0]


@pytest.mark.parametrize("faces", ["pwdp?", "dw?d"])
async def test_each_face_of_a_full_screen_program_is_seen(tmp_path: Path, faces: str) -> None:
    backend = local_backend(tmp_path)
    spec = a_run(*python(PROGRAM), env={"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"})
    async with running(backend, spec) as link:
        with closing(Onlooker(link, run_dir=backend.run_dir(spec.run_id), program="anything")) as onlooker:
            await until(onlooker, "unknown")
            for face in faces:
                typed = await link.send_input(face.encode(), author=AUTHOR, input_id=None)
                assert isinstance(typed, port.InputResult)
                seen = await until(onlooker, FACES[face])
                assert seen.rule.startswith("generic/")


async def test_what_is_printed_for_programs_to_read_is_no_screen(tmp_path: Path) -> None:
    backend = local_backend(tmp_path)
    spec = a_run(*python(PROGRAM), env={"PYTHONUTF8": "1"})
    async with running(backend, spec) as link:
        with closing(Onlooker(link, run_dir=backend.run_dir(spec.run_id), program=None)) as onlooker:
            await link.send_input(b"d", author=AUTHOR, input_id=None)

            assert (await until(onlooker, "working")).rule == "process_alive"


async def test_a_recording_that_is_not_there_leaves_the_keepers_facts(tmp_path: Path) -> None:
    backend = local_backend(tmp_path)
    spec = a_run(*python(PROGRAM), env={"PYTHONUTF8": "1"})
    async with running(backend, spec) as link:
        with closing(Onlooker(link, run_dir=tmp_path / "elsewhere", program="anything")) as onlooker:
            assert (await until(onlooker, "working")).rule == "process_alive"


async def test_who_could_not_draw_for_a_moment_draws_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [OSError(errno.EMFILE, "no file is free")]

    def drawing(recording: Path, *, asks: Callable[[Sight], bool]) -> Drawing:
        if refusals:
            raise refusals.pop()
        return Drawing(recording, asks=asks)

    monkeypatch.setattr(onlookers, "Drawing", drawing)
    backend = local_backend(tmp_path)
    spec = a_run(*python(PROGRAM), env={"PYTHONIOENCODING": "utf-8", "PYTHONUTF8": "1"})
    async with running(backend, spec) as link:
        with closing(Onlooker(link, run_dir=backend.run_dir(spec.run_id), program="anything")) as onlooker:
            await until(onlooker, "unknown")
            typed = await link.send_input(b"d", author=AUTHOR, input_id=None)
            assert isinstance(typed, port.InputResult)
            await until(onlooker, "blocked_on_permission")

    assert refusals == []
