"""What the daemon knows of the agent programs on this machine, and what it tells people to do about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.daemon import Place

VERSION = "2.1.197"


@pytest.fixture
def agents(place: Place) -> Path:
    """A folder of programs, and nothing else on the PATH but the system's own."""
    folder = place.root / "programs"
    folder.mkdir()
    ours, git = shutil.which("mpctl", path=place.environ["PATH"]), shutil.which("git")
    assert ours is not None
    assert git is not None
    place.environ["PATH"] = f"{folder}:{Path(ours).parent}:/usr/bin:/bin"
    return folder


def put(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_what_is_here_is_listed_without_starting_it(place: Place, agents: Path) -> None:
    put(agents, "claude", f"touch {place.root}/started; echo {VERSION}")

    found = {each["name"]: each for each in place.ok("agents", "list", "--json").json["items"]}

    assert found["claude"]["path"] == str(agents / "claude")
    assert "path" not in found["codex"]
    assert not (place.root / "started").exists()
    (line,) = [each for each in place.ok("agents", "list").out.splitlines() if each.startswith("codex")]
    assert "codex: not found" in line


def test_the_doctor_says_what_to_do_and_fails_for_what_is_needed_only(place: Place, agents: Path) -> None:
    put(agents, "claude", f"echo {VERSION}")
    place.environ["ANTHROPIC_API_KEY"] = "k"

    survey = place.ok("agents", "doctor").out
    assert f"✓ claude: {VERSION}, signed in by ANTHROPIC_API_KEY" in survey
    assert "- codex: codex is not on the daemon's PATH; npm install -g @openai/codex" in survey

    needed = place.mpctl("agents", "doctor", "claude", "codex")
    assert needed.status == 7
    assert "not ready: codex" in needed.err
    assert "hint: npm install -g @openai/codex" in needed.err


def test_a_program_without_credentials_is_not_ready(place: Place, agents: Path) -> None:
    put(agents, "claude", f"echo {VERSION}")

    found = place.mpctl("agents", "doctor")

    assert found.status == 7
    assert "ANTHROPIC_API_KEY" in found.out
    assert "mpctl daemon start" in found.err


def test_one_program_is_explained_with_the_rules_that_judge_it(place: Place, agents: Path) -> None:
    put(agents, "claude", "echo 9.9.9")

    said = place.ok("agents", "explain", "claude").out

    assert f"9.9.9 (tested with {VERSION})" in said
    assert "--permissions" in said
    assert "refused_and_nothing_done" in said
    wrong = place.mpctl("agents", "explain", "clod")
    assert wrong.status == 5
    assert "there are: scripted, command, claude" in wrong.err
