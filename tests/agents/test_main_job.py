"""The main job with the real programs: three sessions, their commits, one task through its gate, one merge; offline."""

import json
from pathlib import Path

import pytest

from tests.support.fleet import RUN_S_MAX, offline_daemon
from tests.support.git_repository import make_repository
from tests.support.model_server import scripted
from tests.support.programs import BY_ACP, DRIVEN, need

# Each session adds a line of its own, so that the tester and the fork have something to commit, too.
COMMIT = "git -c user.name=Agent -c user.email=agent@example.org commit --quiet --message Welcome"
WORK = scripted(
    {"bash": f'echo "Welcome, says $MP_SESSION" >> WELCOME.md && git add WELCOME.md && {COMMIT}'},
    {"bash": "mpctl capsule write status 'A page welcomes newcomers.'"},
    {"write": {"path": "left.txt", "content": "not committed\n"}},
    {"text": "There is a page."},
)


IN_CI = ("claude", "codex")
THE_REST = ("gemini", "opencode", "pi", *BY_ACP)  # make matrix


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "program", [*IN_CI, *(pytest.param(name, marks=pytest.mark.wide) for name in THE_REST)]
)
def test_the_main_job_is_done_by_a_real_program(program: str) -> None:
    need(program)
    with offline_daemon() as place:
        repository = make_repository(place.root / "repository", home=place.home)
        known = DRIVEN[program]
        words = ("--agent", known.adapter, "--allow", "--prompt", WORK, "--", *known.words)
        said = place.ok("demo", "--json", "--repo", str(repository.path), *words, within_s=RUN_S_MAX)
        report = said.json

        sessions = report["session_ids"]
        runs = place.ok("run", "list", "--json", "-w", report["workspace_id"]).json["items"]
        assert [run["outcome"] for run in runs] == ["succeeded"] * 3
        task = place.ok("task", "show", report["task_id"], "--json", "-w", report["workspace_id"]).json
        assert task["status"] == "succeeded"
        merged = repository.git("show", f"{report['merge_commit']}:WELCOME.md", at=report["repository"])
        assert merged == f"Welcome, says {sessions[0]}"
        # By each of the three its own commit, and ours of what it had left.
        assert sorted(each["title"] for each in report["commits"]).count("Welcome") == 3
        told = [json.loads(line) for line in Path(report["recorded_events"]).read_bytes().splitlines()]
        assert [event["seq_global"] for event in told] == list(range(1, len(told) + 1))
        assert sum(event["event_type"] == "capsule.updated" for event in told) == 3
        assert "the log holds" in place.ok("log", "verify").out
        assert repository.git("status", "--porcelain") == "", "the repository it was shown is not its own"
