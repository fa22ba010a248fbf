"""Finds the script in a prompt and reads it: strict JSON in, a tuple of steps out, or one fault that says which step.

    SCRIPT[ {"write": {"path": "a.txt", "content": "hi\\n"}}, {"bash": "git add a.txt"}, {"text": "Done."} ]ENDSCRIPT

A script is refused as a whole: unknown keys, wrong types, two calls in a step, steps that nothing reaches.
"""

import hashlib
from typing import NamedTuple

from moduprompt.scripted_model import loose

OPEN, CLOSE = "SCRIPT[", "]ENDSCRIPT"
STEPS_MAX = 10_000  # a session of a day; a script is held in memory once per request
CLOSES_MAX = 20  # closing marks inside the texts of a script, and each costs a reading of it
SECONDS_MAX = 3600.0  # what is silent for longer is no test
TIMES_MAX = 1_000_000  # "for ever" is said by leaving `times` out
TOKENS_MAX = 2**40  # far beyond any bill, and every JSON reader holds it

CALLS = ("write", "read", "bash", "tool")
FAULTS = ("status", "sleep_s", "drip_s", "cut", "malformed")
KEYS = (*CALLS, "text", *FAULTS, "retry_after_s", "times", "usage", "notools")
USAGE = ("input_tokens", "cached_tokens", "output_tokens")
STATUSES = range(400, 600)


class Fault(Exception):
    """Why a script can't be followed: which step, what."""

    def __init__(self, message: str, *, step: int | None = None) -> None:
        super().__init__(message if step is None else f"step {step}: {message}")


class Write(NamedTuple):
    path: str
    content: str


class Read(NamedTuple):
    path: str


class Bash(NamedTuple):
    command: str


class Tool(NamedTuple):
    """A call by name, its arguments as they are."""

    name: str
    arguments: dict[str, object]


Order = Write | Read | Bash | Tool


class Usage(NamedTuple):
    """Tokens that the server says were used."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int


class Trouble(NamedTuple):
    """What goes wrong with a step: `times` times, or for ever where that is None."""

    status: int | None = None
    retry_after_s: int | None = None
    sleep_s: float = 0.0
    drip_s: float = 0.0
    is_cut: bool = False
    is_malformed: bool = False
    times: int | None = None


NO_TROUBLE = Trouble()


class Step(NamedTuple):
    text: str
    order: Order | None
    trouble: Trouble
    usage: Usage | None
    is_without_tools: bool


class Script(NamedTuple):
    """The steps, and a digest of the text that they stood in: what tells one prompt from another."""

    steps: tuple[Step, ...]
    digest: str


def has_script(prompt: str) -> bool:
    return OPEN in prompt


def find_script(prompt: str) -> Script:
    """The last script of a prompt, or `Fault`. One that stands inside another's texts is not looked at.

    A program that hands on its prompt quoted (opencode) puts a backslash before each quote and changes nothing else.
    """
    found, place = "", prompt.find(OPEN)
    while place >= 0:
        found, end = _cut_out(prompt, place + len(OPEN) - 1)
        place = prompt.find(OPEN, end)
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    return Script(parse_script(found), digest)


def _cut_out(prompt: str, start: int) -> tuple[str, int]:
    """The script that begins here, and where it ends: at the first closing mark that leaves whole JSON, else the first."""
    end = prompt.find(CLOSE, start)
    first = end + 1 if end >= 0 else len(prompt)
    for _ in range(CLOSES_MAX):
        if end < 0:
            break
        raw = prompt[start : end + 1]
        for whole in (raw, raw.replace('\\"', '"')):
            if _is_json(whole):
                return whole, end + 1
        end = prompt.find(CLOSE, end + 1)
    return prompt[start:first], first


def _is_json(raw: str) -> bool:
    try:
        loose.parse(raw)
    except loose.NoJson:
        return False
    return True


def parse_script(raw: str) -> tuple[Step, ...]:
    """All steps of a JSON list, or `Fault`."""
    try:
        entries = loose.parse(raw)
    except loose.NoJson as broken:
        raise Fault(f"{OPEN} … {CLOSE} holds no JSON: {broken}") from broken
    if not loose.is_list(entries) or not entries:
        raise Fault("a script is a list of steps, and not empty")
    if len(entries) > STEPS_MAX:
        raise Fault(f"more than {STEPS_MAX} steps")
    steps = tuple(_step(entry, number=number) for number, entry in enumerate(entries, 1))
    for number, step in enumerate(steps[:-1], 1):
        if step.order is None and step.trouble.status is None:
            raise Fault("a step without a call ends the turn; what follows is never reached", step=number)
    return steps


def _step(entry: object, *, number: int) -> Step:
    fields = _Fields(entry, number=number, keys=KEYS)
    orders = [key for key in CALLS if fields.has(key)]
    if len(orders) > 1:
        raise fields.fault(f"one call in a step, not {' and '.join(orders)}")
    trouble = _trouble(fields)
    is_ever_answered = trouble.status is None or trouble.times is not None
    if not orders and not fields.has("text") and is_ever_answered:
        raise fields.fault(f"a step needs a text or one of {', '.join(CALLS)}")
    order = _order(orders[0], fields) if orders else None
    if trouble.is_malformed and order is None:
        raise fields.fault("only a call can be malformed")
    return Step(
        text=fields.text("text", default=""),
        order=order,
        trouble=trouble,
        usage=_usage(fields),
        is_without_tools=fields.flag("notools"),
    )


def _order(key: str, fields: "_Fields") -> Order:
    match key:
        case "write":
            inner = fields.table("write", ("path", "content"))
            return Write(inner.text("path"), inner.text("content"))
        case "read":
            return Read(fields.text("read"))
        case "bash":
            return Bash(fields.text("bash"))
        case _:
            inner = fields.table("tool", ("name", "arguments"))
            return Tool(inner.text("name"), inner.raw_table("arguments"))


def _trouble(fields: "_Fields") -> Trouble:
    status = fields.whole("status", low=STATUSES.start, high=STATUSES.stop - 1)
    times = fields.whole("times", low=1, high=TIMES_MAX)
    retry_after_s = fields.whole("retry_after_s", low=0, high=int(SECONDS_MAX))
    if times is not None and not any(fields.has(key) for key in FAULTS):
        raise fields.fault(f"times counts a fault: {', '.join(FAULTS)}")
    if retry_after_s is not None and status is None:
        raise fields.fault("retry_after_s stands beside a status")
    return Trouble(
        status=status,
        retry_after_s=retry_after_s,
        sleep_s=fields.seconds("sleep_s"),
        drip_s=fields.seconds("drip_s"),
        is_cut=fields.flag("cut"),
        is_malformed=fields.flag("malformed"),
        times=times,
    )


def _usage(fields: "_Fields") -> Usage | None:
    if not fields.has("usage"):
        return None
    inner = fields.table("usage", USAGE)
    counts = (inner.whole(key, low=0, high=TOKENS_MAX) or 0 for key in USAGE)
    return Usage(*counts)


class _Fields:
    """One table of the script. Each reader takes a key and refuses any other type than its own."""

    def __init__(self, entry: object, *, number: int, keys: tuple[str, ...], where: str = "a step") -> None:
        if not loose.is_table(entry):
            raise Fault(f"{where} must be a table", step=number)
        for key in entry:
            if key not in keys:
                raise Fault(f"unknown key {key!r} in {where}; it may have {', '.join(keys)}", step=number)
        self._entry = entry
        self._number = number

    def fault(self, message: str) -> Fault:
        return Fault(message, step=self._number)

    def has(self, key: str) -> bool:
        return key in self._entry

    def table(self, key: str, keys: tuple[str, ...]) -> "_Fields":
        return _Fields(self._entry[key], number=self._number, keys=keys, where=key)

    def raw_table(self, key: str) -> dict[str, object]:
        value = self._entry.get(key, {})
        if not loose.is_table(value):
            raise self.fault(f"{key} must be a table")
        return value

    def text(self, key: str, *, default: str | None = None) -> str:
        value = self._entry.get(key, default)
        if not isinstance(value, str):
            raise self.fault(f"{key} must be a text")
        return value

    def flag(self, key: str) -> bool:
        value = self._entry.get(key, False)
        if not isinstance(value, bool):
            raise self.fault(f"{key} must be true or false")
        return value

    def whole(self, key: str, *, low: int, high: int) -> int | None:
        value = self._entry.get(key)
        if key not in self._entry:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fault(f"{key} must be a whole number from {low} to {high}")
        return value

    def seconds(self, key: str) -> float:
        value = self._entry.get(key, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= SECONDS_MAX:
            raise self.fault(f"{key} must be a number of seconds from 0 to {SECONDS_MAX:g}")
        return float(value)
