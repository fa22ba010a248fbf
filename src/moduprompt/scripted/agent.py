"""Follows a script, step by step, and stops at the first one that fails.

Exit codes: 0 the script came to its end, 1 a step failed, 2 the script or the call
is wrong (nothing was done), 130 interrupted; `exit` chooses its own.
"""

import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from moduprompt.scripted.commands import CommandError, run_command
from moduprompt.scripted.script import (
    SCRIPT_BYTES_MAX,
    Action,
    Append,
    Ask,
    Commit,
    Exit,
    Fault,
    Pause,
    Read,
    Replace,
    Run,
    Say,
    Step,
    WaitForFile,
    WaitForRun,
    Write,
    fill,
    parse_script,
)
from moduprompt.scripted.terminal import Terminal, TerminalGone, wants_colours
from moduprompt.scripted.workplace import OutsideError, Workplace

USAGE = "usage: python -m moduprompt.scripted SCRIPT.toml"
DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130

FILE_BYTES_MAX = 4 * 1024 * 1024  # what `replace` edits and `read` looks at is source text
OUTPUT_LINES_MAX = 200  # of one command; a script's terminal is for people to follow
POLL_S = 0.1  # how often wait_for looks
PROBE_TIMEOUT_S = 10.0  # of one try of a wait_for command
GIT_TIMEOUT_S = 120.0  # hooks of the repository run, and may run its tests

# An agent on a fresh machine has no identity in git's configuration; then it commits under this one.
FALLBACK_IDENTITY = ("-c", "user.name=scripted", "-c", "user.email=scripted@localhost")


class StepFailed(Exception):
    """A step did not do what the script expects of it."""


class _Left(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Agent:
    """One walk through a script."""

    def __init__(self, *, terminal: Terminal, workplace: Workplace, environment: dict[str, str]) -> None:
        self._terminal = terminal
        self._workplace = workplace
        self._environment = environment
        self._values = {"prompt": _prompt_of(environment), "session": environment.get("MP_SESSION", "")}

    def follow(self, steps: tuple[Step, ...]) -> int:
        for step in steps:
            action = self._filled(step.action)
            self._terminal.headline(
                number=step.number, total=len(steps), kind=step.kind, text=_summary(action)
            )
            try:
                self._do(action)
            except (StepFailed, OutsideError, CommandError) as failed:
                self._terminal.bad(str(failed))
                return FAILED
            except OSError as failed:
                self._terminal.bad(f"{failed.filename or ''}: {failed.strerror}".lstrip(": "))
                return FAILED
            except _Left as left:
                return left.code
        return DONE

    def _filled(self, action: Action) -> Action:
        if isinstance(action, Run | WaitForRun) and isinstance(action.command, str):
            return action
        if isinstance(action, Run | WaitForRun):
            return action._replace(command=tuple(self._fill(part) for part in action.command))
        if isinstance(action, Ask):
            return action._replace(question=self._fill(action.question))
        texts = {name: value for name, value in action._asdict().items() if isinstance(value, str)}
        return action._replace(**{name: self._fill(text) for name, text in texts.items()})

    def _fill(self, text: str) -> str:
        return fill(text, values=self._values, environment=self._environment)

    def _do(self, action: Action) -> None:
        match action:
            case Say():
                pass  # the headline has said it
            case Read():
                self._read(action)
            case Write() | Append():
                self._write(action)
            case Replace():
                self._replace(action)
            case Run():
                self._run(action)
            case Ask():
                self._ask(action)
            case Commit():
                self._commit(action)
            case WaitForFile():
                wanted = self._workplace.find(action.path)
                self._wait(wanted.exists, timeout_s=action.timeout_s)
            case WaitForRun():
                self._wait(lambda: self._succeeds(action.command), timeout_s=action.timeout_s)
            case Pause():
                time.sleep(action.seconds)
            case Exit():
                raise _Left(action.code)

    def _read(self, action: Read) -> None:
        lines = _text_of(self._workplace.find_file(action.path)).splitlines()
        for line in lines[: action.lines]:
            self._terminal.body(line)
        if len(lines) > action.lines:
            self._terminal.body(f"… {len(lines) - action.lines} more lines")

    def _write(self, action: Write | Append) -> None:
        target = self._workplace.find_file(action.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("a" if isinstance(action, Append) else "w", encoding="utf-8", newline="") as file:
            file.write(action.text)

    def _replace(self, action: Replace) -> None:
        target = self._workplace.find_file(action.path)
        text = _text_of(target)
        found = text.count(action.old)
        if found != 1:
            raise StepFailed(f"{action.path} holds the old text {found} times, not once")
        with target.open("w", encoding="utf-8", newline="") as file:
            file.write(text.replace(action.old, action.new))

    def _run(self, action: Run) -> None:
        code = self._run_shown(action.command, timeout_s=action.timeout_s)
        if code != action.expect:
            raise StepFailed(f"exit {code}, expected {action.expect}")
        self._terminal.good(f"exit {code}")

    def _run_shown(self, command: str | tuple[str, ...], *, timeout_s: float) -> int:
        seen = 0

        def show(line: str) -> None:
            nonlocal seen
            seen += 1
            if seen <= OUTPUT_LINES_MAX:
                self._terminal.body(line)

        code = run_command(command, environment=self._environment, timeout_s=timeout_s, on_line=show)
        if seen > OUTPUT_LINES_MAX:
            self._terminal.body(f"… {seen - OUTPUT_LINES_MAX} more lines")
        return code

    def _run_quietly(self, *command: str) -> int:
        return run_command(
            command, environment=self._environment, timeout_s=GIT_TIMEOUT_S, on_line=lambda _: None
        )

    def _ask(self, action: Ask) -> None:
        answer = self._terminal.ask(action.question, timeout_s=action.timeout_s)
        if answer is None:
            raise StepFailed("nobody answered")
        self._values[action.name] = answer
        self._environment[f"ANSWER_{action.name.upper()}"] = answer.replace("\0", "")
        self._terminal.good(f"{action.name} = {answer}")

    def _commit(self, action: Commit) -> None:
        if self._run_shown(("git", "add", "--all"), timeout_s=GIT_TIMEOUT_S) != 0:
            raise StepFailed("git add failed")
        if self._run_quietly("git", "diff", "--cached", "--quiet") == 0:
            self._terminal.good("nothing to commit")
            return
        known = self._run_quietly("git", "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT") == 0
        identity = () if known else FALLBACK_IDENTITY
        # Nobody is here to unlock a key. Hooks run: they belong to the repository's own way of working.
        command = ("git", *identity, "commit", "--quiet", "--no-gpg-sign", "--message", action.message)
        if self._run_shown(command, timeout_s=GIT_TIMEOUT_S) != 0:
            raise StepFailed("git commit failed")
        self._run_shown(("git", "log", "-1", "--format=%h %s"), timeout_s=GIT_TIMEOUT_S)

    def _succeeds(self, command: str | tuple[str, ...]) -> bool:
        return (
            run_command(
                command, environment=self._environment, timeout_s=PROBE_TIMEOUT_S, on_line=lambda _: None
            )
            == 0
        )

    def _wait(self, is_there: Callable[[], bool], *, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_there():
            if time.monotonic() >= deadline:
                raise StepFailed(f"it did not come within {timeout_s:g} s")
            time.sleep(POLL_S)


def main(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        print(f"{USAGE}\n\nSee docs/scripted-agent.md for what a script may hold.")
        return DONE
    if len(arguments) != 1:
        return _refuse(USAGE)
    environment = dict(os.environ)
    script = Path(arguments[0])
    try:
        steps = parse_script(_script_bytes(script), environment=environment)
        # Whatever the locale says, what we write is UTF-8.
        out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", errors="replace")
        terminal = Terminal(out, descriptor=0, colours=wants_colours(out, environment=environment))
        agent = Agent(terminal=terminal, workplace=Workplace(str(Path.cwd())), environment=environment)
    except Fault as fault:
        place = f"{script}: " + (f"step {fault.step}: " if fault.step is not None else "")
        return _refuse(f"{place}{fault.message}", hint=fault.hint)
    try:
        return agent.follow(steps)
    except KeyboardInterrupt:
        terminal.bad("interrupted")
        return INTERRUPTED
    except TerminalGone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter's last flush has nowhere to go
        return FAILED


def _refuse(message: str, *, hint: str = "") -> int:
    sys.stderr.write(f"{message}\n" + (f"hint: {hint}\n" if hint else ""))
    return REFUSED


def _script_bytes(script: Path) -> bytes:
    try:
        with script.open("rb") as file:
            return file.read(SCRIPT_BYTES_MAX + 1)
    except OSError as broken:
        raise Fault(f"the script can't be read: {broken.strerror}", hint=USAGE) from broken


def _prompt_of(environment: dict[str, str]) -> str:
    name = environment.get("MP_PROMPT_FILE")
    if not name:
        return ""
    try:
        return _text_of(Path(name)).strip()
    except OSError as broken:
        message = f"the prompt {name} can't be read: {broken.strerror}"
        raise Fault(message, hint="MP_PROMPT_FILE names a file, or nothing") from broken


def _text_of(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise StepFailed(f"{path.name} is larger than {FILE_BYTES_MAX} bytes")
    return raw.decode("utf-8", "replace")


def _summary(action: Action) -> str:
    """What a step is about, in half a line."""
    match action:
        case Say():
            return action.text
        case Read() | Write() | Append() | Replace() | WaitForFile():
            return action.path
        case Run() | WaitForRun():
            return action.command if isinstance(action.command, str) else " ".join(action.command)
        case Ask():
            return f"for {action.name}"
        case Commit():
            return action.message
        case Pause():
            return f"{action.seconds:g} s"
        case Exit():
            return str(action.code)
