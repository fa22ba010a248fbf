"""The real agent programs, driven without the kernel: by their adapter's own command, against the scripted model.

They lie in `.agents/` (make agents). Where the machine allows it, the model and the programs share a network
namespace that has nothing but its loopback: whatever a program asks for outside fails.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from moduprompt.domain.run.said import Said
from moduprompt.effects.agents.port import AgentCommand, AgentRequest, End, Verdict, Work
from moduprompt.effects.agents.summary import Summary, summed
from moduprompt.effects.agents.surroundings import SYSTEM_PATH
from moduprompt.keeper import processes
from tests.support.deadline import eventually
from tests.support.model_server import RunningModel
from tests.support.source_tree import ROOT
from tests.support.transcripts import adapter_of, heard, reader_of

PROGRAMS: Final = ROOT / ".agents" / "node_modules" / ".bin"
# What no test may need: 640 MB of wheels, and a minute on every machine of CI.
BY_HAND: Final = {"aider": "put aider 0.86.2 on the PATH, for example with pipx install aider-chat"}
RUN_S_MAX: Final = 150  # gemini takes two to six seconds; a busy machine gets the benefit of the doubt
LINGER_S: Final = 5.0  # what takes longer to end after its program has been left behind
# Brings the loopback of a fresh network namespace up, then becomes the program.
LOOPBACK_UP: Final = (
    "import fcntl, os, socket, struct, sys;"
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 1));"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)


def is_installed(program: str) -> bool:
    """Whether it is where `make agents` puts it, or on our PATH. Words behind its name don't matter."""
    name = program.partition(" ")[0]
    return (PROGRAMS / name).exists() or (name in BY_HAND and shutil.which(name) is not None)


def need(program: str) -> None:
    """Skip the test, aloud, where the program isn't installed."""
    if not is_installed(program):
        how = BY_HAND.get(program, "make agents")
        pytest.skip(f"{program} is not installed: {how}")


def with_programs(path: str) -> str:
    """A PATH by which they are found. Who was installed by hand comes last: its folder may hold anything."""
    node = Path(shutil.which("node") or "/")
    by_hand = (str(Path(found).parent) for name in BY_HAND if (found := shutil.which(name)))
    return ":".join((str(PROGRAMS), str(node.parent), path, *by_hand))


@functools.cache
def alone() -> tuple[str, ...]:
    """The words that start a program in a network of its own; none where the machine doesn't allow it."""
    words = ("unshare", "--net", sys.executable, "-c", LOOPBACK_UP)
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return ()
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if tried.returncode == 0 else ()


def beside(model: RunningModel) -> tuple[str, ...]:
    """The words that start a program in the model's network."""
    return ("nsenter", f"--target={model.pid}", "--net") if alone() else ()


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """How a program is led to the scripted model."""

    adapter: str
    words: tuple[str, ...] = ("--permissions", "all")  # it may do everything
    asking: tuple[str, ...] = ("--permissions", "ask")  # and nothing, without being asked
    address_in: str
    address_end: str = ""
    variables: Mapping[str, str]


KNOWN: Final = {
    known.adapter: known
    for known in (
        Known(
            adapter="claude",
            address_in="ANTHROPIC_BASE_URL",
            variables={"ANTHROPIC_API_KEY": "none", "CLAUDE_CODE_MAX_RETRIES": "1"},
        ),
        Known(
            adapter="codex",
            words=("--permissions", "all", "--model", "scripted-model"),
            asking=("--permissions", "ask", "--model", "scripted-model"),
            address_in="OPENAI_BASE_URL",
            address_end="/v1",
            variables={"OPENAI_API_KEY": "none"},
        ),
        Known(
            adapter="gemini",
            address_in="GOOGLE_GEMINI_BASE_URL",
            variables={"GEMINI_API_KEY": "none", "GEMINI_MODEL": "gemini-2.5-pro"},
        ),
        Known(
            adapter="opencode",
            words=("--permissions", "all", "--model", "scripted-model"),
            asking=("--permissions", "ask", "--model", "scripted-model"),
            address_in="OPENAI_BASE_URL",
            address_end="/v1",
            variables={"OPENAI_API_KEY": "none"},
        ),
        Known(
            adapter="aider",
            words=("--model", "scripted-model"),
            asking=("--model", "scripted-model"),
            address_in="OPENAI_BASE_URL",
            address_end="/v1",
            variables={"OPENAI_API_KEY": "none"},
        ),
        Known(
            adapter="pi",
            words=("--model", "scripted-model"),
            asking=("--model", "scripted-model"),
            address_in="OPENAI_BASE_URL",
            address_end="/v1",
            variables={"OPENAI_API_KEY": "none"},
        ),
    )
}


# The agents of the Agent Client Protocol that `make agents` installs, with the words that lead them to the model.
ACP_AGENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "gemini": (),
    "codex-acp": ("-c", "model=scripted-model"),
    "claude-agent-acp": (),
}
ACP_VENDORS: Final = ("claude", "codex", "gemini")


def _by_acp(agent: str, *, vendor: str) -> Known:
    words = (agent, *ACP_AGENTS[agent])  # it asks a person, whatever it wants to do
    return replace(KNOWN[vendor], adapter="acp", words=words, asking=words)


BY_ACP: Final[Mapping[str, Known]] = {
    "gemini --acp": _by_acp("gemini", vendor="gemini"),
    "codex-acp": _by_acp("codex-acp", vendor="codex"),
    "claude-agent-acp": _by_acp("claude-agent-acp", vendor="claude"),
}
DRIVEN: Final = {**KNOWN, **BY_ACP}


def acp_variables(model: RunningModel) -> dict[str, str]:
    """What leads each of them to the model, as its vendor's own program is led."""
    known = [KNOWN[name] for name in ACP_VENDORS]
    addresses = {each.address_in: model.address + each.address_end for each in known}
    return {name: value for each in known for name, value in each.variables.items()} | addresses


IN_CI: Final = ("claude", "codex", "gemini", "pi")  # what `make agents` installs


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a program: how it ended, what was made of it, what is left."""

    code: int | None  # None: its time was up
    output: bytes
    errors: str
    said: list[Said]
    verdict: Verdict
    left: list[int]  # processes


class Place:
    """A repository with one commit, and the homes of one session."""

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "repository"
        self.home = folder / "home"
        self.configuration = folder / "configuration"
        for each in (self.repository, self.home, self.configuration):
            each.mkdir(parents=True)
        self._git("init", "--quiet")
        self._git("commit", "--quiet", "--allow-empty", "--message", "Begin")

    def text(self, name: str) -> str | None:
        """What stands in a file of the repository."""
        path = self.repository / name
        return path.read_text("utf-8") if path.exists() else None

    def work(self) -> Work:
        """What a run left."""
        changed = self._git("status", "--porcelain") != ""
        return Work(has_changes=changed, has_commits=self._git("rev-list", "--count", "HEAD").strip() != "1")

    def _git(self, *words: str) -> str:
        identity = ("-c", "user.name=Tests", "-c", "user.email=tests@localhost")
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.repository, capture_output=True, text=True, check=True
        )
        return done.stdout


def drive(
    name: str,
    prompt: str,
    *,
    model: RunningModel,
    place: Place,
    conversation_id: str | None = None,
    words: tuple[str, ...] | None = None,
    limit_s: float = RUN_S_MAX,
) -> Ended:
    """One run of the real program, by its adapter's command; what it left running is ended."""
    known, run_id = KNOWN[name], str(uuid.uuid4())
    prompt_file = place.home / f"{run_id}.prompt"
    prompt_file.write_text(prompt, "utf-8")
    request = AgentRequest(
        words=known.words if words is None else words,
        prompt=prompt,
        prompt_file=str(prompt_file),
        run_id=run_id,
        conversation_id=conversation_id,
        cwd=str(place.repository),
        home=str(place.configuration),
        variables={**known.variables, known.address_in: model.address + known.address_end},
    )
    command = adapter_of(name).command(request)
    assert isinstance(command, AgentCommand), command
    for file in command.files:
        path = place.configuration / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    code, output, errors = _run(command, model=model, place=place, run_id=run_id, limit_s=limit_s)
    left = [] if code is None else _lasting(run_id)
    _end(left)
    return _judged(name, code, output=output, errors=errors, work=place.work(), left=left)


def _run(
    command: AgentCommand, *, model: RunningModel, place: Place, run_id: str, limit_s: float
) -> tuple[int | None, bytes, str]:
    node = shutil.which("node")
    assert node is not None
    environment = {
        "PATH": f"{PROGRAMS}:{Path(node).parent}:{SYSTEM_PATH}",
        "HOME": str(place.home),
        "LANG": "C.UTF-8",
        "MP_RUN": run_id,
        **command.env,
    }
    source = open(command.stdin_file or os.devnull, "rb")  # noqa: SIM115 - closed below
    with (
        source,
        subprocess.Popen(
            [*beside(model), *command.argv],
            cwd=place.repository,
            env=environment,
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as program,
    ):
        try:
            output, errors = program.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            _end(_marked(run_id))  # also tools in sessions of their own, which hold the pipes open
            output, errors = program.communicate()
            return None, output, errors.decode("utf-8", "replace")
        return program.returncode, output, errors.decode("utf-8", "replace")


def _marked(run_id: str) -> list[int]:
    return [process.pid for process in processes.marked(f"MP_RUN={run_id}")]


def _lasting(run_id: str) -> list[int]:
    """What is still there a while after the program's end: its children may take a moment to follow it."""
    with suppress(AssertionError):
        eventually(lambda: not _marked(run_id), within_s=LINGER_S)
    return _marked(run_id)


def _end(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _judged(name: str, code: int | None, *, output: bytes, errors: str, work: Work, left: list[int]) -> Ended:
    summary, said = Summary(), heard(reader_of(name), output)
    for each in said:
        summary = summed(summary, each)
    how = "timed_out" if code is None else "exited"
    verdict = adapter_of(name).verdict(End(said=summary, how=how, code=code, work=work))
    return Ended(code=code, output=output, errors=errors, said=said, verdict=verdict, left=left)
