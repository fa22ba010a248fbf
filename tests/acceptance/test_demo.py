"""The main job through the installed commands: as shown, with other programs, over a daemon that is killed."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from moduprompt.cli.live.lines import to_line
from moduprompt.cli.live.player import told
from moduprompt.cli.live.story import Story
from moduprompt.protocol import EventEnvelope, decode_event
from tests.support.git_repository import make_repository
from tests.support.installed import Installed, installed
from tests.support.seat import seated

LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d{3} +(\d+) (\S+) ")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installed]:
    """The installed commands on data of their own."""
    with installed(tmp_path) as commands:
        yield commands


def events_of(here: Installed) -> list[EventEnvelope]:
    """What the last demo kept of its stream."""
    newest = max((here.data_dir / "demo").iterdir(), key=lambda folder: int(folder.name))
    return [decode_event(line) for line in (newest / "events.ndjson").read_bytes().splitlines()]


def git(path: Path, *words: str) -> str:
    """What git says of a repository."""
    return subprocess.run(["git", "-C", str(path), *words], check=True, capture_output=True, text=True).stdout


def check_history(events: list[EventEnvelope]) -> None:
    """Nothing is lost, nothing is doubled: the plot's events, each as often as the plot has it."""
    assert [event.seq_global for event in events] == list(range(1, len(events) + 1))
    assert len({event.event_id for event in events}) == len(events)
    counts = Counter(event.event_type for event in events)
    assert counts["session.spawned"] == 2
    assert counts["session.forked"] == 1
    for name in ("run.requested", "run.started", "run.exited", "worktree.created", "worktree.committed"):
        assert counts[name] == 3, name
    assert counts["session.prompt_accepted"] == counts["session.prompt_submitted"]
    assert counts["run.lost"] == counts["session.prompt_uncertain"] == 0
    for name in (
        "approval.requested",
        "approval.granted",
        "gate.satisfied",
        "worktree.merged",
        "task.completed",
    ):
        assert counts[name] == 1, name
    stages = [json.loads(bytes(e.payload))["stage"] for e in events if e.event_type == "task.stage_changed"]
    assert stages == ["plan", "implement", "test", "review", "merge"]


def test_the_demo_does_the_main_job_and_tells_it_line_by_line(here: Installed) -> None:
    shown = here.mpctl("demo")
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    events = events_of(here)
    check_history(events)
    lines = [line for line in shown.stdout.splitlines() if LINE.match(line)]
    assert [int(found[1]) for line in lines if (found := LINE.match(line))] == [e.seq_global for e in events]
    for part in ("Sessions", "Commits", "Events", "Where it lies", "mpctl run replay", "fork of builder"):
        assert part in shown.stdout
    verified = here.mpctl("log", "verify")
    assert verified.returncode == 0, verified.stderr


def test_what_the_demo_kept_plays_back_as_what_it_showed(here: Installed) -> None:
    shown = here.mpctl("demo")
    assert shown.returncode == 0, shown.stderr
    kept = b"".join(each.read_bytes() for each in (here.data_dir / "demo").glob("*/events.ndjson"))
    played = [to_line(change) for change in told([kept], Story())]
    assert [line for line in shown.stdout.splitlines() if LINE.match(line)] == played


def test_the_demo_leaves_the_repository_it_was_given_alone(here: Installed, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home=tmp_path / "githome")
    path = repository.path
    before = (
        git(path, "for-each-ref"),
        git(path, "status", "--porcelain=v2", "--branch"),
        git(path, "worktree", "list"),
    )
    shown = here.mpctl("demo", "--repo", str(path), "--json")
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    after = (
        git(path, "for-each-ref"),
        git(path, "status", "--porcelain=v2", "--branch"),
        git(path, "worktree", "list"),
    )
    assert after == before
    clone = Path(report["repository"])
    assert git(clone, "rev-parse", report["merged_into"]).strip() == report["merge_commit"]
    assert len(report["commits"]) == 3
    assert len(report["run_ids"]) == 3


def test_a_shell_script_that_nobody_prepared_does_as_well(here: Installed, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home=tmp_path / "githome")
    script = tmp_path / "agent.sh"
    script.write_text(
        '#!/bin/sh\necho working; echo "$MP_SESSION" >> notes.txt\nprintf "Go on? "; read answer\ntest "$answer" = yes\n'
    )
    script.chmod(0o755)
    shown = here.mpctl("demo", "--repo", str(repository.path), "--agent", "command", "--", str(script))
    assert shown.returncode == 0, shown.stderr
    check_history(events_of(here))


def test_a_script_that_changes_nothing_and_asks_nothing_does_as_well(here: Installed, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home=tmp_path / "githome")
    shown = here.mpctl("demo", "--repo", str(repository.path), "--agent", "command", "--", "/bin/true")
    assert shown.returncode == 0, shown.stderr
    check_history(events_of(here))


def test_a_commit_that_was_checked_out_without_a_branch_does_as_well(here: Installed, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "theirs", home=tmp_path / "githome")
    repository.git("checkout", "--quiet", "--detach")
    shown = here.mpctl("demo", "--repo", str(repository.path), "--agent", "command", "--", "/bin/true")
    assert shown.returncode == 0, shown.stderr
    check_history(events_of(here))
    assert git(repository.path, "rev-parse", "--abbrev-ref", "HEAD").strip() == "HEAD"


@pytest.mark.parametrize(
    "moment", ["run.started", "session.prompt_accepted", "session.forked", "approval.requested"]
)
def test_a_daemon_that_is_killed_in_the_middle_costs_nothing(here: Installed, moment: str) -> None:
    killed = 0
    with here.start("demo") as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        for line in demo.stdout:
            if not killed and (found := LINE.match(line)) and found[2] == moment:
                killed = here.daemon_pid()
                os.kill(killed, signal.SIGKILL)
        assert demo.wait() == 0, demo.stderr.read()
    assert killed
    assert here.daemon_pid() != killed
    check_history(events_of(here))
    assert here.mpctl("log", "verify").returncode == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--repo", "{tmp}/nowhere"), "path_missing"),
        (("--repo", "{tmp}/plain"), "not_a_repository"),
        (("--repo", "{tmp}/bare"), "bare_repository"),
        (("--repo", "{tmp}/empty"), "empty_repository"),
        (("--repo", "{tmp}/dirty"), "dirty_repository"),
        (("--repo", "{tmp}/good", "--agent", "command", "--", "no-such-program-anywhere"), "program_missing"),
        (("--repo", "{tmp}/good", "--agent", "command", "--", "{tmp}/good"), "program_missing"),
        (("--repo", "{tmp}/good", "--agent", "acp", "--", "no-such-program-anywhere"), "program_missing"),
        (("--repo", "{tmp}/good", "--agent", "command", "--", "/bin/false"), "exited"),
    ],
)
def test_what_can_not_work_is_refused_with_a_reason_and_a_hint(
    here: Installed, tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    make_repositories(tmp_path)
    answer = here.mpctl("demo", "--json", *(word.format(tmp=tmp_path) for word in words))
    error = json.loads(answer.stdout)
    assert answer.returncode == 8, answer
    assert error["details"]["reason"] == reason
    assert error["message"]
    assert error["hint"]
    assert "Traceback" not in answer.stderr
    if reason != "exited":
        assert not (here.data_dir / "demo").exists()
        assert json.loads(here.mpctl("workspace", "list", "--json").stdout)["items"] == []


def test_an_agent_that_is_not_installed_is_missed_before_anything_is_made(
    here: Installed, tmp_path: Path
) -> None:
    make_repositories(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git") or "git")
    here.environment["PATH"] = str(programs)
    answer = here.mpctl("demo", "--json", "--repo", str(tmp_path / "good"), "--agent", "claude")
    error = json.loads(answer.stdout)
    assert (answer.returncode, error["details"]["reason"]) == (8, "program_missing")
    assert error["hint"].startswith("npm install")
    assert not (here.data_dir / "demo").exists()
    assert json.loads(here.mpctl("workspace", "list", "--json").stdout)["items"] == []


def make_repositories(tmp_path: Path) -> None:
    """One of each kind that a person may point at."""
    (tmp_path / "plain").mkdir()
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "bare")], check=True)
    subprocess.run(["git", "init", "-q", str(tmp_path / "empty")], check=True)
    make_repository(tmp_path / "good", home=tmp_path / "githome")
    make_repository(tmp_path / "dirty", home=tmp_path / "githome")
    (tmp_path / "dirty" / "new.txt").write_text("not committed")


def test_hooks_of_all_repositories_and_odd_ignores_do_not_end_the_demo(
    here: Installed, tmp_path: Path
) -> None:
    repository = make_repository(tmp_path / "theirs", home=tmp_path / "githome")
    repository.write(".gitignore", "*.md\n")
    repository.git("commit", "--quiet", "--all", "--message", "Ignore")
    hook = tmp_path / "hooks" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (Path(here.environment["HOME"]) / ".gitconfig").write_text(f"[core]\n\thooksPath = {hook.parent}\n")
    shown = here.mpctl("demo", "--repo", str(repository.path))
    assert shown.returncode == 0, shown.stderr
    check_history(events_of(here))


def test_an_interrupted_demo_says_where_its_agents_are(here: Installed) -> None:
    # With agents that never end, so that the interrupt always comes in the middle.
    with here.start("demo", "--agent", "command", "--", "/bin/sleep", "600") as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        for line in demo.stdout:
            if (found := LINE.match(line)) and found[2] == "run.started":
                demo.send_signal(signal.SIGINT)
                break
        try:
            _, err = demo.communicate(timeout=60)
        finally:
            demo.kill()
        assert demo.returncode == 130
        assert "the agents go on" in err


def test_what_an_interrupted_demo_says_stays_on_the_terminal(here: Installed) -> None:
    words = ("mpctl", "demo", "--agent", "command", "--", "/bin/sleep", "600")
    with seated(*words, environ={**here.environment, "TERM": "xterm"}) as seat:
        seat.shows("has started")
        seat.program.send_signal(signal.SIGINT)
        assert seat.leaves() == 130
        seat.shows("the agents go on")


def test_a_dirty_repository_is_taken_when_that_is_said(here: Installed, tmp_path: Path) -> None:
    make_repositories(tmp_path)
    shown = here.mpctl("demo", "--repo", str(tmp_path / "dirty"), "--allow-dirty")
    assert shown.returncode == 0, shown.stderr
