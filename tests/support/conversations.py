"""Talks with a program by its adapter's channel, without the kernel: what it is owed is sent, questions are answered.

Every line that goes to an agent of the Agent Client Protocol is judged by the library of its makers on its way.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, TypeVar

import uuid_utils

from moduprompt.domain.run.said import OptionKind, TurnEnded
from moduprompt.effects.agents.port import (
    AgentCommand,
    AgentRequest,
    Asked,
    Channel,
    Heard,
    InputOver,
    Owed,
)
from moduprompt.keeper import processes
from tests.support.acp_judge import judged
from tests.support.deadline import eventually
from tests.support.transcripts import adapter_of

PATIENCE_S: Final = 90.0  # for one thing to be heard; the slowest agent needs six seconds to start
LINGER_S: Final = 10.0  # between the end of its input and its own
T = TypeVar("T")


class Conversation:
    """One running program. Everything that was heard and sent is kept."""

    def __init__(self, channel: Channel, program: subprocess.Popen[bytes], *, run_id: str) -> None:
        assert program.stdin is not None
        assert program.stdout is not None
        self.channel = channel
        self.run_id = run_id
        self.heard: list[Heard] = []
        self.output = b""
        self.sent = b""
        self._program = program
        self._input: IO[bytes] = program.stdin
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._pending: list[Heard] = []
        threading.Thread(target=self._follow, args=(program.stdout,), daemon=True).start()

    def until(self, kind: type[T], *, where: Callable[[T], bool] = lambda _: True) -> T:
        """The next of this kind that is said; what it is owed on the way is sent."""
        while True:
            while self._pending:
                each = self._pending.pop(0)
                self.heard.append(each)
                self._serve(each)
                if isinstance(each, kind) and where(each):
                    return each
            line = self._lines.get(timeout=PATIENCE_S)
            assert line is not None, f"it ended, and had said {self.heard}"
            self.output += line
            self._pending.extend(self.channel.read(line.rstrip(b"\n")))

    def say(self, text: str) -> str:
        """A prompt; its id."""
        prompt_id = str(uuid_utils.uuid7())
        line = self.channel.say(text, prompt_id=prompt_id)
        assert line is not None, "it takes no prompt now"
        self.send(line)
        return prompt_id

    def answer(self, asked: Asked, kind: OptionKind) -> None:
        """The first option of this kind."""
        chosen = next(option for option in asked.said.options if option.kind == kind)
        self.send(asked.answers[chosen.id])

    def interrupt(self) -> None:
        """End the turn."""
        line = self.channel.interrupt(request_id=str(uuid.uuid4()))
        assert line is not None
        self.send(line)

    def turn(self, text: str, *, allow: OptionKind = "allow_once") -> TurnEnded:
        """A prompt to its end; every question gets the same answer."""
        self.say(text)
        while True:
            each = self.until(object, where=lambda said: isinstance(said, Asked | TurnEnded))
            if isinstance(each, TurnEnded):
                return each
            assert isinstance(each, Asked)
            self.answer(each, allow)

    def send(self, data: bytes) -> None:
        """Bytes to its standard input."""
        judged(data)
        self.sent += data
        self._input.write(data)
        self._input.flush()

    def leave(self) -> int | None:
        """Close its input, and wait for its end; None where it stays."""
        self._input.close()
        with suppress(subprocess.TimeoutExpired):
            return self._program.wait(LINGER_S)
        return None

    def _serve(self, each: Heard) -> None:
        if isinstance(each, Owed):
            self.send(each.line)
        elif isinstance(each, InputOver):
            self._input.close()

    def _follow(self, output: IO[bytes]) -> None:
        for line in output:
            self._lines.put(line)
        self._lines.put(None)


@contextmanager
def conversation(
    name: str,
    request: AgentRequest,
    *,
    environment: Mapping[str, str],
    start: tuple[str, ...] = (),
    errors: Path | None = None,
) -> Generator[Conversation]:
    """A program that was started by its adapter's command; nothing of it is left behind."""
    adapter = adapter_of(name)
    command = adapter.command(request)
    assert isinstance(command, AgentCommand), command
    for file in command.files:
        path = Path(request.home) / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    channel = adapter.channel(request)
    assert channel is not None
    with (
        open(errors or os.devnull, "wb") as stderr,
        subprocess.Popen(
            [*start, *command.argv],
            cwd=request.cwd,
            env={**environment, "MP_RUN": request.run_id, **command.env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        ) as program,
    ):
        try:
            talk = Conversation(channel, program, run_id=request.run_id)
            talk.send(command.opening)
            yield talk
        finally:
            _sweep(request.run_id)


def left(run_id: str) -> list[int]:
    """Its processes that live."""
    return [process.pid for process in processes.marked(f"MP_RUN={run_id}")]


def _sweep(run_id: str) -> None:
    for pid in left(run_id):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not left(run_id))
