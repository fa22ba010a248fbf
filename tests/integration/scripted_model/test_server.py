"""The server as a process: it says where it listens, takes nothing it can't hold, and dies with its parent."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from moduprompt.scripted_model.server import BODY_BYTES_MAX
from tests.support.deadline import eventually
from tests.support.model_server import RunningModel, running_model, scripted

COMMAND = (sys.executable, "-m", "moduprompt.scripted_model")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Generator[RunningModel]:
    with running_model(tmp_path_factory.mktemp("model")) as server:
        yield server


def test_clients_that_look_whether_it_is_there_find_it(model: RunningModel) -> None:
    connection = model.connect()
    connection.request("HEAD", "/")
    assert connection.getresponse().read() == b""
    connection.request("GET", "/v1/models")
    assert json.loads(connection.getresponse().read())["data"][0]["id"] == "scripted-model"
    connection.request("GET", "/elsewhere")
    assert connection.getresponse().status == 404
    connection.close()


@pytest.mark.parametrize(
    ("path", "key"),
    [("/v1/messages/count_tokens", "input_tokens"), ("/v1beta/models/m:countTokens", "totalTokens")],
)
def test_tokens_are_counted(model: RunningModel, path: str, key: str) -> None:
    _, _, raw = model.post(path, {"messages": ["x" * 400]})

    assert json.loads(raw)[key] > 100


def test_what_is_no_request_of_any_dialect_is_refused(model: RunningModel) -> None:
    assert model.post("/v1/embeddings", {})[0] == 404
    connection = model.connect()
    connection.request("POST", "/v1/messages", "{")
    assert connection.getresponse().status == 400
    connection.close()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"Content-Length": str(BODY_BYTES_MAX + 1)}, 413),
        ({"Content-Length": "9" * 5_000}, 411),
        ({"Content-Length": "-1"}, 411),
        ({"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_a_body_without_a_length_or_over_the_limit_is_refused_unread(
    model: RunningModel, header: dict[str, str], status: int
) -> None:
    connection = model.connect()
    connection.putrequest("POST", "/v1/messages")
    for name, value in header.items():
        connection.putheader(name, value)
    connection.endheaders()

    assert connection.getresponse().status == status
    connection.close()


def test_it_tells_what_it_was_asked(tmp_path: Path) -> None:
    with running_model(tmp_path) as model:
        model.post("/v1/chat/completions", {"messages": []})
        model.post("/v1/chat/completions", chat(scripted({"status": 503})))

        assert [(line["dialect"], line["status"]) for line in model.asked()] == [("chat", 200), ("chat", 503)]
        assert model.asked()[1]["place"].endswith("_1")


def chat(prompt: str) -> object:
    tool = {"type": "function", "function": {"name": "bash"}}
    return {"messages": [{"role": "user", "content": prompt}], "tools": [tool]}


def test_whoever_hangs_up_frees_a_silent_model(model: RunningModel) -> None:
    """The connection is closed by the server long before the silence is over."""
    raw = json.dumps(chat(scripted({"text": "late", "sleep_s": 3600}))).encode()
    connection = model.connect()
    connection.connect()
    assert connection.sock is not None
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(raw)
    connection.sock.sendall(head + raw)
    connection.sock.shutdown(socket.SHUT_WR)

    assert connection.sock.recv(1) == b""
    connection.close()


def test_it_listens_where_it_says_and_ends_by_a_signal() -> None:
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = json.loads(server.stdout.readline())
        assert said["address"].startswith("http://127.0.0.1:")
        assert said["pid"] == server.pid
        server.send_signal(signal.SIGINT)
        assert server.wait() == 130


def test_it_dies_with_its_parent() -> None:
    starts = (
        "import subprocess, sys;"
        f"server = subprocess.Popen({(*COMMAND, '--with-parent')!r}, stdout=subprocess.PIPE, text=True);"
        "print(server.stdout.readline(), flush=True)"
    )
    parent = subprocess.run(
        [sys.executable, "-c", starts], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    pid = json.loads(parent.stdout)["pid"]

    eventually(lambda: is_gone(pid))


def is_gone(pid: int) -> bool:
    """Also what nobody has fetched yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("port", ["-1", "65536", "x", "9" * 400])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    refused = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False)

    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr


def test_a_port_that_is_taken_is_refused_with_a_hint(model: RunningModel) -> None:
    port = model.address.rpartition(":")[2]
    refused = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, check=False)

    assert refused.returncode == 2
    assert refused.stderr.splitlines()[1] == "hint: --port 0 takes a free one"


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """Started by its path, without site packages, from anywhere: `running_model` does."""
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        with running_model(tmp_path) as model:
            assert model.post("/v1/messages", {})[0] == 200
    finally:
        os.chdir(here)
