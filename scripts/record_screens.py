"""Records a real program in a terminal, under a keeper, beside the scripted model that knows what it does.

    PYTHONPATH=. python scripts/record_screens.py --bin DIR PROGRAM [SCENARIO …]

DIR holds the programs. The recording and its labels go into the corpus. What did not go as its script says is refused.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from tests.support.runs import AUTHOR, a_run, running
from tests.support.status.corpus import Facts, Scene, keep
from tests.support.status.programs import PROGRAMS, Place, Program, configure, environment
from tests.support.status.scenarios import FILE, SCENARIOS, Prompt, Scenario
from tests.support.status.truth import Event, Kind, Mislabelled, to_labels

from moduprompt.effects.runner import port
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.recording import RecordingReader
from moduprompt.keeper.recording import RECORDING_NAME
from moduprompt.scripted_model.routes import Route
from moduprompt.scripted_model.server import Handler, ModelServer

LOOK_S: Final = 0.2
START_S_MAX: Final = 90.0
QUIET_MS: Final = 2_500  # so long a program that has drawn its first screen draws nothing more
READY_S: Final = 2.0  # so long before the first key it was surely ready: the key was taken
HOLD_S: Final = 6.0  # how long a dialog and a prompt are left standing
PROMPT_S_MAX: Final = 120.0
BETWEEN_KEYS_S: Final = 0.8  # between a paste and its Enter: programs debounce


class Telling(Handler):
    """Says when each request was asked and answered."""

    server: TruthServer  # pyright: ignore[reportIncompatibleVariableOverride] - the base class knows no narrower one

    def _answer(self, route: Route, body: dict[str, object], *, size: int) -> None:
        self.server.current.line = None
        try:
            super()._answer(route, body, size=size)
        finally:  # some hang up before the last chunk, when they have read all that counts
            self.server.answered()


class TruthServer(ModelServer):
    """The scripted model, and what it knows of the program that asks it."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = Telling
        self.current = threading.local()
        self.events: list[Event] = []
        self.asking: frozenset[int] = frozenset()

    def tell(self, kind: Kind, *, at_s: float | None = None) -> None:
        self.events.append(Event(at_s=time.time() if at_s is None else at_s, kind=kind))

    def note(self, line: dict[str, object]) -> None:
        self.current.line = line
        if line["place"]:
            self.tell("asked")

    def answered(self) -> None:
        line: dict[str, object] | None = self.current.line
        if line is None or not line["place"]:
            return  # a side call: a title, a summary
        step = int(str(line["place"]).rpartition("_")[2])
        if line["status"] == 429:
            self.tell("limited")
        elif line["tool"] is None:
            self.tell("answered")
        else:
            self.tell("called" if step in self.asking else "ended")


class Stage:
    """One program, one scenario."""

    def __init__(
        self, program: Program, scenario: Scenario, *, link: port.RunLink, server: TruthServer, repo: Path
    ) -> None:
        self._repo = repo
        self._program = program
        self._scenario = scenario
        self._link = link
        self._server = server
        self.facts: list[tuple[float, port.StatusReply]] = []

    async def play(self) -> None:
        watching = asyncio.create_task(self._watch())
        try:
            await self._get_ready()
            for number, prompt in enumerate(self._scenario.prompts):
                await self._say(prompt, is_first=number == 0)
            self._server.tell("over")
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watch(self) -> None:
        with suppress(port.LinkClosedError):
            while True:
                self.facts.append((time.time(), await self._link.status()))
                await asyncio.sleep(LOOK_S)

    async def _get_ready(self) -> None:
        async with asyncio.timeout(START_S_MAX):
            await asyncio.sleep(self._program.start_s)
            while True:
                await asyncio.sleep(LOOK_S)
                reply = self.facts[-1][1] if self.facts else None
                if reply and reply.state != "running":
                    raise Mislabelled(f"the program is {reply.state}")
                if reply and reply.output_bytes > 200 and reply.quiet_ms > QUIET_MS:
                    await asyncio.sleep(READY_S)
                    return

    async def _say(self, prompt: Prompt, *, is_first: bool) -> None:
        self._server.asking = frozenset(self._asking(prompt))
        before = len(self._server.events)
        if is_first:
            self._server.tell("ready", at_s=time.time() - READY_S)
        self._server.tell("typed")
        text = prompt.text(escalates=self._program.escalates)
        if self._program.wants_whole_paths:
            text = text.replace(FILE, f"{self._repo}/{FILE}")
        await self._type(b"\x1b[200~" + text.encode() + b"\x1b[201~")
        await asyncio.sleep(BETWEEN_KEYS_S)
        await self._type(b"\r")
        async with asyncio.timeout(PROMPT_S_MAX):
            while not any(each.kind == "answered" for each in self._server.events[before:]):
                await asyncio.sleep(LOOK_S)
                if self._server.events[-1].kind == "called":
                    await asyncio.sleep(HOLD_S)
                    if self._server.events[-1].kind == "called":
                        self._server.tell("allowed")
                        await self._type(b"\r")
        await asyncio.sleep(HOLD_S)

    def _asking(self, prompt: Prompt) -> tuple[int, ...]:
        if not self._program.asks:
            return ()
        if not self._program.escalates:
            return prompt.asking
        return tuple(number for number in prompt.asking if "bash" in prompt.steps[number - 1])

    async def _type(self, keys: bytes) -> None:
        await self._link.send_input(keys, author=AUTHOR, input_id=None)


async def record(program: Program, scenario: Scenario, *, programs: Path, keep_failed: Path | None) -> Scene:
    """Play it, label it, keep it."""
    folder = Path(tempfile.mkdtemp(prefix="corpus-"))
    server = TruthServer()
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    place = Place(home=folder / "home", repo=folder / "repo", address=server.address)
    await asyncio.to_thread(_make_repository, place.repo)
    configure(place)
    backend = LocalBackend(folder / "runs")
    env = {**environment(place), "PATH": f"{programs}:{os.environ['PATH']}"}
    spec = a_run(*program.argv, cwd=str(place.repo), env=env, rows=40, cols=120)
    recording = backend.run_dir(spec.run_id) / RECORDING_NAME
    try:
        async with running(backend, spec) as link:
            stage = Stage(program, scenario, link=link, server=server, repo=place.repo)
            await stage.play()
            shutil.copy(recording, folder / "kept.mprec")
        return _kept(program, scenario, folder=folder, stage=stage, server=server)
    finally:
        if keep_failed is not None and recording.exists():
            shutil.copy(recording, keep_failed / f"{program.name}-{scenario.name}.mprec")
            events = [(round(e.at_s, 2), e.kind) for e in sorted(server.events)]
            (keep_failed / f"{program.name}-{scenario.name}.events").write_text(json.dumps(events))
        server.shutdown()
        server.server_close()
        shutil.rmtree(folder, ignore_errors=True)


def _make_repository(repo: Path) -> None:
    repo.mkdir(parents=True)
    subprocess.run(("git", "init", "-q", "-b", "main", str(repo)), check=True)


def _kept(program: Program, scenario: Scenario, *, folder: Path, stage: Stage, server: TruthServer) -> Scene:
    path = folder / "kept.mprec"
    with RecordingReader(path) as reader:
        started_us, duration_us = reader.started_us, reader.duration_us()
    scene = Scene(
        program=program.name,
        version=program.version,
        scenario=scenario.name,
        duration_ms=duration_us // 1_000,
        labels=to_labels(server.events, started_us=started_us),
        facts=_changes(stage.facts, started_us=started_us),
    )
    keep(scene, path)
    return scene


def _changes(facts: list[tuple[float, port.StatusReply]], *, started_us: int) -> tuple[Facts, ...]:
    kept: list[Facts] = []
    for at_s, reply in facts:
        now = Facts(
            at_ms=round(at_s * 1_000 - started_us / 1_000),
            canonical=reply.canonical,
            echo=reply.echo,
            waiting_on_tty=reply.waiting_on_tty,
            input_waiting_bytes=reply.input_waiting_bytes,
        )
        if not kept or msgspec.structs.replace(kept[-1], at_ms=now.at_ms) != now:
            kept.append(now)
    return tuple(kept)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python scripts/record_screens.py")
    parser.add_argument("--bin", type=Path, required=True, help="the folder that holds the programs")
    parser.add_argument("--keep-failed", type=Path)
    parser.add_argument("program", choices=[each.name for each in PROGRAMS])
    parser.add_argument("scenarios", nargs="*")
    asked = parser.parse_args()
    program = next(each for each in PROGRAMS if each.name == asked.program)
    failed = 0
    for scenario in SCENARIOS:
        if asked.scenarios and scenario.name not in asked.scenarios:
            continue
        if scenario.needs_retries and not program.retries_limits:
            continue
        try:
            made = asyncio.run(
                record(program, scenario, programs=asked.bin.absolute(), keep_failed=asked.keep_failed)
            )
        except (Mislabelled, TimeoutError) as fault:
            failed += 1
            print(f"{program.name} {scenario.name}: {type(fault).__name__} {fault}")
            continue
        print(f"{program.name} {scenario.name}: {len(made.labels)} labels, {made.duration_ms / 1000:.0f} s")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
