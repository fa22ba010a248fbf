"""Turn the process the daemon started into one that belongs to nobody.

    daemon ── this process ── intermediate ── keeper (own session, adopted by init)
                   └── waits for the keeper's word, then exits with its code

The keeper is exec'ed afresh, because `prctl` needs ctypes and an interpreter that never loaded it is
half a megabyte smaller. Being a sub-reaper survives exec: whatever the agent program leaves behind is
handed to the keeper, which can then see it and end it.
"""

import os
import sys

EXIT_STARTED = 0  # the first report (started or start_failed) is durable and the socket listens
EXIT_BAD_SPEC = 2  # usage or spec; nothing was created
EXIT_HELD = 3  # another keeper holds this run directory: the run is in good hands
EXIT_USED = 4  # the run had a keeper that is gone; a run is never started twice
EXIT_UNUSABLE = 5  # the run directory, the terminal or the machine refused; the reason is on stderr

PR_SET_CHILD_SUBREAPER = 36


def detach(program: str, run_dir: str) -> int:
    """Start the detached keeper and wait until it says how it went. Returns its exit code."""
    listen, speak = os.pipe()
    intermediate = os.fork()
    if intermediate == 0:
        os.close(listen)
        _become_keeper(program, run_dir, speak)
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


def _become_keeper(program: str, run_dir: str, speak: int) -> None:
    try:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        adoption = "subreaper" if _become_subreaper() else "marker"
        os.closerange(3, speak)
        os.closerange(speak + 1, os.sysconf("SC_OPEN_MAX"))
        os.set_inheritable(speak, True)
        command = [sys.executable, "-I", "-S", program, "keep", run_dir, str(speak), adoption]
        os.execv(sys.executable, command)  # becoming the keeper is what this is for
    except OSError as error:
        acknowledge(speak, EXIT_UNUSABLE, f"cannot detach: {error}\n")
    finally:
        os._exit(EXIT_UNUSABLE)


def _become_subreaper() -> bool:
    # An interpreter may be built without ctypes. Then orphans are found by their MP_RUN instead.
    try:
        import ctypes
    except ImportError:
        return False
    refused: int = ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return refused == 0
