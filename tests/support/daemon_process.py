"""The daemon as a process of its own, through `serve()`: started, awaited, signalled."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.client import Client
from moduprompt.config import Config, DaemonFile
from tests.support.deadline import eventually

PROGRAM: Final = """
import os, sys
from moduprompt.config import Choices, load_config
from moduprompt.daemon import serve
{patch}
data, runtime, listen = sys.argv[1:4]
choices = Choices(data_dir=data, runtime_dir=runtime, listen=listen or None)
raise SystemExit(serve(load_config(choices, os.environ), os.environ))
"""
READY: Final = b'"event":"daemon.ready"'


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a daemon's things lie."""

    data: Path
    runtime: Path

    @property
    def config(self) -> Config:
        return Config(
            data_dir=self.data,
            runtime_dir=self.runtime,
            log_db=self.data / "state" / "log.sqlite",
            listen=None,
        )

    def daemon_file(self) -> DaemonFile:
        return msgspec.json.decode(self.config.daemon_file.read_bytes(), type=DaemonFile)

    def client(self) -> Client:
        return Client(socket=str(self.config.socket), token=self.daemon_file().token)


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What was left of a daemon."""

    status: int
    said: str


class DaemonProcess:
    """One that was started; `said` is all it wrote to stderr so far."""

    def __init__(self, place: Place, process: subprocess.Popen[bytes], log: Path) -> None:
        self.place = place
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        return self._log.read_text("utf-8")

    def await_words(self, words: str) -> None:
        """Until it has said this."""
        eventually(lambda: words in self.said or self.process.poll() is not None)
        assert words in self.said, f"ended with {self.process.poll()}: {self.said}"

    def await_ready(self) -> DaemonProcess:
        self.await_words(READY.decode())
        return self

    def ended(self, *, within_s: float = 40.0) -> Ended:
        """Until it has ended by itself."""
        return Ended(status=self.process.wait(within_s), said=self.said)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        self.process.send_signal(number)
        return self.ended()


def place_in(folder: Path) -> Place:
    return Place(data=folder / "data", runtime=folder / "run")


def spawn(
    place: Place, *, listen: str = "", patch: str = "", environ: Mapping[str, str] | None = None
) -> DaemonProcess:
    """Start one; `patch` is code that runs in it first."""
    log = place.data.parent / f"stderr-{len(list(place.data.parent.glob('stderr-*')))}"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(patch=patch), place.data, place.runtime, listen],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env={**os.environ, "HOME": str(place.data.parent), **(environ or {})},
            start_new_session=True,
        )
    return DaemonProcess(place, process, log)


@contextmanager
def daemon_at(place: Place, *, listen: str = "", patch: str = "") -> Generator[DaemonProcess]:
    """One that answers; killed afterwards if it still lives."""
    daemon = spawn(place, listen=listen, patch=patch)
    try:
        yield daemon.await_ready()
    finally:
        daemon.process.kill()
        daemon.process.wait()


def refused(place: Place, *, listen: str = "") -> Ended:
    """A start that must be refused."""
    daemon = spawn(place, listen=listen)
    try:
        return daemon.ended()
    finally:
        daemon.process.kill()
        daemon.process.wait()


def files_in(folder: Path) -> Iterator[Path]:
    """Every file, socket and link below a folder."""
    return (path for path in folder.rglob("*") if not path.is_dir())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
