"""From what a person types to the one item that is meant, or a refusal that helps."""

import argparse
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from moduprompt.cli.call import Call
from moduprompt.cli.faults import CallFailed
from moduprompt.cli.lookup import find_item, find_own, namesakes_told, workspace_of
from moduprompt.cli.words import Words
from moduprompt.client import RequestRefused
from moduprompt.domain.project.view import ProjectItem
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.workspace.view import WorkspaceItem
from moduprompt.protocol import SYSTEM_WORKSPACE, Code, WorkspaceId
from tests.support.http_server import Peer, serving

CORE = "01a20428-0000-7000-8000-00000000aaaa"
KERN = "01a20428-0000-7000-8000-00000000bbbb"
ONE = "01a20428-1111-7000-8000-0000000c0001"
TWO = "01a20428-2222-7000-8000-0000000c0002"
THREE = "01a20429-3333-7000-8000-0000000c0003"


def workspace(id_: str, name: str, status: str = "active") -> dict[str, object]:
    stamps = {"version": 1, "created_at": "x", "updated_at": "x"}
    return {"id": id_, "workspace_id": id_, "name": name, "owner_id": "u", "status": status, **stamps}


def project(id_: str, name: str) -> dict[str, object]:
    return {"id": id_, "workspace_id": CORE, "name": name, "version": 1, "created_at": "x", "updated_at": "x"}


def session(id_: str, name: str) -> dict[str, object]:
    stamps = {"version": 1, "created_at": "x", "updated_at": "x"}
    more = {
        "status": "open",
        "adapter": "command",
        "argv": [],
        "may": [],
        "root_session_id": id_,
        "path": [id_],
    }
    return {"id": id_, "workspace_id": CORE, "project_id": ONE, "name": name, **more, **stamps}


def run(id_: str, session_id: str, ordinal: int) -> dict[str, object]:
    stamps = {"version": 1, "created_at": "x", "updated_at": "x"}
    more = {"adapter": "command", "argv": ["sh"], "status": "exited", "rows": 24, "cols": 80}
    return {
        "id": id_, "workspace_id": CORE, "project_id": ONE, "session_id": session_id, "ordinal": ordinal, **more, **stamps
    }  # fmt: skip


WRITER = "01a20430-0000-7000-8000-00000000dddd"
SESSIONS = [
    session(WRITER, "writer"),
    session("01a20430-0000-7000-8000-00000000eee1", "idle"),
    session("01a20430-0000-7000-8000-00000000eee2", "twin"),
    session("01a20430-0000-7000-8000-00000000eee3", "twin"),
]
FIRST, SECOND = ("01a20431-0000-7000-8000-0000000f0001", "01a20431-0000-7000-8000-0000000f0002")
RUNS = [run(SECOND, WRITER, 2), run(FIRST, WRITER, 1)]
PROJECTS = [project(ONE, "twin"), project(TWO, "twin"), project(THREE, "alone")]


@asynccontextmanager
async def calling(
    path: Path,
    *,
    workspaces: list[dict[str, object]] | None = None,
    environ: dict[str, str] | None = None,
    **typed: object,
) -> AsyncGenerator[Call]:
    """A call whose daemon has these workspaces, and three projects in pages of one."""
    known = [workspace(CORE, "core")] if workspaces is None else workspaces

    async def serve(peer: Peer) -> None:
        while True:
            line, _ = await peer.request()
            target = urlsplit(line.split(" ")[1])
            if target.path == "/v1/workspaces":
                system = workspace(SYSTEM_WORKSPACE, "system")
                peer.answer({"items": [system, *known], "seq_global": 0})
            elif target.path in ("/v1/sessions", "/v1/runs"):
                items = SESSIONS if target.path == "/v1/sessions" else RUNS
                peer.answer({"items": items, "seq_global": 1})
            elif target.path == "/v1/projects":
                place = int(target.query.partition("cursor=")[2] or 0)
                more = {"next": str(place + 1)} if place + 1 < len(PROJECTS) else {}
                peer.answer({"items": [PROJECTS[place]], "seq_global": 1, **more})
            elif target.path == f"/v1/projects/{ONE}":
                peer.answer(PROJECTS[0])
            else:
                peer.answer({"code": "not_found", "message": "no such thing"}, status=404)

    own = {"MP_TOKEN": "t", "MP_SOCKET": str(path / "s"), **(environ or {})}
    async with serving(path / "s", serve), Call(Words(argparse.Namespace(**typed)), own) as call:
        yield call


async def test_what_is_archived_leaves_its_name_to_others(tmp_path: Path) -> None:
    both = [workspace(KERN, "tour", "archived"), workspace(CORE, "tour")]

    async with calling(tmp_path, workspaces=both, workspace="tour") as call:
        assert await workspace_of(call) == CORE
    async with calling(tmp_path, workspaces=both[:1], workspace="tour") as call:
        assert await workspace_of(call) == KERN


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (ONE, ONE),
        ("alone", THREE),
        ("0c0002", TWO),
        ("01a20429", THREE),
        ("01A20429", THREE),
        ("0003", THREE),
        ("01a20428-1", ONE),
    ],
)
async def test_an_id_a_unique_name_or_a_unique_part_is_enough(tmp_path: Path, typed: str, meant: str) -> None:
    async with calling(tmp_path) as call:
        assert (await find_item(call, ProjectItem, typed)).id == meant


@pytest.mark.parametrize("typed", ["nobody", "003", "", "0c00", "zzzz-"])
async def test_what_nobody_is_called_is_not_found(tmp_path: Path, typed: str) -> None:
    async with calling(tmp_path) as call:
        with pytest.raises(CallFailed) as caught:
            await find_item(call, ProjectItem, typed)
    assert caught.value.exit_status == 5
    assert caught.value.error.hint == "mpctl project list"


@pytest.mark.parametrize("typed", ["twin", "01a20428"])
async def test_what_could_be_several_names_them_all(tmp_path: Path, typed: str) -> None:
    async with calling(tmp_path) as call:
        with pytest.raises(CallFailed) as caught:
            await find_item(call, ProjectItem, typed)
    assert caught.value.exit_status == 8
    assert caught.value.error.details == {"reason": "ambiguous", "candidates": [ONE, TWO]}
    assert ONE in caught.value.error.message


@pytest.mark.parametrize(("typed", "meant"), [("0f0001", FIRST), ("writer", SECOND), ("dddd", SECOND)])
async def test_a_run_is_meant_by_its_session_too(tmp_path: Path, typed: str, meant: str) -> None:
    async with calling(tmp_path) as call:
        assert (await find_item(call, RunItem, typed)).id == meant


@pytest.mark.parametrize(("typed", "exit_status"), [("idle", 5), ("nobody", 5), ("twin", 8)])
async def test_a_session_without_a_run_means_none_and_two_of_a_name_are_asked_about(
    tmp_path: Path, typed: str, exit_status: int
) -> None:
    async with calling(tmp_path) as call:
        with pytest.raises(CallFailed) as caught:
            await find_item(call, RunItem, typed)
    assert caught.value.exit_status == exit_status


@pytest.mark.parametrize(("name", "is_shared"), [("twin", True), ("alone", False)])
async def test_a_name_that_two_have_is_told_when_it_is_given(
    tmp_path: Path, name: str, *, is_shared: bool
) -> None:
    async with calling(tmp_path) as call:
        told = await namesakes_told(call, ProjectItem, name, of=WorkspaceId(CORE))
    assert [line.partition(" now:")[0] for line in told] == (
        ["2 projects are called twin"] if is_shared else []
    )


async def test_a_whole_id_of_nobody_is_what_the_daemon_says(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        with pytest.raises(RequestRefused) as caught:
            await find_item(call, ProjectItem, TWO)
    assert caught.value.code is Code.NOT_FOUND


async def test_the_only_workspace_is_the_one_meant(tmp_path: Path) -> None:
    archived = workspace(KERN, "old", status="archived")
    async with calling(tmp_path, workspaces=[workspace(CORE, "core"), archived]) as call:
        assert await workspace_of(call) == CORE


@pytest.mark.parametrize(
    ("flag", "variable", "meant"),
    [("kern", None, KERN), (None, "kern", KERN), (CORE, "kern", CORE), ("bbbb", None, KERN)],
)
async def test_a_flag_goes_before_the_environment(
    tmp_path: Path, flag: str | None, variable: str | None, meant: str
) -> None:
    both = [workspace(CORE, "core"), workspace(KERN, "kern")]
    environ = {"MP_WORKSPACE": variable} if variable else None
    async with calling(tmp_path, workspaces=both, environ=environ, workspace=flag) as call:
        assert await workspace_of(call) == meant


async def test_no_workspace_and_several_say_what_to_do(tmp_path: Path) -> None:
    async with calling(tmp_path, workspaces=[]) as call:
        with pytest.raises(CallFailed) as none:
            await workspace_of(call)
    async with calling(tmp_path, workspaces=[workspace(CORE, "core"), workspace(KERN, "kern")]) as call:
        with pytest.raises(CallFailed) as several:
            await workspace_of(call)
    assert "mpctl workspace create" in str(none.value.error.hint)
    assert none.value.exit_status == 5
    assert "core, kern" in str(several.value.error.hint)
    assert several.value.exit_status == 8


async def test_the_systems_workspace_is_nobodys(tmp_path: Path) -> None:
    async with calling(tmp_path) as call:
        with pytest.raises(CallFailed):
            await find_item(call, WorkspaceItem, "system")


async def test_inside_a_run_what_is_left_out_is_its_own(tmp_path: Path) -> None:
    async with calling(tmp_path, environ={"MP_THING": ONE}) as call:
        assert (await find_own(call, ProjectItem, None, variable="MP_THING")).id == ONE
        assert (await find_own(call, ProjectItem, "alone", variable="MP_THING")).id == THREE
        with pytest.raises(CallFailed):
            await find_own(call, ProjectItem, None, variable="MP_OTHER")
