"""Where things lie and how the daemon listens: one frozen tree, read once.

Order of precedence: command line, `MP_*` variables, `config.toml`, the defaults of the
platform (XDG Base Directory Specification 0.8).
"""

import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

SOCKET_PATH_MAX: Final = 107  # sun_path of Linux has 108 bytes, the last one a zero
RUN_SOCKET_CHARS: Final = 12  # of a run's id, its end: 48 random bits
CONFIG_BYTES_MAX: Final = 64 * 1024  # a configuration, not a document
MEASURE: Final = re.compile(r"([0-9]{1,12})([A-Za-z]?)")  # twelve digits: a terabyte in bytes
SIZES: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
TIMES: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MEASURE_MAX: Final = {"wall": 366 * 86_400, "idle": 366 * 86_400, "memory": 2**50, "output": 2**50}
"""What a keeper takes at most: with more, every run would end before it starts."""
CAPSULE_CHARS_MOST: Final = 20_000  # that a capsule may be allowed: more is a transcript
CapsuleKindWord: TypeAlias = Literal["status", "plan", "decision", "manifest", "risk"]
RUNS_MAX: Final = 100_000  # more than any machine has processes for: a slip of the finger


AGENTS_NOT_CONFINED: Final = (
    "the daemon's main socket and daemon.json are not hidden from this run: "
    "its program runs as the same user (docs/security.md)"
)
"""What `mpctl run show` says until runs are confined."""


class ConfigRefused(Exception):
    """The configuration can't be used. `path` is where, `hint` what to do."""

    def __init__(self, message: str, *, path: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint


class AdapterLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of one agent program may take, as a person has set it; None: as its adapter says."""

    wall_s: float | None = None
    idle_s: float | None = None
    memory_bytes_max: int | None = None
    processes_max: int | None = None
    cpu_cores_max: float | None = None
    output_bytes_max: int | None = None


class LimitWords(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `[limits.<adapter>]` of `config.toml`: `memory = "4G"`, `wall = "8h"`."""

    wall: str | None = None
    idle: str | None = None
    memory: str | None = None
    output: str | None = None
    processes: Annotated[int, msgspec.Meta(ge=1)] | None = None
    cores: Annotated[float, msgspec.Meta(ge=0.01, le=4096)] | None = None

    def to_limits(self) -> AdapterLimits:
        """In seconds and bytes. Raises ValueError."""
        return AdapterLimits(
            wall_s=_measured("wall", self.wall, TIMES),
            idle_s=_measured("idle", self.idle, TIMES),
            memory_bytes_max=_measured("memory", self.memory, SIZES),
            output_bytes_max=_measured("output", self.output, SIZES),
            processes_max=self.processes,
            cpu_cores_max=self.cores,
        )


class Choices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person can choose: the fields of `config.toml` and the flags of the same names."""

    data_dir: str | None = None
    runtime_dir: str | None = None
    db: str | None = None
    listen: str | None = None
    live_runs_max: Annotated[int, msgspec.Meta(ge=1, le=RUNS_MAX)] | None = None
    limits: dict[str, LimitWords] | None = None
    capsules: dict[CapsuleKindWord, Annotated[int, msgspec.Meta(ge=1, le=CAPSULE_CHARS_MOST)]] | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What the programs use."""

    data_dir: Path
    runtime_dir: Path
    log_db: Path
    listen: str | None
    live_runs_max: int | None = None  # None: as many as the daemon takes by itself
    limits: Mapping[str, AdapterLimits] = {}  # by the names of adapters
    capsules: Mapping[CapsuleKindWord, int] = {}  # characters, where they differ from the kind's own bound

    @property
    def state_dir(self) -> Path:
        """Log, views, audit, snapshots: beside the log, wherever that is."""
        return self.log_db.parent

    @property
    def views_db(self) -> Path:
        """Read models."""
        return self.state_dir / "views.sqlite"

    @property
    def snapshots_db(self) -> Path:
        """State at a sequence, to save folding; may be deleted at any time."""
        return self.state_dir / "snapshots.sqlite"

    @property
    def secret_file(self) -> Path:
        """What run tokens are derived from; mode 0600."""
        return self.state_dir / "secret"

    @property
    def lock_file(self) -> Path:
        """Held by the one daemon that owns this data."""
        return self.state_dir / "mpd.lock"

    @property
    def artifacts_dir(self) -> Path:
        """Content-addressed blobs."""
        return self.data_dir / "artifacts"

    @property
    def runs_dir(self) -> Path:
        """One folder a run: keeper socket, journal, recording."""
        return self.data_dir / "runs"

    @property
    def worktrees_dir(self) -> Path:
        """Where worktrees are made."""
        return self.data_dir / "worktrees"

    @property
    def logs_dir(self) -> Path:
        """What the daemon itself has to say."""
        return self.data_dir / "logs"

    @property
    def socket(self) -> Path:
        """The daemon's socket."""
        return self.runtime_dir / "mpd.sock"

    @property
    def run_sockets_dir(self) -> Path:
        """One socket for each live run."""
        return self.runtime_dir / "agents"

    @property
    def runtime_lock_file(self) -> Path:
        """Held by the one daemon that listens here: two with different data must not share a folder."""
        return self.runtime_dir / "mpd.lock"

    @property
    def daemon_file(self) -> Path:
        """`daemon.json`: how clients find the daemon; mode 0600."""
        return self.runtime_dir / "daemon.json"


class DaemonFile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `daemon.json`."""

    addr: str
    socket: str
    token: str
    pid: int
    db_path: str
    started_at: str
    version: str


def load_config(flags: Choices, environ: Mapping[str, str]) -> Config:
    """The configuration. Raises ConfigRefused."""
    given = _merge(flags, _from_environ(environ), _from_file(environ))
    data_dir = _absolute(given.data_dir) or _data_home(environ) / "moduprompt"
    runtime_dir = _absolute(given.runtime_dir) or _runtime_home(environ, data_dir)
    log_db = _absolute(given.db) or data_dir / "state" / "log.sqlite"
    config = Config(
        data_dir=data_dir,
        runtime_dir=runtime_dir,
        log_db=log_db,
        listen=given.listen,
        live_runs_max=given.live_runs_max,
        limits=_limits(given, environ),
        capsules=given.capsules or {},
    )
    longest = config.run_sockets_dir / run_socket_name("0" * RUN_SOCKET_CHARS)
    if len(os.fsencode(longest)) > SOCKET_PATH_MAX:
        raise ConfigRefused(
            f"the path of a socket, {longest}, has {len(os.fsencode(longest))} bytes; "
            f"the system takes {SOCKET_PATH_MAX}",
            path=str(longest),
            hint="choose a shorter folder with --runtime-dir or MP_RUNTIME_DIR",
        )
    return config


def run_socket_name(run_id: str) -> str:
    """The file name of a run's socket: short, and the same after a restart."""
    return f"{run_id[-RUN_SOCKET_CHARS:]}.sock"


def config_file(environ: Mapping[str, str]) -> Path:
    """Where `config.toml` is looked for."""
    home = environ.get("XDG_CONFIG_HOME")
    base = Path(home) if home and Path(home).is_absolute() else _home(environ) / ".config"
    if sys.platform == "darwin" and not home:
        base = _home(environ) / "Library" / "Application Support"
    return base / "moduprompt" / "config.toml"


def _from_environ(environ: Mapping[str, str]) -> Choices:
    return Choices(
        data_dir=environ.get("MP_DATA_DIR") or None,
        runtime_dir=environ.get("MP_RUNTIME_DIR") or None,
        db=environ.get("MP_DB") or None,
        listen=environ.get("MP_LISTEN") or None,
    )


def _from_file(environ: Mapping[str, str]) -> Choices:
    path = config_file(environ)
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return Choices()
    try:
        if len(data) > CONFIG_BYTES_MAX:
            raise ValueError(f"it has more than {CONFIG_BYTES_MAX} bytes")
        return msgspec.convert(tomllib.loads(data.decode()), type=Choices)
    except (ValueError, RecursionError) as fault:  # no TOML, no UTF-8, unknown settings, a number without end
        raise ConfigRefused(
            f"{path}: {fault}", path=str(path), hint=f"known settings: {', '.join(Choices.__struct_fields__)}"
        ) from fault


def _limits(given: Choices, environ: Mapping[str, str]) -> dict[str, AdapterLimits]:
    try:
        return {name: words.to_limits() for name, words in (given.limits or {}).items()}
    except ValueError as fault:
        path = config_file(environ)
        hint = 'a size is 512M, 4G; a time is 90s, 30m, 8h, 2d: [limits.command] memory = "4G"'
        raise ConfigRefused(f"{path}: [limits]: {fault}", path=str(path), hint=hint) from fault


def _measured(name: str, text: str | None, units: Mapping[str, int]) -> int | None:
    if text is None:
        return None
    found = MEASURE.fullmatch(text)
    if found is None or found[2] not in units or int(found[1]) == 0:
        raise ValueError(f"{name} can't be {text[:40]!r}")
    value = int(found[1]) * units[found[2]]
    if value > MEASURE_MAX[name]:
        raise ValueError(f"{name} can't be {text!r}: that is more than a run can be held to")
    return value


def _merge(*layers: Choices) -> Choices:
    """Of each setting the first that is given."""
    merged = Choices()
    for layer in reversed(layers):
        given = {name: value for name, value in msgspec.structs.asdict(layer).items() if value is not None}
        merged = msgspec.structs.replace(merged, **given)
    return merged


def _absolute(path: str | None) -> Path | None:
    if path is None:
        return None
    try:
        if "\0" in path:
            raise RuntimeError("it holds a NUL byte")
        return Path(path).expanduser().absolute()
    except RuntimeError as fault:  # also where `~name` names nobody
        raise ConfigRefused(
            f"{path!r} is no folder: {fault}", path=path, hint="say it as an absolute path"
        ) from fault


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    return Path(home) if home else Path("~").expanduser()


def _data_home(environ: Mapping[str, str]) -> Path:
    home = environ.get("XDG_DATA_HOME")
    if home and Path(home).is_absolute():
        return Path(home)
    if sys.platform == "darwin":
        return _home(environ) / "Library" / "Application Support"
    return _home(environ) / ".local" / "share"


def _runtime_home(environ: Mapping[str, str], data_dir: Path) -> Path:
    home = environ.get("XDG_RUNTIME_DIR")
    if home and Path(home).is_absolute() and Path(home).is_dir():
        return Path(home) / "moduprompt"
    return data_dir / "run"
