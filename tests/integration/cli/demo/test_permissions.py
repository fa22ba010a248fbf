"""What a demo's agents ask before they use a tool: a person is called, unless all of it was allowed beforehand."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Final

import pytest

from tests.support.daemon import Place, daemon_place
from tests.support.deadline import eventually
from tests.support.git_repository import make_repository
from tests.support.source_tree import ROOT

FAKE: Final = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.support.acp_agent")
ASK: Final = 2  # the builder and the tester; what the rival is told begins with the builder's account
DEMO_S_MAX: Final = 200.0  # three starts of a program of ours; a busy machine gets the benefit of the doubt


@pytest.fixture
def place() -> Generator[Place]:
    with daemon_place() as each:
        make_repository(each.root / "repository", home=each.home)
        yield each


def words(place: Place, *flags: str) -> tuple[str, ...]:
    own = ("demo", "--json", "--repo", str(place.root / "repository"), "--agent", "acp")
    return (*own, *flags, "--prompt", "write", "--", *FAKE)


def test_whoever_allows_all_of_it_beforehand_is_not_asked(place: Place) -> None:
    said = place.ok(*words(place, "--allow"), within_s=DEMO_S_MAX)

    listed = place.ok("approval", "list", "--json", "-w", said.json["workspace_id"]).json["items"]
    assert [each["decision_reason"] for each in listed if "run_id" in each] == ["allowed to the demo"] * ASK
    assert "waits for a person" not in said.err


def test_else_a_person_is_told_who_waits_and_the_demo_goes_on_when_it_is_answered(place: Place) -> None:
    place.ok("workspace", "list")  # a daemon is there
    demo = place.begin("mpctl", *words(place))
    granted: set[str] = set()

    def is_over() -> bool:
        listed = place.mpctl("approval", "list", "--waiting", "--json", "-w", "demo 1")
        waiting: list[dict[str, str]] = listed.json["items"] if listed.status == 0 else []
        asked = {each["id"] for each in waiting if "run_id" in each}
        for approval_id in asked - granted:
            place.ok("approval", "grant", approval_id, "-w", "demo 1")
            granted.add(approval_id)
        return demo.poll() is not None

    eventually(is_over, within_s=DEMO_S_MAX)
    _, complaint = demo.communicate()
    assert demo.returncode == 0, complaint
    assert len(granted) == ASK
    for approval_id in granted:
        assert f"waits for a person: mpctl approval show {approval_id}, then grant or deny it" in complaint
