"""A real agent program under the real daemon, against the scripted model: started, recorded, judged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.model_server import RunningModel, running_model, scripted
from tests.support.programs import PROGRAMS, need
from tests.support.source_tree import ROOT

RUN_S_MAX = 90.0  # a second or two alone; a busy machine gets the benefit of the doubt
GOLDEN = ROOT / "tests" / "golden" / "agents"


def ended(place: Place) -> Mapping[str, Any] | None:
    """The one run, when it is over."""
    (run,) = place.ok("run", "list", "--json").json["items"]
    return run if run["status"] == "exited" else None


def a_run_of_claude(
    place: Place, repository: Repository, model: RunningModel, prompt: str
) -> Mapping[str, Any]:
    """One session with this prompt, until its run is over. The daemon starts with the first call."""
    node = shutil.which("node")
    assert node is not None
    place.environ["PATH"] += f":{PROGRAMS}:{Path(node).parent}"
    place.environ["ANTHROPIC_BASE_URL"] = model.address
    place.environ["ANTHROPIC_API_KEY"] = "none"
    place.environ["CLAUDE_CODE_MAX_RETRIES"] = "1"
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint", "--repo", str(repository.path))
    words = ("-p", "paint", "--agent", "claude", "--prompt", prompt)
    place.made("session", "spawn", "painter", *words, "--", "--permissions", "all")
    eventually(lambda: ended(place) is not None, within_s=RUN_S_MAX)
    run = ended(place)
    assert run is not None
    return place.ok("run", "show", run["id"], "--json").json


@pytest.fixture
def model(place: Place) -> Any:
    need("claude")
    with running_model(place.root) as server:
        yield server


def test_claude_does_its_work_in_its_worktree_and_is_judged_by_what_it_said(
    place: Place, repository: Repository, model: RunningModel
) -> None:
    steps = (
        {"write": {"path": "colour.txt", "content": "blue\n"}},
        {"bash": "cat colour.txt"},
        {"text": "Done."},
    )
    run = a_run_of_claude(place, repository, model, scripted(*steps))

    assert (run["outcome"], run["outcome_rule"]) == ("succeeded", "turn_done"), run
    tree = place.ok("worktree", "list", "--json").json["items"][0]["path"]
    assert (Path(tree) / "colour.txt").read_text() == "blue\n"
    assert not (place.home / ".claude").exists()
    assert not (place.home / ".claude.json").exists()
    printed = place.ok("run", "output", run["id"]).out
    assert [json.loads(line) for line in printed.splitlines()][-1]["type"] == "result"
    assert "All" not in place.ok("run", "grep", "no such line", run["id"]).out


def test_a_refused_key_is_a_failure_of_its_class_though_claude_says_success(
    place: Place, repository: Repository, model: RunningModel
) -> None:
    run = a_run_of_claude(place, repository, model, scripted({"status": 401}))

    assert '"subtype":"success"' in place.ok("run", "output", run["id"]).out
    assert (run["outcome"], run["failure"]) == ("failed", "auth_required"), run
