"""Programs that behave as badly as programs do: each run ends in a true state, whole, with nothing left.

Every animal says what it is known to print, so that each byte is compared, and what its end must be.
"""

import hashlib
from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.recording import RecordingReader
from moduprompt.effects.screen.screen import Screen
from moduprompt.keeper import processes
from tests.support.runs import a_run, dialled, exited, gone, output_until, python, shell

MIB = 1024 * 1024
SETUP = (
    "import os, sys, signal, time, tty; tty.setraw(1) if os.isatty(1) else None; out = sys.stdout.buffer; "
)


class Animal(msgspec.Struct, frozen=True, kw_only=True):
    """A program, what it prints (None: not known), and its exit status or signal."""

    program: tuple[str, ...]
    prints: bytes | None = None
    code: int | None = 0
    signal: int | None = None
    leftovers: int = 0


def raw(code: str) -> tuple[str, ...]:
    """A Python program whose terminal changes nothing of what it prints."""
    return python(SETUP + code)


ZOO = {
    "says nothing": Animal(program=shell("exit 0"), prints=b""),
    "ends in the instant it starts": Animal(program=("/bin/true",), prints=b""),
    "ends itself with SIGKILL": Animal(
        program=raw("os.kill(os.getpid(), 9)"), prints=b"", code=None, signal=9
    ),
    "crashes": Animal(program=raw("os.abort()"), prints=b"", code=None, signal=6),
    "prints no UTF-8": Animal(
        program=raw("out.write(bytes(range(256)) * 64)"), prints=bytes(range(256)) * 64
    ),
    "prints a line without an end": Animal(
        program=raw("out.write(b'x' * (4 << 20))"), prints=b"x" * (4 * MIB)
    ),
    "prints escape bombs": Animal(
        program=raw(
            "out.write(b'\\x1b[999999999b\\x1b]0;' + b't' * 100000 + b'\\x1b[9;9;9' + b'\\x1bP' + b'q' * 100000)"
        ),
        prints=b"\x1b[999999999b\x1b]0;" + b"t" * 100_000 + b"\x1b[9;9;9" + b"\x1bP" + b"q" * 100_000,
    ),
    "changes its title all the time": Animal(
        program=raw("[out.write(b'\\x1b]0;%d\\x07' % n) for n in range(20000)]"),
        prints=b"".join(b"\x1b]0;%d\x07" % n for n in range(20_000)),
    ),
    "asks its terminal a thousand times": Animal(
        program=raw("[out.write(b'\\x1b[c\\x1b[6n') for _ in range(1000)]"), prints=b"\x1b[c\x1b[6n" * 1000
    ),
    "forks a thousand times": Animal(
        program=raw(
            "\nfor _ in range(1000):\n  pid = os.fork()\n  if not pid: os._exit(0)\n  os.waitpid(pid, 0)\nout.write(b'done')"
        ),
        prints=b"done",
    ),
    "leaves zombies": Animal(
        program=raw(
            "\nfor _ in range(50):\n  if not os.fork(): os._exit(0)\nout.write(b'fifty'); out.flush(); time.sleep(0.05)"
        ),
        prints=b"fifty",
    ),
    "leaves a child in a session of its own": Animal(
        program=raw("\nif not os.fork():\n  os.setsid(); time.sleep(600)\nout.write(b'gone')"),
        prints=b"gone",
        leftovers=1,
    ),
    "leaves a grandchild that ignores every signal": Animal(
        program=raw(
            "\nr, w = os.pipe()\nif not os.fork():\n  os.setsid()\n  if os.fork(): os._exit(0)\n"
            "  [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]\n  os.write(w, b'.'); time.sleep(600)\n"
            "os.read(r, 1); out.write(b'gone')"
        ),
        prints=b"gone",
        leftovers=1,
    ),
    "closes its terminal and works on": Animal(
        program=raw(
            "out.write(b'bye'); out.flush(); [os.close(n) for n in (0, 1, 2)]; time.sleep(0.3); os._exit(7)"
        ),
        prints=b"bye",
        code=7,
    ),
    "stops itself and is continued": Animal(
        program=shell("(sleep 0.2; kill -CONT $$) & kill -STOP $$; exit 4"), code=4
    ),
}


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "runs")


async def digest(link: port.RunLink) -> tuple[str, int]:
    """SHA-256 and length of everything the run prints, without holding it."""
    seen, size = hashlib.sha256(), 0
    async for chunk in link.output():
        seen.update(chunk.data)
        size += len(chunk.data)
    return seen.hexdigest(), size


@pytest.mark.parametrize("name", ZOO)
async def test_a_run_of_a_bad_program_is_told_as_it_was_and_leaves_nothing(
    backend: LocalBackend, name: str
) -> None:
    animal = ZOO[name]
    spec = a_run(*animal.program)
    assert isinstance(await backend.start(spec), port.Kept)
    async with await dialled(backend, spec.run_id) as link:
        told = await digest(link)
    async with await dialled(backend, spec.run_id) as link:
        end = await exited(link)
    left = await gone(backend, spec.run_id)

    assert (end.code, end.signal) == (animal.code, animal.signal)
    assert (len(end.leftovers), end.survivors) == (animal.leftovers, ())
    assert end.output_bytes == told[1]
    if animal.prints is not None:
        assert told == (hashlib.sha256(animal.prints).hexdigest(), len(animal.prints))
    with RecordingReader(backend.run_dir(spec.run_id) / "recording.mprec") as reader:
        recorded = reader.output_bytes()
        screen = Screen(24, 80)
        screen.feed(recorded)
    assert hashlib.sha256(recorded).hexdigest() == told[0]
    assert left.survivors == ()
    assert processes.marked(f"MP_RUN={spec.run_id}") == []


@pytest.mark.slow
@pytest.mark.timeout(900)  # ten seconds on an idle machine; a busy one gets the benefit of the doubt
async def test_a_gigabyte_is_kept_whole_while_a_watcher_sleeps(backend: LocalBackend) -> None:
    piece = bytes(range(256)) * 256
    spec = a_run(
        *raw(
            f"piece = bytes(range(256)) * 256; [out.write(piece) for _ in range({1024 * MIB // len(piece)})]"
        )
    )
    assert isinstance(await backend.start(spec), port.Kept)
    async with await dialled(backend, spec.run_id) as sleeper:
        await output_until(sleeper, piece[:16])  # and then reads no more
        async with await dialled(backend, spec.run_id) as link:
            told, size = await digest(link)
    async with await dialled(backend, spec.run_id) as link:
        end = await exited(link)
    await gone(backend, spec.run_id)

    wanted = hashlib.sha256()
    for _ in range(1024 * MIB // len(piece)):
        wanted.update(piece)
    assert (told, size, end.output_bytes) == (wanted.hexdigest(), 1024 * MIB, 1024 * MIB)
    (backend.run_dir(spec.run_id) / "recording.mprec").unlink()
