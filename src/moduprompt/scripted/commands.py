"""Runs one command for a step: bounded in time, its output given line by line.

The command stays in the agent's process group: an interrupt from the terminal and the end of the
run reach it as they reach the agent. It gets no input: a question of its own would
hang a script that nobody watches.
"""

import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping

LOOK_S = 0.1  # how soon the end of a command is noticed when something else keeps its output open
GRACE_S = 2.0  # between asking a command to end and ending it
PENDING_BYTES_MAX = 64 * 1024  # of a line that does not end
SIGNALLED = 128  # how a shell tells the end by a signal: 128 and its number


class CommandError(Exception):
    """The command gave no exit code: it could not be started, or its time was up."""


def run_command(
    command: str | tuple[str, ...],
    *,
    environment: Mapping[str, str],
    timeout_s: float,
    on_line: Callable[[str], None],
) -> int:
    """The exit code, as a shell would tell it. `on_line` gets standard output and error, in order."""
    shown = command if isinstance(command, str) else command[0]
    try:
        process = subprocess.Popen(
            command,
            shell=isinstance(command, str),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
        )
    except OSError as broken:
        raise CommandError(f"{shown} can't be started: {broken.strerror}") from broken
    deadline = time.monotonic() + timeout_s
    try:
        if _follow(process, deadline=deadline, on_line=on_line):
            code = process.wait(timeout=max(0.0, deadline - time.monotonic()))
            return code if code >= 0 else SIGNALLED - code
    except subprocess.TimeoutExpired:
        pass
    finally:
        _end(process)
    raise CommandError(f"{shown} did not end within {timeout_s:g} s")


def _follow(process: "subprocess.Popen[bytes]", *, deadline: float, on_line: Callable[[str], None]) -> bool:
    """Pass on the output until it ends, or the command does; False when the time is up first."""
    assert process.stdout is not None, "BUG: the command was started without its output"
    descriptor = process.stdout.fileno()
    pending = b""
    while time.monotonic() < deadline:
        if select.select([descriptor], [], [], LOOK_S)[0]:
            chunk = os.read(descriptor, PENDING_BYTES_MAX)
            *lines, pending = (pending + chunk).split(b"\n")
            if not chunk or len(pending) >= PENDING_BYTES_MAX:
                lines, pending = ([*lines, pending] if pending else lines), b""
            for line in lines:
                on_line(line.decode("utf-8", "replace"))
            if not chunk:
                return True
        elif process.poll() is not None:
            if pending:
                on_line(pending.decode("utf-8", "replace"))
            return True  # something that it left in the background still holds the output
    return False


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdout is not None, "BUG: the command was started without its output"
    process.stdout.close()
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
