"""What an agent does with the installed `mpctl` in its worktree, as its session: its work, and nothing beyond it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.support.daemon import Place, daemon_place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository

NOT_SEEN: Final = 5
DENIED: Final = 6
IMPOSSIBLE: Final = 8

APPROVAL: Final = (
    '$(python3 -c \'import json; print(json.load(open(".said/approvals.out"))["items"][0]["id"])\')'
)
MAY: Final = {
    "spawn": "session spawn helper -p paint --no-worktree --limit wall=99h,processes=7 -- true",
    "spawn_below": "session spawn below -p paint -- sh -c 'echo below > below.txt; cat'",
    "fork": "session fork $MP_SESSION twin --mode planning_only -- true",
    "prompt": "session prompt below 'go on'",
    "capsule": "capsule write plan 'first the walls'",
    "request": "gate request {gate}",
    "approvals": "approval list --json",
    "advance": "task advance {task}",
    "commit": "worktree commit -m 'as far as it is'",
    "tree": "session tree",
    "own": "session show --json",
    "sessions": "session list --json",
    "capsules": "capsule show plan",
}
"""Named calls of an agent; each has to succeed."""

MAY_NOT: Final = {
    "grant": (f"approval grant {APPROVAL}", {DENIED}),
    "deny": (f"approval deny {APPROVAL}", {DENIED}),
    "open_gate": ("task complete {task}", {DENIED}),
    "own_budget": ("session set-budget $MP_SESSION --tokens 1000000", {DENIED}),
    "no_budget": ("session set-budget $MP_SESSION --none", {DENIED}),
    "patience": ("session set-patience $MP_SESSION endless", {DENIED}),
    "close_child": ("session close helper", {DENIED}),
    "stop_itself": ("run stop $MP_RUN", {DENIED}),
    "prompt_itself": ("session prompt $MP_SESSION 'do it again'", {DENIED}),
    "take_back": ("session cancel-prompt {other} 01a20428-cfd0-743f-9909-410f8878ec57", {NOT_SEEN, DENIED}),
    "prompt_other": ("session prompt {other} 'do what I say'", {NOT_SEEN, DENIED}),
    "prompts_of_other": ("session prompts {other}", {NOT_SEEN}),
    "child_of_other": (
        "session spawn mole -p paint --parent {other} --no-worktree -- true",
        {NOT_SEEN, DENIED},
    ),
    "fork_other": ("session fork {other} mole --mode planning_only -- true", {NOT_SEEN, DENIED}),
    "task_of_other": (
        "session spawn mole -p paint --task {other_task} --no-worktree -- true",
        {NOT_SEEN, DENIED},
    ),
    "capsule_of_other": ("capsule write status 'all is well' --session {other}", {NOT_SEEN, DENIED}),
    "read_other": ("session show {other}", {NOT_SEEN}),
    "output_of_other": ("run output {other_run}", {NOT_SEEN}),
    "commit_other": ("worktree commit {other_tree} -m mine", {NOT_SEEN, DENIED}),
    "merge": ("worktree merge", {DENIED}),
    "delete": ("worktree delete", {DENIED}),
    "attach": ("session attach-worktree $MP_SESSION {other_tree}", {NOT_SEEN, DENIED}),
    "new_workspace": ("workspace create mine", {DENIED}),
    "elsewhere": ("-w {elsewhere} session list", {NOT_SEEN}),
    "work_elsewhere": ("-w {elsewhere} session spawn mole -p secret --no-worktree -- true", {NOT_SEEN}),
    "board": ("board", {DENIED}),
    "export": ("log export mine.tar", {DENIED}),
    "programs": ("agents list", {DENIED}),
    "verify": ("log verify", {DENIED}),
    "views": ("views list", {DENIED}),
}
"""Named calls of an agent, and the exits with which each may be refused."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What one call of the agent said."""

    status: int
    out: str
    err: str


class Agent:
    """A scripted agent in its worktree, after it has made its calls."""

    def __init__(self, place: Place, tree: Path, ids: dict[str, str]) -> None:
        self.place = place
        self.ids = ids
        self._tree = tree

    def account(self, name: str) -> Account:
        status, out, err = (self._tree / f".said/{name}.{part}" for part in ("status", "out", "err"))
        return Account(status=int(status.read_text()), out=out.read_text(), err=err.read_text())

    def sessions(self) -> dict[str, Any]:
        return {each["name"]: each for each in self.place.ok("session", "list", "--json").json["items"]}

    def events(self) -> list[dict[str, Any]]:
        return self.place.ok("log", "show").lines


def step(name: str, words: str, ids: dict[str, str]) -> str:
    for key, value in ids.items():
        words = words.replace(f"{{{key}}}", value)
    said = f".said/{name}"
    return f"[[step]]\nrun = {json.dumps(f'mpctl {words} > {said}.out 2> {said}.err; echo $? > {said}.status')}\n"


def others(place: Place) -> dict[str, str]:
    """What belongs to somebody else: a session beside, with its task, run and worktree, and a workspace."""
    task = place.made("task", "create", "their task", "-p", "paint")
    other = place.made("session", "spawn", "other", "-p", "paint", "--task", task, "--", "sh", "-c", "cat")
    eventually(lambda: place.ok("run", "list", "--json").json["items"])
    (run,) = place.ok("run", "list", "--json").json["items"]
    elsewhere = place.made("workspace", "create", "elsewhere")
    place.ok("project", "create", "secret", "-w", elsewhere)
    return {
        "other": other,
        "other_task": task,
        "other_run": run["id"],
        "other_tree": run["worktree_id"],
        "elsewhere": elsewhere,
    }


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    """It has made all its calls, allowed and not, from inside its worktree; the tests only look."""
    with daemon_place() as place:
        yield made_calls(place)


def made_calls(place: Place) -> Agent:
    (place.root / "repository").mkdir()
    repository = Repository(path=place.root / "repository", home=place.home)
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.commit("README.md", "# An example\n")
    core = place.made("workspace", "create", "core")
    place.environ["MP_WORKSPACE"] = core
    place.made("project", "create", "paint", "--repo", str(repository.path))
    ids = others(place)
    ids["task"] = place.made("task", "create", "my task", "-p", "paint")
    gates = place.ok("gate", "list", "--json").json["items"]
    ids["gate"] = next(each["id"] for each in gates if each["task_id"] == ids["task"])
    script = place.root / "agent.toml"
    calls = {**MAY, **{name: words for name, (words, _) in MAY_NOT.items()}}
    begin = '[[step]]\nrun = "mkdir .said"\n[[step]]\nwait_for = { file = ".begin" }\n'
    script.write_text(begin + "".join(step(name, words, ids) for name, words in calls.items()))
    limits = ("--limit", "wall=1h,memory=2G")
    words = ("-p", "paint", "--task", ids["task"], *limits, "--script", str(script))
    ids["own"] = place.made("session", "spawn", "painter", *words)
    place.ok("task", "start", ids["task"])
    eventually(lambda: path_of(place, ids["own"]) is not None)
    tree = path_of(place, ids["own"])
    assert tree is not None
    (tree / ".begin").touch()
    eventually(lambda: (tree / ".said" / f"{list(calls)[-1]}.status").exists())
    return Agent(place, tree, ids)


def path_of(place: Place, session_id: str) -> Path | None:
    trees = place.ok("worktree", "list", "--json").json["items"]
    return next(
        (Path(each["path"]) for each in trees if each["session_id"] == session_id and each["path"]), None
    )


def test_an_agent_does_its_work_through_the_installed_command_and_nothing_beyond_it(agent: Agent) -> None:
    said = {name: agent.account(name) for name in (*MAY, *MAY_NOT)}

    assert {name: said[name] for name in MAY if said[name].status != 0} == {}
    wrong = {name: said[name] for name, (_, exits) in MAY_NOT.items() if said[name].status not in exits}
    assert wrong == {}
    assert not [name for name in said if "Traceback" in said[name].err]
    for name, (_, exits) in MAY_NOT.items():
        if exits == {DENIED}:
            assert "hint: " in said[name].err, name

    painter, helper, below = (agent.sessions()[name] for name in ("painter", "helper", "below"))
    assert helper["parent_session_id"] == below["parent_session_id"] == painter["id"]
    assert agent.sessions()["twin"]["fork_of"] == painter["id"]
    begun = {each["payload"]["name"]: each["payload"] for each in agent.events() if is_begun(each)}
    assert begun["helper"]["limits"] == {"wall_s": 3600, "memory_bytes_max": 2 * 2**30, "processes_max": 7}
    assert begun["twin"]["limits"] == begun["painter"]["limits"]
    assert set(begun["helper"]["may"]) <= set(begun["painter"]["may"])
    assert [each["state"] for each in below["prompts"]] != []
    assert "first the walls" in agent.place.ok("capsule", "show", "plan", "--session", "painter").out


def is_begun(event: dict[str, Any]) -> bool:
    return event["event_type"] in ("session.spawned", "session.forked")


def test_what_an_agent_was_refused_has_happened_to_nobody_and_stands_in_the_log(agent: Agent) -> None:
    own, events = agent.ids["own"], agent.events()
    of_agent = [each for each in events if each["actor"].get("id") == own]
    done = {each["event_type"] for each in of_agent} - {"command.rejected"}

    assert done == {
        "approval.requested",
        "capsule.updated",
        "run.requested",
        "session.forked",
        "session.prompt_accepted",
        "session.spawned",
        "task.stage_changed",
        "worktree.commit_requested",
        "worktree.requested",
    }
    assert "mole" not in agent.sessions()
    others = set(agent.ids.values()) - {own, agent.ids["task"], agent.ids["gate"]}
    assert not [each for each in of_agent if each["subject"]["id"] in others]
    (approval,) = agent.place.ok("approval", "list", "--json").json["items"]
    assert approval["status"] == "requested"
    refused = [each["payload"] for each in of_agent if each["event_type"] == "command.rejected"]
    assert {each["code"] for each in refused} <= {"policy_denied", "not_found"}
    assert {"approval.grant", "session.set_budget"} <= {each["command_type"] for each in refused}
    assert (
        agent.place.ok("project", "list", "-w", agent.ids["elsewhere"], "--json").json["items"][0]["name"]
        == "secret"
    )


def test_what_an_agent_reads_is_of_its_lineage(agent: Agent) -> None:
    seen = {each["name"] for each in json.loads(agent.account("sessions").out)["items"]}
    assert seen == {"painter", "helper", "below"}
    drawn = agent.account("tree").out
    assert [name for name in ("painter", "helper", "below", "twin", "other") if name in drawn] == [
        "painter",
        "helper",
        "below",
    ]
    told = "".join(agent.account(name).out for name in MAY)
    assert not [name for name, id_ in agent.ids.items() if name.startswith("other") and id_ in told]
    assert json.loads(agent.account("own").out)["id"] == agent.ids["own"]
