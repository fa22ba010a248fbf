"""The child side: everything that must be set before the agent program is exec'ed.

`launch` forks. The child becomes the leader of a session of its own, with the terminal as its controlling
terminal or with pipes, and gets exactly the declared environment, folder, limits, and a fresh set of signals. What goes
wrong before or in exec comes back through a pipe that a successful exec closes, so a program that could
not be started is never mistaken for one that failed.
"""

import errno
import json
import os
import resource
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:  # see moduprompt.keeper
    from moduprompt.keeper.cgroups import Cgroup
    from moduprompt.keeper.pipes import Pipes
    from moduprompt.keeper.spec import Limits, Spec
    from moduprompt.keeper.terminal import Terminal

PROGRAM_MISSING = "program_missing"
SPAWN_FAILED = "spawn_failed"

_LIMITS = (
    (resource.RLIMIT_CPU, "cpu_s"),
    (resource.RLIMIT_FSIZE, "file_bytes_max"),
    (resource.RLIMIT_NOFILE, "open_files_max"),
)


class LaunchError(Exception):
    """The program could not be started. `failure` is a failure class of the domain."""

    def __init__(self, failure: str, number: int, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.errno = number


def launch(spec: "Spec", stand: "Terminal | Pipes", *, cgroup: "Cgroup") -> int:
    """Start the program on this terminal or these pipes, in this group. Returns its process id. Raises LaunchError."""
    listen, speak, pid = _forked()
    if pid == 0:
        _become_program(spec, stand, speak, cgroup)
    os.close(speak)
    word = b""
    while chunk := os.read(listen, 4096):
        word += chunk
    os.close(listen)
    if not word:
        return pid
    os.waitpid(pid, 0)
    failure, number, message = json.loads(word)
    raise LaunchError(failure, number, message)


def _forked() -> tuple[int, int, int]:
    """Both ends of a pipe that close on exec, and what a fork gives. A machine without room starts nothing."""
    pipe: tuple[int, ...] = ()
    try:
        pipe = os.pipe()
        return pipe[0], pipe[1], os.fork()
    except OSError as error:
        for fd in pipe:
            os.close(fd)
        message = f"no process could be made: {error.strerror}"
        raise LaunchError(SPAWN_FAILED, error.errno or 0, message) from None


def _become_program(spec: "Spec", stand: "Terminal | Pipes", speak: int, cgroup: "Cgroup") -> None:
    try:
        signal.set_wakeup_fd(-1)  # else a signal in this process would wake the keeper
        cgroup.enter()
        os.umask(0o022)
        stand.take()
        _enter(spec.cwd)
        _limit(spec.limits)
        _reset_signals()
        _close_all_but(speak)
        _execute(spec.argv, spec.env)
    except LaunchError as error:
        _report(speak, error.failure, error.errno, str(error))
    except (OSError, ValueError) as error:
        _report(speak, SPAWN_FAILED, getattr(error, "errno", 0) or 0, str(error))
    finally:
        os._exit(127)


def _report(speak: int, failure: str, number: int, message: str) -> None:
    os.write(speak, json.dumps([failure, number, message[:1000]]).encode())


def _enter(cwd: str) -> None:
    try:
        os.chdir(cwd)
    except OSError as error:
        raise LaunchError(
            SPAWN_FAILED, error.errno or 0, f"working directory {cwd}: {error.strerror}"
        ) from None


def _limit(limits: "Limits") -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the run's token
    for kind, name in _LIMITS:
        wanted: int | None = getattr(limits, name)
        if wanted is not None:
            hard = resource.getrlimit(kind)[1]
            value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(kind, (value, value))


def _reset_signals() -> None:
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _close_all_but(speak: int) -> None:
    os.closerange(3, speak)
    os.closerange(speak + 1, os.sysconf("SC_OPEN_MAX"))


def _execute(argv: list[str], env: dict[str, str]) -> None:
    program = _find(argv[0], env.get("PATH", os.defpath))
    try:
        os.execve(program, argv, env)  # running programs is what a keeper does
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script without a first line; execvp(3) hands it to the shell too
            os.execve("/bin/sh", ["/bin/sh", program, *argv[1:]], env)
        if error.errno == errno.ENOENT:  # the file is there, so what is missing is what runs it
            message = f"{program} is there, but the interpreter it names is not"
            raise LaunchError(SPAWN_FAILED, errno.ENOENT, message) from None
        raise LaunchError(SPAWN_FAILED, error.errno or 0, f"{program}: {error.strerror}") from None


def _find(name: str, path: str) -> str:
    candidates = [name] if "/" in name else [f"{folder or '.'}/{name}" for folder in path.split(":")]
    present = [candidate for candidate in candidates if os.path.isfile(candidate)]
    for candidate in present:
        if os.access(candidate, os.X_OK):
            return candidate
    if present:
        raise LaunchError(SPAWN_FAILED, errno.EACCES, f"{present[0]} is not executable")
    if os.path.isdir(name) and "/" in name:
        raise LaunchError(SPAWN_FAILED, errno.EISDIR, f"{name} is a directory")
    where = "" if "/" in name else f" in PATH ({path})"
    raise LaunchError(PROGRAM_MISSING, errno.ENOENT, f"program {name} was not found{where}")
