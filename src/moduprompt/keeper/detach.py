"""Turn the process the daemon started into one that belongs to nobody.

    daemon ── this process ── intermediate ── keeper (own session, adopted by init)
                   └── waits for the keeper's word, then exits with its code

Nothing is exec'ed on the way: an interpreter starts in a tenth of the time that a run costs over its bare program.
Being a sub-reaper, whatever the agent program leaves behind is handed to the keeper, which can then see it and end it.
"""

import os
import sys

EXIT_STARTED = 0  # the first report (started or start_failed) is durable and the socket listens
EXIT_BAD_SPEC = 2  # usage or spec; nothing was created
EXIT_HELD = 3  # another keeper holds this run directory: the run is in good hands
EXIT_USED = 4  # the run had a keeper that is gone; a run is never started twice
EXIT_UNUSABLE = 5  # the run directory, the terminal or the machine refused; the reason is on stderr
EXIT_NOT_NOW = 6  # the same for what passes, and nothing was left behind: ask again

PR_SET_CHILD_SUBREAPER = 36


class Detached:
    """This process is the keeper now. `acknowledge_fd`: where it says how the start went."""

    __slots__ = ("acknowledge_fd", "is_subreaper")

    def __init__(self, acknowledge_fd: int, *, is_subreaper: bool) -> None:
        self.acknowledge_fd = acknowledge_fd
        self.is_subreaper = is_subreaper


def detach(run_dir: str) -> "int | Detached":
    """Returns twice, as a fork does: detached in the keeper, and with its word, an exit code, where it was called."""
    listen, speak = os.pipe()
    intermediate = os.fork()
    if intermediate == 0:
        return _leave(speak)
    os.close(speak)
    os.waitpid(intermediate, 0)
    word = b""
    while chunk := os.read(listen, 4096):
        word += chunk
    if not word:
        sys.stderr.write(f"the keeper died before it could say why; see {run_dir}/keeper.log\n")
        return EXIT_UNUSABLE
    sys.stderr.write(word[1:].decode("utf-8", "replace"))
    return word[0]


def acknowledge(fd: int, code: int, message: str = "") -> None:
    """Tell the waiting process how the start went. The keeper goes on even if nobody waits any more."""
    try:
        os.write(fd, bytes([code]) + message.encode("utf-8", "replace")[:2000])
    except BrokenPipeError:
        pass
    finally:
        os.close(fd)


def _leave(speak: int) -> Detached:
    try:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        is_subreaper = _become_subreaper()
        os.closerange(3, speak)
        os.closerange(speak + 1, os.sysconf("SC_OPEN_MAX"))
    except OSError as error:
        acknowledge(speak, EXIT_UNUSABLE, f"cannot detach: {error}\n")
        os._exit(EXIT_UNUSABLE)
    return Detached(speak, is_subreaper=is_subreaper)


def _become_subreaper() -> bool:
    # What the public module calls: that costs 15 ms and half a megabyte for types that one call doesn't need. An
    # interpreter may be built without it. Then orphans are found by their MP_RUN instead.
    try:
        from _ctypes import call_function, dlopen, dlsym
    except ImportError:
        return False
    itself = dlopen(None, 0)  # pyright: ignore[reportArgumentType] - what the public module hands on for CDLL(None)
    refused: int = call_function(dlsym(itself, "prctl"), (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    return refused == 0
