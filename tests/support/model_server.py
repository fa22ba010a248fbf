"""The scripted model server as a process of its own, and what it was asked."""

import http.client
import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.source_tree import ROOT

ANSWER_S_MAX = 60  # a busy machine gets the benefit of the doubt


class RunningModel:
    """A server that listens."""

    def __init__(self, address: str, *, pid: int, log: Path) -> None:
        self.address = address
        self.pid = pid
        self._log = log

    def asked(self) -> list[Mapping[str, Any]]:
        """What it was asked, a line for each request: dialect, place, status, tool."""
        return (
            [json.loads(line) for line in self._log.read_text("utf-8").splitlines()]
            if self._log.exists()
            else []
        )

    def connect(self) -> http.client.HTTPConnection:
        """A connection of the test's own."""
        parts = urlsplit(self.address)
        assert parts.hostname is not None
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_S_MAX)

    def post(self, path: str, body: object) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body; a body that was cut is what came of it, and its headers say `Cut`."""
        connection = self.connect()
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            headers = dict(answer.headers.items())
            try:
                return answer.status, headers, answer.read()
            except http.client.IncompleteRead as cut:
                return answer.status, headers | {"Cut": "1"}, cut.partial
        finally:
            connection.close()


@contextmanager
def running_model(folder: Path, *, start: tuple[str, ...] = ()) -> Generator[RunningModel]:
    """A server on a free port that dies with this test's process at the latest. `start`: the words that start it."""
    log = folder / "model.log"
    command = (
        *start,
        sys.executable,
        "-I",
        "-S",
        str(ROOT / "src/moduprompt/scripted_model"),
        "--with-parent",
    )
    with subprocess.Popen(
        (*command, "--log", str(log)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            said = json.loads(server.stdout.readline())
            yield RunningModel(said["address"], pid=said["pid"], log=log)
        finally:
            server.kill()


def scripted(*steps: Mapping[str, object], words: str = "Please do it.") -> str:
    """A prompt with a script."""
    return f"{words} SCRIPT{json.dumps(steps)}ENDSCRIPT"
