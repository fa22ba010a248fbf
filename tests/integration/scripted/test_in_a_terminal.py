"""The scripted agent as any agent program is started: a process in a terminal, nothing else."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import moduprompt.scripted
from tests.support.git_repository import Repository, git_environment, make_repository

DEADLINE_S = 30.0  # generous: the machine may be busy, and a failing test says what it saw


class Session(msgspec.Struct, kw_only=True):
    """An agent in a terminal, seen from outside."""

    process: "subprocess.Popen[bytes]"
    terminal: int
    seen: bytes = b""

    def until(self, words: str) -> str:
        return self._read_until(lambda: words.encode() in self.seen, wanted=words)

    def to_the_end(self) -> tuple[int, str]:
        text = self._read_until(lambda: False, wanted=None)
        return self.process.wait(DEADLINE_S), text

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def _read_until(self, is_there: Callable[[], bool], *, wanted: str | None) -> str:
        deadline = time.monotonic() + DEADLINE_S
        while not is_there():
            assert time.monotonic() < deadline, f"waited for {wanted!r}, saw {self.seen.decode()}"
            if not select.select([self.terminal], [], [], 0.5)[0]:
                continue
            chunk = self._read()
            if not chunk:
                assert wanted is None, f"ended without {wanted!r}: {self.seen.decode()}"
                break
            self.seen += chunk
        return self.seen.decode()

    def _read(self) -> bytes:
        try:
            return os.read(self.terminal, 65536)
        except OSError:  # the other end is closed
            return b""


Start = Callable[..., Session]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return make_repository(tmp_path / "repository", home=tmp_path / "home")


@pytest.fixture
def start(repository: Repository, tmp_path: Path) -> Iterator[Start]:
    sessions: list[Session] = []

    def begin(script: str, **environment: str) -> Session:
        file = tmp_path / "script.toml"
        file.write_text(script)
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "moduprompt.scripted", str(file)],
            cwd=repository.path,
            env={**git_environment(repository.home), "TERM": "xterm", **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        sessions.append(Session(process=process, terminal=ours))
        return sessions[-1]

    yield begin
    for session in sessions:
        if session.process.poll() is None:
            os.killpg(session.process.pid, signal.SIGKILL)
            session.process.wait()
        os.close(session.terminal)


def test_an_agent_reads_changes_runs_asks_and_commits(
    start: Start, repository: Repository, tmp_path: Path
) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Greet the world\n")
    session = start(
        """
        [[step]]
        say = "Task: {prompt} ({session})"
        [[step]]
        read = "readme.txt"
        lines = 2
        [[step]]
        replace = { path = "readme.txt", old = "two", new = "2" }
        [[step]]
        ask = "Which name?"
        name = "who"
        [[step]]
        write = { path = "src/greeting.txt", text = "Hello {who}\\n" }
        [[step]]
        append = { path = "src/greeting.txt", text = "Bye\\n" }
        [[step]]
        run = ["cat", "src/greeting.txt"]
        [[step]]
        run = 'test "$ANSWER_WHO" = "Ada Lovelace"; exit 3'
        expect = 3
        [[step]]
        commit = "Greet {who}"
        """,
        MP_PROMPT_FILE=str(prompt),
        MP_SESSION="0192",
    )
    session.until("Which name?")
    session.type("Ada Lovelace\n")
    code, text = session.to_the_end()
    assert code == 0, text
    assert "Task: Greet the world (0192)" in text
    assert "… 1 more lines" in text
    assert "\x1b[" in text, "a terminal gets colours"
    assert repository.git("show", "HEAD:src/greeting.txt") == "Hello Ada Lovelace\nBye"
    assert repository.git("show", "HEAD:readme.txt") == "one\n2\nthree"
    assert repository.git("log", "-1", "--format=%s by %an") == "Greet Ada Lovelace by scripted"
    assert repository.git("status", "--porcelain") == ""


def test_answers_typed_ahead_are_taken_in_order_and_pastes_lose_their_marks(start: Start) -> None:
    session = start(
        '[[step]]\nask = "A?"\nname = "a"\n[[step]]\nask = "B?"\nname = "b"\n[[step]]\nsay = "{b}/{a}"'
    )
    session.type("first\n\x1b[200~second\x1b[201~\n")
    code, text = session.to_the_end()
    assert code == 0
    assert "second/first" in text


def test_the_end_of_input_and_the_end_of_patience_fail_the_question(start: Start) -> None:
    session = start('[[step]]\nask = "Anybody?"')
    session.until("Anybody?")
    session.type("\x04")
    code, text = session.to_the_end()
    assert (code, "nobody answered" in text) == (1, True)
    code, text = start('[[step]]\nask = "Anybody?"\ntimeout_s = 0.1').to_the_end()
    assert (code, "nobody answered" in text) == (1, True)


def test_a_bad_script_is_refused_before_anything_is_done(start: Start, repository: Repository) -> None:
    code, text = start('[[step]]\nwrite = { path = "a", text = "b" }\n[[step]]\nsing = "la"').to_the_end()
    assert code == 2
    assert "script.toml: step 2: " in text
    assert "hint: " in text
    assert not (repository.path / "a").exists()
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ('run = ["false"]', "exit 1, expected 0"),
        ('run = ["no-such-program"]', "can't be started"),
        ('run = "kill -9 $$"', "exit 137, expected 0"),
        ('run = ["sleep", "60"]\ntimeout_s = 0.1', "did not end within"),
        ('read = "nowhere.txt"', "No such file"),
        ('write = { path = "../out.txt", text = "x" }', "leads out"),
        ('write = { path = ".git/hooks/pre-commit", text = "x" }', "leads into .git"),
        ('replace = { path = "readme.txt", old = "seven", new = "x" }', "0 times"),
        ('wait_for = { file = "never" }\ntimeout_s = 0.1', "did not come"),
    ],
)
def test_a_failing_step_ends_the_script_with_its_reason(
    start: Start, repository: Repository, step: str, words: str
) -> None:
    code, text = start(f'[[step]]\n{step}\n[[step]]\nwrite = {{ path = "after", text = "" }}').to_the_end()
    assert (code, words in text, "Traceback" in text) == (1, True, False), text
    assert not (repository.path / "after").exists()


def test_an_exit_step_chooses_the_code(start: Start) -> None:
    assert start("[[step]]\nexit = 7\n[[step]]\nrun = ['false']").to_the_end()[0] == 7


def test_a_wait_ends_when_what_it_waits_for_comes(start: Start, repository: Repository) -> None:
    session = start(
        '[[step]]\nwait_for = { file = "ready" }\n[[step]]\nwait_for = { run = "grep -q go ready" }\n'
        '[[step]]\nsay = "here"'
    )
    session.until("wait_for")
    repository.write("ready", "go")
    code, text = session.to_the_end()
    assert (code, "here" in text) == (0, True)


def test_a_command_that_leaves_something_in_the_background_does_not_hold_the_script(start: Start) -> None:
    code, text = start('[[step]]\nrun = "sleep 60 & echo started $!"').to_the_end()
    left = re.search(r"started (\d+)", text)
    assert left, text
    os.kill(int(left.group(1)), signal.SIGKILL)  # it still ran: nobody waited for it
    assert code == 0


def test_long_output_is_cut_for_the_reader_but_not_for_the_command(
    start: Start, repository: Repository
) -> None:
    code, text = start("""[[step]]\nrun = "seq 100000; echo done > marker" """).to_the_end()
    assert code == 0
    assert "… 99800 more lines" in text
    assert (repository.path / "marker").exists()


def test_output_can_not_move_the_cursor(start: Start) -> None:
    code, text = start("""[[step]]\nrun = ["printf", "a\\\\033[2Jb\\\\rc\\\\n"]""").to_the_end()
    assert code == 0
    assert "\x1b[2J" not in text
    assert "a [2Jb c" in text


def test_an_interrupt_from_the_terminal_ends_the_command_and_the_agent(start: Start) -> None:
    session = start('[[step]]\nrun = "echo begun; exec sleep 60"')
    session.until("begun")
    os.killpg(session.process.pid, signal.SIGINT)
    code, text = session.to_the_end()
    assert (code, "interrupted" in text, "Traceback" in text) == (130, True, False)


def test_a_commit_without_changes_is_no_failure(start: Start, repository: Repository) -> None:
    before = repository.head()
    code, text = start('[[step]]\ncommit = "Nothing"').to_the_end()
    assert (code, "nothing to commit" in text) == (0, True)
    assert repository.head() == before


def test_started_by_path_without_site_packages_it_does_the_same(
    repository: Repository, tmp_path: Path
) -> None:
    script = tmp_path / "script.toml"
    script.write_text('[[step]]\nask = "Who?"\n[[step]]\nwrite = { path = "a.txt", text = "{answer}" }')
    folder = Path(moduprompt.scripted.__file__).parent
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(folder), str(script)],
        cwd=repository.path,
        env=git_environment(repository.home),
        input=b"Ada\n",
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b[" not in done.stdout, "a pipe gets no colours"
    assert (repository.path / "a.txt").read_text() == "Ada"


def test_the_example_of_the_documentation_works(start: Start, repository: Repository) -> None:
    page = Path(__file__).parents[3] / "docs" / "scripted-agent.md"
    example = page.read_text().split("```toml\n")[1].split("```")[0]
    repository.write("README.md", "# An example\n")
    session = start(example)
    session.until("Whom shall I greet?")
    session.type("Ada\n")
    code, text = session.to_the_end()
    assert code == 0, text
    assert "Good morning, Ada" in text
    assert repository.git("log", "-1", "--format=%s") == "Greet Ada"
