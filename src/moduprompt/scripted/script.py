"""Reads a script: strict TOML in, a tuple of steps out, or one fault with its place and a hint.

A script is refused as a whole before its first step runs: unknown keys, wrong types, two
actions in a step, a placeholder that nothing fills.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeGuard

SCRIPT_BYTES_MAX = 1024 * 1024  # a script is written by hand
SECONDS_MAX = 3600.0  # what waits longer is no test and no demo
READ_LINES = 12  # enough to see what a file is
RUN_TIMEOUT_S = 300.0  # a test suite may take this long; an endless command must not
WAIT_TIMEOUT_S = 30.0

NAME = re.compile(r"[a-z][a-z0-9_]*")
# {{word}} stands for {word} itself; every other brace is text, so that code can be written.
PLACEHOLDER = re.compile(r"\{\{(?P<literal>[a-z][\w:]*)\}\}|(?<![{$])\{(?P<name>[a-z][a-z0-9_]*|env:\w+)\}")
GIVEN = frozenset({"prompt", "session"})  # what {…} knows before any question was asked


class Fault(Exception):
    """Why a script can't be followed: where, what, and what to do."""

    def __init__(self, message: str, *, hint: str = "", step: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.step = step


class Say(NamedTuple):
    text: str


class Read(NamedTuple):
    path: str
    lines: int


class Write(NamedTuple):
    path: str
    text: str


class Append(NamedTuple):
    path: str
    text: str


class Replace(NamedTuple):
    path: str
    old: str
    new: str


class Run(NamedTuple):
    """`command` is a list for the program itself, or a string for the shell."""

    command: str | tuple[str, ...]
    expect: int
    timeout_s: float


class Ask(NamedTuple):
    question: str
    name: str
    timeout_s: float | None


class Commit(NamedTuple):
    message: str


class WaitForFile(NamedTuple):
    path: str
    timeout_s: float


class WaitForRun(NamedTuple):
    command: str | tuple[str, ...]
    timeout_s: float


class Pause(NamedTuple):
    seconds: float


class Exit(NamedTuple):
    code: int


Action = Say | Read | Write | Append | Replace | Run | Ask | Commit | WaitForFile | WaitForRun | Pause | Exit


class Step(NamedTuple):
    number: int
    kind: str
    action: Action


# Each action with the keys that may stand beside it. The order is that of the documentation.
OPTIONS: dict[str, frozenset[str]] = {
    "say": frozenset(),
    "read": frozenset({"lines"}),
    "write": frozenset(),
    "append": frozenset(),
    "replace": frozenset(),
    "run": frozenset({"expect", "timeout_s"}),
    "ask": frozenset({"name", "timeout_s"}),
    "commit": frozenset(),
    "wait_for": frozenset({"timeout_s"}),
    "pause_s": frozenset(),
    "exit": frozenset(),
}


def parse_script(raw: bytes, *, environment: Mapping[str, str]) -> tuple[Step, ...]:
    """All steps, or `Fault`. `environment` is only asked which variables exist."""
    if len(raw) > SCRIPT_BYTES_MAX:
        raise Fault(f"the script is longer than {SCRIPT_BYTES_MAX} bytes")
    try:
        table: Mapping[str, object] = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as broken:  # no TOML, no UTF-8, a number without end
        raise Fault(f"this is no TOML: {broken}", hint="strings need quotes; see https://toml.io") from broken
    unknown = sorted(set(table) - {"step"})
    if unknown:
        raise Fault(f"unknown key {unknown[0]!r} at the top", hint="a script holds [[step]] tables only")
    entries = table.get("step")
    if not _is_list(entries) or not entries:
        raise Fault("the script has no steps", hint='begin with:\n[[step]]\nsay = "Hello"')
    steps = tuple(_step(entry, number=number) for number, entry in enumerate(entries, 1))
    _check_placeholders(steps, environment=environment)
    return steps


def _step(entry: object, *, number: int) -> Step:
    fields = _Fields(entry, where="the step", step=number)
    kinds = [kind for kind in OPTIONS if fields.has(kind)]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise Fault(
            f"a step has exactly one action, here: {found}",
            hint=f"actions are {', '.join(OPTIONS)}",
            step=number,
        )
    fields.allow({kinds[0], *OPTIONS[kinds[0]]})
    return Step(number, kinds[0], _action(kinds[0], fields))


def _action(kind: str, fields: "_Fields") -> Action:
    match kind:
        case "say":
            return Say(fields.text("say"))
        case "read":
            return Read(fields.text("read"), fields.whole("lines", READ_LINES, low=1, high=1000))
        case "write" | "append":
            inner = fields.table("write" if kind == "write" else "append", {"path", "text"})
            made = Write if kind == "write" else Append
            return made(inner.text("path"), inner.text("text", empty=True))
        case "replace":
            inner = fields.table("replace", {"path", "old", "new"})
            return Replace(inner.text("path"), inner.text("old"), inner.text("new", empty=True))
        case "run":
            expect = fields.whole("expect", 0, low=0, high=255)
            return Run(fields.command("run"), expect, fields.seconds("timeout_s", RUN_TIMEOUT_S))
        case "ask":
            limit = fields.seconds("timeout_s", 0.0) if fields.has("timeout_s") else None
            return Ask(fields.text("ask"), fields.name("name", "answer"), limit)
        case "commit":
            return Commit(fields.text("commit"))
        case "wait_for":
            return _wait_for(fields)
        case "pause_s":
            return Pause(fields.seconds("pause_s", 0.0))
        case _:
            return Exit(fields.whole("exit", 0, low=0, high=255))


def _wait_for(fields: "_Fields") -> WaitForFile | WaitForRun:
    inner = fields.table("wait_for", {"file", "run"})
    limit = fields.seconds("timeout_s", WAIT_TIMEOUT_S)
    if inner.has("file") == inner.has("run"):
        raise inner.fault("wait_for needs either a file or a run", hint='wait_for = { file = "ready" }')
    if inner.has("file"):
        return WaitForFile(inner.text("file"), limit)
    return WaitForRun(inner.command("run"), limit)


class _Fields:
    """One table of the script. Each reader takes a key and refuses any other type than its own."""

    def __init__(self, table: object, *, where: str, step: int) -> None:
        if not _is_table(table):
            hint = 'for example: { path = "a.txt", text = "…" }'
            raise Fault(f"{where} must be a table", hint=hint, step=step)
        self._table: Mapping[str, object] = table
        self._where = where
        self._step = step

    def fault(self, message: str, *, hint: str = "") -> Fault:
        return Fault(message, hint=hint, step=self._step)

    def has(self, key: str) -> bool:
        return key in self._table

    def allow(self, keys: Iterable[str]) -> None:
        allowed = sorted(keys)
        for key in self._table:
            if key not in allowed:
                message = f"unknown key {key!r} in {self._where}"
                raise self.fault(message, hint=f"it may have: {', '.join(allowed)}")

    def table(self, key: str, keys: set[str]) -> "_Fields":
        inner = _Fields(self._table[key], where=key, step=self._step)
        inner.allow(keys)
        return inner

    def text(self, key: str, *, empty: bool = False) -> str:
        value = self._table.get(key)
        if value is None:
            raise self.fault(f"{self._where} lacks {key!r}")
        if not isinstance(value, str) or (not value and not empty) or "\0" in value:
            raise self.fault(f"{key} must be a text", hint=f'{key} = "…"')
        return value

    def name(self, key: str, default: str) -> str:
        value = self._table.get(key, default)
        if not isinstance(value, str) or not NAME.fullmatch(value) or value in GIVEN:
            hint = "small letters, digits and _; not prompt or session"
            raise self.fault(f"{key} must be a name, not {value!r}", hint=hint)
        return value

    def whole(self, key: str, default: int, *, low: int, high: int) -> int:
        value = self._table.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fault(f"{key} must be a whole number from {low} to {high}")
        return value

    def seconds(self, key: str, default: float) -> float:
        value = self._table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= SECONDS_MAX:
            raise self.fault(f"{key} must be a number of seconds from 0 to {SECONDS_MAX:g}")
        return float(value)

    def command(self, key: str) -> str | tuple[str, ...]:
        value = self._table.get(key)
        if isinstance(value, str) and value.strip() and "\0" not in value:
            return value
        parts = tuple(value) if _is_list(value) else ()
        texts = tuple(part for part in parts if isinstance(part, str) and "\0" not in part)
        if texts and len(texts) == len(parts):
            return texts
        hint = f'{key} = ["make", "test"], or {key} = "make test" for the shell'
        raise self.fault(f"{key} must be a list of texts, or one text for the shell", hint=hint)


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _is_table(value: object) -> TypeGuard[dict[str, object]]:
    """TOML has no keys but texts."""
    return isinstance(value, dict)


def _check_placeholders(steps: tuple[Step, ...], *, environment: Mapping[str, str]) -> None:
    known = set(GIVEN)
    for step in steps:
        for text in texts_of(step.action):
            _check_text(text, known=known, environment=environment, step=step.number)
        if isinstance(step.action, Run | WaitForRun) and isinstance(step.action.command, str):
            _check_shell(step.action.command, known=known, step=step.number)
        if isinstance(step.action, Ask):
            known.add(step.action.name)


def texts_of(action: Action) -> tuple[str, ...]:
    """The texts of an action in which placeholders are filled: all but names and shell commands."""
    if isinstance(action, Run | WaitForRun):
        return action.command if isinstance(action.command, tuple) else ()
    fields = action[:1] if isinstance(action, Ask) else action
    return tuple(field for field in fields if isinstance(field, str))


def _check_text(text: str, *, known: set[str], environment: Mapping[str, str], step: int) -> None:
    for found in PLACEHOLDER.finditer(text):
        name = found.group("name")
        if name is None or name in known:
            continue
        variable = name.removeprefix("env:")
        if variable != name and variable in environment:
            continue
        if variable != name:
            raise Fault(
                f"the environment has no {variable}", hint="set it before the agent starts", step=step
            )
        hint = f"ask for it in an earlier step, or write {{{{{name}}}}} for the text {{{name}}} itself"
        raise Fault(f"nothing fills {{{name}}}", hint=hint, step=step)


def _check_shell(command: str, *, known: set[str], step: int) -> None:
    for found in PLACEHOLDER.finditer(command):
        name = found.group("name")
        if name in known or (name or "").startswith("env:"):
            hint = "use a list, which needs no quoting, or $ANSWER_<NAME>, $MP_SESSION, $MP_PROMPT_FILE"
            raise Fault(f"{{{name}}} is not filled in a shell command", hint=hint, step=step)


def fill(text: str, *, values: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Replace each placeholder by its value, once: what a value contains stays as it is."""

    def value_of(found: re.Match[str]) -> str:
        literal, name = found.group("literal", "name")
        if literal is not None:
            return f"{{{literal}}}"
        if name.startswith("env:"):
            return environment[name.removeprefix("env:")]
        return values[name]

    return PLACEHOLDER.sub(value_of, text)
