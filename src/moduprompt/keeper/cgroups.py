"""A run's control group, where the machine lets us make one: nothing of the run escapes it.

    <own group>/moduprompt-<run id>     in the v2 hierarchy, and in each v1 hierarchy whose limit is wanted

Where a service manager has delegated a group and put the daemon into a group SUBGROUP below it, runs go beside the
daemon: only then may limits be set in v2, where a group that holds processes gives none to those below it.
The program joins before it is exec'ed, so whatever it starts is inside, whatever session it takes. Both
versions of control groups are used, also side by side; where there is none, or it may not be written,
`held` is empty and the keeper catches the run as a sub-reaper. A limit holds when the kernel took it;
nobody promises more (kernel.org/doc/html/latest/admin-guide/cgroup-v2.html, cgroup-v1/).
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from collections.abc import Iterable

    from moduprompt.keeper.spec import Limits

V2 = ""  # the unified hierarchy's name in /proc/self/cgroup
PREFIX = "moduprompt-"
SUBGROUP = "mpd"  # the unit's DelegateSubgroup=
UNLIMITED = 1 << 60  # v1 says "no limit" by a number close to 2**63
INNER_MAX = 1_000  # groups that a program of root's has made in its own: a container or two, never so many
PERIOD_US = 100_000  # of a processor's share: the kernel's own default

# (our name, v1 controller, v1 file, v2 file)
_FILES = (
    ("memory_bytes_max", "memory", "memory.limit_in_bytes", "memory.max"),
    ("processes_max", "pids", "pids.max", "pids.max"),
    ("cpu_cores_max", "cpu", "cpu.cfs_quota_us", "cpu.max"),
)


class Cgroup:
    """The group of one run. Making it never fails; what could not be made holds nothing."""

    def __init__(self, run_id: str, limits: "Limits") -> None:
        self.held: list[str] = []
        self._folders: dict[str, str] = {}
        parents = _parents()
        self._make(V2, parents, run_id)
        for name, controller, v1_file, v2_file in _FILES:
            wanted: float | None = getattr(limits, name)
            if wanted is None:
                continue
            is_held = self._takes_v2(parents, controller, v2_file, _v2_value(name, wanted))
            if not is_held and self._make(controller, parents, run_id):
                is_held = self._write(controller, v1_file, _v1_value(name, wanted))
            if is_held:
                self.held.append(name)
        if not self._folders:  # to catch by, any hierarchy will do
            self._make("pids", parents, run_id)

    @property
    def folders(self) -> list[str]:
        """Where it lies: whoever looks for it later may stand in another group than whoever made it."""
        return sorted(self._folders.values())

    @property
    def catches(self) -> bool:
        """Whether everything of the run is in it."""
        return bool(self._folders)

    def enter(self) -> None:
        """The calling process joins. Raises OSError: a run that should be confined and isn't must not start."""
        for folder in self._folders.values():
            _write(f"{folder}/cgroup.procs", "0")

    def pids(self) -> list[int]:
        """Who is inside now, zombies too."""
        return _pids(next(iter(self._folders.values()), ""))

    def kill(self) -> None:
        """SIGKILL to all at once, where the kernel can (v2 since 5.14)."""
        if V2 in self._folders:
            self._write(V2, "cgroup.kill", "1")

    def was_short_of_memory(self) -> bool:
        """Whether the kernel has killed something in it for its memory."""
        for name, file in ((V2, "memory.events"), ("memory", "memory.oom_control")):
            text = _read(f"{self._folders[name]}/{file}") if name in self._folders else ""
            words = text.split()
            if "oom_kill" in words and words[words.index("oom_kill") + 1] != "0":
                return True
        return False

    def remove(self) -> bool:
        """Let go of the empty group. False while something is still in it."""
        for name, folder in list(self._folders.items()):
            if _remove(folder):
                del self._folders[name]
        return not self._folders

    def _make(self, name: str, parents: "dict[str, str]", run_id: str) -> bool:
        if name in self._folders:
            return True
        if name not in parents:
            return False
        folder = f"{parents[name]}/{PREFIX}{run_id}"
        try:
            os.mkdir(folder)
        except FileExistsError:
            pass
        except OSError:
            return False
        if not os.access(f"{folder}/cgroup.procs", os.W_OK):
            _remove(folder)
            return False
        self._folders[name] = folder
        return True

    def _takes_v2(self, parents: "dict[str, str]", controller: str, file: str, value: str) -> bool:
        if V2 not in self._folders:
            return False
        if not os.access(f"{self._folders[V2]}/{file}", os.W_OK):
            try:
                _write(f"{parents[V2]}/cgroup.subtree_control", f"+{controller}")
            except OSError:
                return False  # the parent holds processes of its own, or never had this controller
        return self._write(V2, file, value)

    def _write(self, name: str, file: str, value: str) -> bool:
        try:
            _write(f"{self._folders[name]}/{file}", value)
        except OSError:
            return False
        return True


def left_in(run_id: str, noted: "Iterable[str]" = ()) -> list[int]:
    """Who lives in the group of a run whose keeper is gone; the group goes when nobody does.

    `noted`: where its keeper has said that the group lies. Only a folder by the run's own name is believed.
    """
    name = PREFIX + run_id
    folders = {f"{parent}/{name}" for parent in _parents().values()}
    folders |= {folder for folder in noted if os.path.basename(folder) == name}
    found: list[int] = []
    for folder in sorted(folders):
        inside = _pids(folder)
        found += inside
        if not inside:
            _remove(folder)
    return sorted(set(found))


def holds(pid: int, run_id: str) -> bool:
    """Whether this process is in the group of this run, as it says itself."""
    lines = _read(f"/proc/{pid}/cgroup").splitlines()
    return any(f"/{PREFIX}{run_id}/" in f"{line}/" for line in lines)


def memory_left() -> int | None:
    """Bytes until our own group's limit, counting what the kernel can drop as free; None without a limit."""
    parents = _parents()
    for name, limit, used in (
        (V2, "memory.max", "memory.current"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        folder = parents.get(name)
        bound, taken = (_read(f"{folder}/{file}").strip() for file in (limit, used))
        if folder and bound.isdigit() and taken.isdigit() and int(bound) < UNLIMITED:
            words = _read(f"{folder}/memory.stat").split()
            cached = int(words[words.index("inactive_file") + 1]) if "inactive_file" in words else 0
            return max(0, int(bound) - int(taken) + cached)
    return None


def groups() -> list[str]:
    """The runs that have a control group below our own, whoever's they are."""
    found: set[str] = set()
    for parent in _parents().values():
        found |= {name[len(PREFIX) :] for name in _list(parent) if name.startswith(PREFIX)}
    return sorted(found)


def _parents() -> "dict[str, str]":
    """The own group's folder in each hierarchy, by controller; where there is none, nothing."""
    own: dict[str, str] = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    if os.path.basename(own.get(V2, "")) == SUBGROUP:
        own[V2] = os.path.dirname(own[V2])
    found: dict[str, str] = {}
    for line in _read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        root, mounted = before.split()[3:5]
        kind, _, options = after.split()[:3]
        names = [V2] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for name in names:
            folder = f"{mounted}/{own.get(name, '').removeprefix(root).strip('/')}".rstrip("/")
            if name in own and os.path.isdir(folder):
                found[name] = folder
    return found


def _v1_value(name: str, wanted: float) -> str:
    return str(int(wanted * PERIOD_US) if name == "cpu_cores_max" else int(wanted))


def _v2_value(name: str, wanted: float) -> str:
    return f"{int(wanted * PERIOD_US)} {PERIOD_US}" if name == "cpu_cores_max" else str(int(wanted))


def _pids(folder: str) -> list[int]:
    return [int(pid) for each in _with_inner(folder) for pid in _read(f"{each}/cgroup.procs").split()]


def _with_inner(folder: str) -> "list[str]":
    """This group behind those that its program has made in it: who is in one of those is in none above it."""
    try:
        has_inner = os.stat(folder).st_nlink > 2
    except OSError:
        return []
    if not has_inner:
        return [folder]
    found = [each for each, _, _ in os.walk(folder)][:INNER_MAX]
    return found[::-1]


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _remove(folder: str) -> bool:
    for each in _with_inner(folder):
        try:
            os.rmdir(each)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
