"""What a keeper is told to run. It arrives on standard input and is never on disk: it holds a token.

The environment is exact: the agent program gets these variables and no others.
"""

from moduprompt.keeper.pipes import FILE, NONE, OPEN
from moduprompt.keeper.wire import FrameError, Message

SPEC_BYTES_MAX = 4 * 1024 * 1024  # argv and environment together may not exceed what exec takes anyway
ARGUMENT_CHARS_MAX = 131_071  # Linux refuses longer single strings
GRACES = 3  # after SIGINT, after SIGTERM, after SIGKILL
GRACE_S_MAX = 3600.0
WALL_S_MAX = 366 * 86_400.0
CORES_MIN, CORES_MAX = 0.01, 4096.0  # the kernel takes no share below a hundredth
OPENING_BYTES_MAX = 1024 * 1024  # as much as may wait for a program that doesn't read
TERMINAL, PIPES = "terminal", "pipes"
ROWS_MAX = COLS_MAX = 10_000  # fits the 16 bits of a window size and keeps a program's buffers sane


class Limits:
    """Hard limits. None means unlimited."""

    __slots__ = (
        "cpu_cores_max",
        "cpu_s",
        "file_bytes_max",
        "idle_s",
        "memory_bytes_max",
        "open_files_max",
        "output_bytes_max",
        "processes_max",
        "wall_s",
    )

    def __init__(self, message: Message) -> None:
        self.wall_s = message.number("wall_s", 0.001, WALL_S_MAX) if message.has("wall_s") else None
        self.idle_s = message.number("idle_s", 0.001, WALL_S_MAX) if message.has("idle_s") else None
        cores = "cpu_cores_max"
        self.cpu_cores_max = message.number(cores, CORES_MIN, CORES_MAX) if message.has(cores) else None
        self.memory_bytes_max = _optional(message, "memory_bytes_max")
        self.processes_max = _optional(message, "processes_max")
        self.output_bytes_max = _optional(message, "output_bytes_max")
        self.cpu_s = _optional(message, "cpu_s")
        self.file_bytes_max = _optional(message, "file_bytes_max")
        self.open_files_max = _optional(message, "open_files_max")
        message.finish()

    def given(self) -> "dict[str, float]":
        """Those that there are, by name."""
        found: dict[str, float | None] = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in found.items() if value is not None}


class Spec:
    """A checked spec. Raises FrameError when anything is missing, unknown or out of bounds."""

    __slots__ = (
        "argv",
        "cols",
        "cwd",
        "env",
        "graces_s",
        "io",
        "limits",
        "nonce",
        "opening",
        "rows",
        "run_id",
        "stdin",
        "stdin_file",
    )

    def __init__(self, raw: bytes) -> None:
        message = Message(raw)
        message.integer("version", 1, 1)
        self.run_id = message.text("run_id", 100)
        self.argv = message.texts("argv", 10_000, ARGUMENT_CHARS_MAX)
        self.cwd = message.text("cwd", 4096)
        self.env = _environment(message.nested("env"))
        self.rows = message.integer("rows", 1, ROWS_MAX)
        self.cols = message.integer("cols", 1, COLS_MAX)
        self.nonce = message.text("nonce", 200)
        self.limits = Limits(message.nested("limits"))
        self.graces_s = _graces(message.nested("stop_graces_s"))
        self.io = _one_of(message, "io", (TERMINAL, PIPES))
        self.stdin = _one_of(message, "stdin", (NONE, FILE, OPEN))
        self.stdin_file = message.text("stdin_file", 4096) if message.has("stdin_file") else ""
        self.opening = message.data("opening", OPENING_BYTES_MAX) if message.has("opening") else b""
        message.finish()
        self._check_stdin()
        if not self.argv or not self.argv[0] or not self.cwd.startswith("/") or not self.nonce:
            raise FrameError("bad_field", "argv must name a program, cwd must be absolute, nonce must be set")

    def _check_stdin(self) -> None:
        if self.io == TERMINAL and (self.stdin != NONE or self.stdin_file or self.opening):
            raise FrameError("bad_field", "stdin is for pipes: a terminal is its own")
        if (self.stdin == FILE) != self.stdin_file.startswith("/"):
            raise FrameError("bad_field", "stdin_file must be an absolute path, and stdin say file")
        if self.opening and self.stdin != OPEN:
            raise FrameError("bad_field", "opening needs an open stdin")


def _one_of(message: Message, name: str, values: tuple[str, ...]) -> str:
    """The first where the field is absent: what the oldest daemons say."""
    if not message.has(name):
        return values[0]
    value = message.text(name, 20)
    if value not in values:
        raise FrameError("bad_field", f"{name} must be one of {', '.join(values)}")
    return value


def _environment(message: Message) -> dict[str, str]:
    names = message.names()
    if any(not name or "=" in name or "\0" in name for name in names):
        raise FrameError("bad_field", "env has an impossible name")
    return {name: message.text(name, ARGUMENT_CHARS_MAX) for name in names}


def _graces(message: Message) -> tuple[float, float, float]:
    graces = tuple(message.number(name, 0.0, GRACE_S_MAX) for name in ("interrupt", "terminate", "kill"))
    message.finish()
    return graces[0], graces[1], graces[2]


def _optional(message: Message, name: str) -> int | None:
    return message.integer(name, 1, 2**53) if message.has(name) else None
