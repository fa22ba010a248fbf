"""Runs one `git` command: an exact environment, a time limit, bounded output, no terminal.

- The environment is built, not inherited: an allow-list of the caller's variables and
  ours, so that no GIT_DIR or GIT_INDEX_FILE of whoever started the daemon leads us astray.
- Hooks do not run. These are the daemon's own bookkeeping commands: a hook would be a
  repository's code running outside the run's terminal, sandbox and time limit, free to
  block or to rewrite what we are about to report. Agents' commits run in their terminals
  with the hooks they have. Filters (`.gitattributes`) do run, or files would be wrong.
- The user's configuration counts (identity, filters, safe.directory), but nothing in it may
  ask, sign, page, open an editor, start a file-system monitor or a collection in the background.
- A time limit ends the command's process group, politely first, because git removes its lock
  files on SIGTERM. A lock that a killed git left behind is recognised and removed (stale_lock.py).
- Failure is raised as `Refused` and turned into a value once, in program.py.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from moduprompt.effects.execution import execute
from moduprompt.effects.git.parse import complaint, lock_in_the_way, met_half_made_worktree
from moduprompt.effects.git.port import GitRefusal, RefusalReason
from moduprompt.effects.git.stale_lock import lock_is_out_of_the_way

TIME_LIMIT_S = 120.0  # adding a worktree of the largest repositories we know takes under a minute
OUTPUT_BYTES_MAX = 16 * 1024 * 1024  # names of some 200,000 files; more is no list that anybody wants
END_GRACE_S = 2.0  # git removes its lock files within milliseconds of SIGTERM
LOCK_WAIT_S = 3.0  # a git that is at work renews or drops its lock well within this

HALF_MADE_S = 0.05  # another git fills the files of a worktree it makes within milliseconds
HALF_MADE_TRIES = 20  # then nobody is making it any more, and what git says stands

# What git and the programs it calls need from outside: where configuration, keys and
# temporary files are. Everything else stays out.
PASSED_ON = (
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "TMPDIR",
    "TZ",
    "USER",
    "LOGNAME",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
)

OURS = {
    "LC_ALL": "C",  # complaint() reads git's sentences
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",  # a look at the status never stands in the way of an agent's git
    "GIT_EDITOR": "true",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_ASKPASS": "true",
    "GIT_PAGER": "cat",
    "GIT_MERGE_AUTOEDIT": "no",
    "GIT_ADVICE": "0",
}

SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.safecrlf=false",  # a warning about line ends must not refuse a commit
    "core.quotePath=false",
    "commit.gpgSign=false",  # nobody is there to unlock a key
    "tag.gpgSign=false",
    "merge.verifySignatures=false",
    "merge.autoStash=false",  # local changes in the way are named, not moved under what comes
    "rerere.enabled=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "advice.addEmbeddedRepo=false",
    "worktree.guessRemote=false",
    "color.ui=false",
)


class Output(msgspec.Struct, frozen=True, kw_only=True):
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def line(self) -> str:
        """One value, such as an id or a path: only the final newline is git's own."""
        return self.stdout.removesuffix(b"\n").decode("utf-8", "surrogateescape")


class Refused(Exception):  # it carries a refusal, it is not a fault
    def __init__(self, refusal: GitRefusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def refuse(
    reason: RefusalReason, message: str, *, path: str, hint: str = "", files: tuple[str, ...] = ()
) -> Refused:
    return Refused(GitRefusal(reason=reason, message=message, path=path, hint=hint, files=files))


class GitProcess:
    """Starts git. Safe to share: it holds no state between calls."""

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        program: str = "git",
        time_limit_s: float = TIME_LIMIT_S,
        lock_wait_s: float = LOCK_WAIT_S,
    ) -> None:
        self._environment = {name: environment[name] for name in PASSED_ON if name in environment} | OURS
        self._program = program
        self._time_limit_s = time_limit_s
        self._lock_wait_s = lock_wait_s
        self._settings = tuple(part for setting in SETTINGS for part in ("-c", setting))

    async def run(
        self,
        *arguments: str,
        at: str | Path,
        accept: tuple[int, ...] = (0,),
        extra: Mapping[str, str] | None = None,
    ) -> Output:
        """Run git in the folder `at`. Exit codes outside `accept` raise `Refused` with git's own words."""
        command = (self._program, "-C", str(at), *self._settings, *arguments)
        output = await self._once(command, at=str(at), extra=extra or {})
        for _ in range(HALF_MADE_TRIES):
            if output.code == 0 or not met_half_made_worktree(output.stderr):
                break
            await asyncio.sleep(HALF_MADE_S)
            output = await self._once(command, at=str(at), extra=extra or {})
        # Before the exit code is judged: one that the caller can live with may be due to a lock of the dead all the same.
        lock = lock_in_the_way(output.stderr) if output.code != 0 else None
        if lock and await lock_is_out_of_the_way(Path(lock), wait_s=self._lock_wait_s):
            output = await self._once(command, at=str(at), extra=extra or {})
        if output.code not in accept:
            raise Refused(refusal_of(output, path=str(at)))
        return output

    async def _once(self, command: tuple[str, ...], *, at: str, extra: Mapping[str, str]) -> Output:
        try:
            done = await execute(
                command,
                env=self._environment | dict(extra),
                within_s=self._time_limit_s,
                stdout_bytes_max=OUTPUT_BYTES_MAX,
                grace_s=END_GRACE_S,
            )
        except (FileNotFoundError, PermissionError) as broken:
            message = f"the program {self._program!r} can't be started: {broken.strerror}"
            raise refuse("git_missing", message, path=at, hint="install git, or put it on PATH") from broken
        except ValueError as broken:  # a NUL byte in an argument
            raise refuse("git_failed", f"an argument git can't take: {broken}", path=at) from broken
        except TimeoutError as late:
            message = f"git did not finish within {self._time_limit_s:g} s: {' '.join(_verb(command))}"
            raise refuse("timed_out", message, path=at) from late
        if done.is_cut:
            raise refuse("git_failed", f"git printed more than {OUTPUT_BYTES_MAX} bytes", path=at)
        return Output(code=done.code, stdout=done.stdout, stderr=done.stderr)


def _verb(command: tuple[str, ...]) -> tuple[str, ...]:
    """The words that say which command it was, without settings and values."""
    return command[3 + 2 * len(SETTINGS) :][:2]


def refusal_of(output: Output, *, path: str) -> GitRefusal:
    """Word git's failure as a refusal: the few cases with a remedy of their own, else its own sentence."""
    words = complaint(output.stderr)
    if "dubious ownership" in words:
        hint = f"git config --global --add safe.directory {path}"
        return GitRefusal(
            reason="git_failed", message=f"{path} belongs to another user", path=path, hint=hint
        )
    if "not a git repository" in words or "must be run in a work tree" in words:
        return GitRefusal(
            reason="not_a_repository",
            message=f"{path} is not inside the working tree of a git repository",
            path=path,
            hint=f"git init {path}",
        )
    lock = lock_in_the_way(output.stderr)
    hint = f"if no git is running there, remove {lock}" if lock else ""
    return GitRefusal(reason="git_failed", message=words, path=path, hint=hint)
