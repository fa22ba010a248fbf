"""What a run's token opens: a table over every order and every read; all that is not listed is refused."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from moduprompt.domain.decider import Command
from moduprompt.domain.registry import COMMANDS
from moduprompt.protocol import SYSTEM_WORKSPACE
from tests.support.daemon import Place
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.samples import least
from tests.support.source_tree import ROOT

# It says who it is, and stays.
AGENT: Final = 'printf "%s\n%s\n" "$MP_TOKEN" "$MP_SOCKET" > who.new; mv who.new who; exec sleep 100000'
OPEN: Final = {
    "capsule.write",
    "gate.request_approval",
    "session.fork",
    "session.spawn",
    "task.advance_stage",
    "worktree.commit",
}
"""Orders that pass the policy about what is the session's own. What is said to a child is beside them."""
READS: Final = {
    "/v1/agents": 403,
    "/v1/artifacts/{ref}/about": 403,
    "/v1/board": 403,
    "/v1/log/export": 403,
    "/v1/log/head": 403,
    "/v1/metrics": 403,
    "/v1/recovery": 403,
    "/v1/views": 403,
}
"""Reads of the daemon's own, and of the whole workspace; every other one is of what is in the lineage."""
NOUNS: Final = ("workspace", "project", "session", "run", "worktree", "task", "gate")
QUERIES: Final = {
    "/v1/search": "workspace_id={workspace_id}&q=prompt",
    **dict.fromkeys(
        ("/v1/agents", "/v1/daemon/ping", "/v1/daemon/ready", "/v1/metrics", "/v1/openapi.json"), ""
    ),
    **dict.fromkeys(
        ("/v1/recovery", "/v1/schemas", "/v1/schemas/{family}/{type}/{version}", "/v1/views"), ""
    ),
    "/v1/workspaces": "",
}
"""What stands behind the question mark, where it is not the workspace alone."""


class RunSocket(http.client.HTTPConnection):
    """The way that a run's program has to the daemon."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class Asker:
    """A live run's token, and the things that are its session's own, or somebody else's."""

    def __init__(self, place: Place, who: Path) -> None:
        self.place = place
        self.token, self.socket = who.read_text().split()
        self.ids: dict[str, str] = {}
        self.others: dict[str, str] = {}

    def ask(self, method: str, target: str, body: bytes = b"") -> tuple[int, Any]:
        """Status and, where it is JSON and ends, the answer."""
        connection = RunSocket(self.socket)
        connection.request(method, target, body, {"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        said = json.loads(answer.read()) if is_json else None
        connection.close()
        return answer.status, said

    def order(self, kind: type[Command], ids: dict[str, str], **fields: object) -> tuple[str, str | None]:
        """The code of the answer, and by which rule."""
        payload = msgspec.to_builtins(least(kind)) | {
            name: id_ for name, id_ in ids.items() if name in kind.__struct_fields__
        }
        home = SYSTEM_WORKSPACE if kind.wire in ("workspace.create", "user.create") else ids["workspace_id"]
        envelope = {
            "type": kind.wire,
            "schema_version": kind.version,
            "payload": {**payload, "workspace_id": home, **fields},
            "idempotency_key": f"{kind.wire}/{sorted(ids.items())}/{sorted(fields)}"[:200],
            "trace_id": "table",
        }
        _, said = self.ask("POST", "/v1/commands/submit", json.dumps(envelope).encode())
        if said["accepted"]:
            return "accepted", None
        rejection: dict[str, Any] = said["rejection"]
        details: dict[str, Any] = rejection.get("details") or {}
        return rejection["code"], details.get("reason")


@pytest.fixture
def asker(place: Place, repository: Repository) -> Asker:
    """Two sessions that run, each with its task; the first one asks."""
    workspace = place.made("workspace", "create", "core")
    project = place.made("project", "create", "paint", "--repo", str(repository.path))
    found: list[dict[str, str]] = []
    for name in ("own", "other"):
        task = place.made("task", "create", f"{name} task", "-p", "paint")
        words = ("-p", "paint", "--task", task, "--prompt", f"{name} prompt")
        session = place.made("session", "spawn", name, *words, "--", "sh", "-c", AGENT)
        place.ok("task", "start", task)
        found.append(
            {"workspace_id": workspace, "project_id": project, "task_id": task, "session_id": session}
        )
    own, other = found
    trees = {each["session_id"]: each for each in eventually_ready(place)}
    for ids in found:
        ids["worktree_id"] = trees[ids["session_id"]]["id"]
        ids["run_id"] = next(
            run["id"]
            for run in place.ok("run", "list", "--json").json["items"]
            if run["session_id"] == ids["session_id"]
        )
        gates = place.ok("gate", "list", "--json").json["items"]
        ids["gate_id"] = next(each["id"] for each in gates if each["task_id"] == ids["task_id"])
    who = Path(trees[own["session_id"]]["path"]) / "who"
    eventually(who.exists)
    made = Asker(place, who)
    made.ids, made.others = own, other
    return made


def eventually_ready(place: Place) -> list[dict[str, Any]]:
    """Both worktrees, when their programs have begun."""

    def seen() -> list[dict[str, Any]]:
        trees = place.ok("worktree", "list", "--json").json["items"]
        return [each for each in trees if each["path"] and (Path(each["path"]) / "who").exists()]

    eventually(lambda: len(seen()) == 2)
    return seen()


def test_of_every_order_a_session_may_give_those_that_are_listed_and_only_about_its_own(asker: Asker) -> None:
    own: dict[str, str] = {**asker.ids, "parent_session_id": asker.ids["session_id"]}
    other: dict[str, str] = {**asker.others, "parent_session_id": asker.others["session_id"]}
    orders = {kind.wire: kind for kind in COMMANDS.values()}
    extra: dict[str, dict[str, object]] = {
        "session.spawn": {"agent": {"adapter": "command", "argv": ["true"]}, "place": "none"},
        "session.fork": {"mode": "planning_only", "agent": {"adapter": "command", "argv": ["true"]}},
    }

    passed = {
        wire
        for wire, kind in orders.items()
        if asker.order(kind, own, **extra.get(wire, {}))[0] in ("accepted", "validation_failed")
    }
    refused = {
        wire: asker.order(kind, own, **extra.get(wire, {}))
        for wire, kind in orders.items()
        if wire not in OPEN
    }
    outside = {wire: asker.order(orders[wire], other, **extra.get(wire, {})) for wire in OPEN}

    assert passed == OPEN
    assert {code for code, _ in refused.values()} == {"policy_denied"}, refused
    by_rule = {wire for wire, (_, rule) in refused.items() if rule == "kernel_only"}
    assert by_rule == {wire for wire, kind in orders.items() if kind.internal}
    assert refused["session.prompt"] == ("policy_denied", "outside_lineage"), "nobody prompts himself"
    assert set(outside.values()) == {("policy_denied", "outside_lineage")}, outside


def test_of_every_read_a_session_is_shown_its_lineage_and_nothing_of_the_daemons(asker: Asker) -> None:
    paths = json.loads((ROOT / "tests/golden/openapi/openapi.json").read_text())["paths"]
    (prompt,) = {
        each["prompt"]
        for each in asker.place.ok("session", "list", "--json").json["items"]
        if each["id"] == asker.ids["session_id"]
    }
    kinds = {"capsules": None, "approvals": None, **{f"{noun}s": f"{noun}_id" for noun in NOUNS}}
    seen: dict[str, int] = {}
    for path in sorted(path for path, methods in paths.items() if "get" in methods):
        noun = path.split("/")[2]
        query = QUERIES.get(path, "workspace_id={workspace_id}").format(**asker.ids)
        wanted = kinds.get(noun)
        if "{id}" in path and wanted is None:
            continue
        filled = path.replace("{ref}", prompt).replace("{family}", "commands").replace("{version}", "1")
        filled = filled.replace("{type}", "session.spawn").replace(
            "{id}", asker.ids[wanted] if wanted else ""
        )
        seen[path], said = asker.ask("GET", f"{filled}?{query}".removesuffix("?"))
        if seen[path] == 200 and said is not None and path != "/v1/openapi.json":
            assert asker.others["session_id"] not in json.dumps(said), path
        if "{id}" in path and wanted not in ("workspace_id", "project_id"):
            theirs, _ = asker.ask("GET", f"{path.replace('{id}', asker.others[wanted or ''])}?{query}")
            assert theirs == 404, path

    assert {path: status for path, status in seen.items() if status != 200} == READS
