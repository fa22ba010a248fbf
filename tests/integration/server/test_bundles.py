"""Workspaces that move: out of one daemon as a file, into another, frozen until somebody adopts them."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from moduprompt.client import RequestRefused
from moduprompt.domain.project.commands import CreateProject
from moduprompt.domain.run.commands import ReportStarted
from moduprompt.domain.session.commands import PromptSession
from moduprompt.domain.workspace.commands import AdoptWorkspace, RenameWorkspace
from moduprompt.kernel.transfer import checked
from moduprompt.protocol import SYSTEM_WORKSPACE, WorkspaceId
from moduprompt.server.routes import bundles
from moduprompt.storage.bundle import Bundle, BundleWriter, to_head
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.port import Append, StoredEvent
from tests.support.served import TOKEN, Line, Reply, Served, serve_in


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncGenerator[Served]:
    (tmp_path / "here").mkdir()
    async with serve_in(tmp_path / "here") as served:
        yield served


@pytest.fixture
async def other(tmp_path: Path) -> AsyncGenerator[Served]:
    (tmp_path / "there").mkdir()
    async with serve_in(tmp_path / "there") as served:
        yield served


async def worked_in(daemon: Served) -> tuple[WorkspaceId, Line]:
    """A workspace with a session whose run is on, and a prompt that is an artifact."""
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    await daemon.report(ReportStarted(workspace_id=workspace, run_id=line.run_id, pid=7, start_time=9))
    await daemon.accepted(PromptSession(workspace_id=workspace, session_id=line.session_id, prompt="go on"))
    return workspace, line


async def exported(daemon: Served, workspace: WorkspaceId) -> bytes:
    reply = await daemon.get("/v1/log/export", workspace_id=workspace)
    assert reply.status == 200, reply.body
    return reply.body


async def imported(daemon: Served, bundle: bytes, *, token: str = TOKEN) -> Reply:
    return await daemon.ask("POST", "/v1/log/import", body=bundle, token=token)


async def stored(daemon: Served, workspace: WorkspaceId) -> bytes:
    return (await daemon.get("/v1/events", workspace_id=workspace, raw=1)).body


async def head(daemon: Served, workspace: WorkspaceId) -> dict[str, object]:
    return (await daemon.get("/v1/log/head", workspace_id=workspace)).json()


async def refuses_to_know(daemon: Served, workspace: WorkspaceId) -> bool:
    return (await daemon.get("/v1/log/head", workspace_id=workspace)).status == 404


async def test_an_imported_workspace_is_the_one_that_was_exported(daemon: Served, other: Served) -> None:
    workspace, _ = await worked_in(daemon)
    bundle = await exported(daemon, workspace)

    reply = await imported(other, bundle)

    here, there = await head(daemon, workspace), await head(other, workspace)
    assert reply.json() == there == {**here, "is_frozen": True}
    assert await stored(daemon, workspace) == await stored(other, workspace)
    (text,) = Bundle(io.BytesIO(bundle)).manifest.artifacts
    assert (await other.get(f"/v1/artifacts/{text.ref}")).body == b"go on"


async def test_the_same_log_is_exported_as_the_same_bytes(daemon: Served, other: Served) -> None:
    workspace, _ = await worked_in(daemon)
    bundle = await exported(daemon, workspace)
    await imported(other, bundle)

    assert bundle == await exported(daemon, workspace) == await exported(other, workspace)


async def test_a_frozen_workspace_takes_no_order_and_its_log_stays_as_it_came(
    daemon: Served, other: Served
) -> None:
    workspace, line = await worked_in(daemon)
    await imported(other, await exported(daemon, workspace))
    before = await head(other, workspace)

    for command in (
        RenameWorkspace(workspace_id=workspace, name="mine"),
        CreateProject(workspace_id=workspace, name="more"),
        PromptSession(workspace_id=workspace, session_id=line.session_id, prompt="and on"),
    ):
        reply = await other.submit(command)
        assert (reply.status, reply.code) == (422, "validation_failed")
        assert b"workspace_frozen" in reply.body
        assert reply.json()["events"] == []

    assert await head(other, workspace) == before


async def test_frozen_is_frozen_after_a_restart(daemon: Served, tmp_path: Path) -> None:
    workspace, _ = await worked_in(daemon)
    bundle = await exported(daemon, workspace)
    (tmp_path / "third").mkdir()
    async with serve_in(tmp_path / "third") as third:
        await imported(third, bundle)
    async with serve_in(tmp_path / "third") as third:
        assert (
            b"workspace_frozen"
            in (await third.submit(RenameWorkspace(workspace_id=workspace, name="x"))).body
        )
        await third.accepted(AdoptWorkspace(workspace_id=workspace))
    async with serve_in(tmp_path / "third") as third:
        assert (await head(third, workspace))["is_frozen"] is False
        await third.accepted(RenameWorkspace(workspace_id=workspace, name="x"))


async def test_whoever_adopts_a_workspace_owns_it_and_what_ran_elsewhere_is_lost(
    daemon: Served, other: Served
) -> None:
    workspace, line = await worked_in(daemon)
    await imported(other, await exported(daemon, workspace))

    await other.accepted(AdoptWorkspace(workspace_id=workspace))

    assert other.run(workspace, line.run_id).status == "lost"
    item = (await other.get(f"/v1/workspaces/{workspace}")).json()
    assert item["owner_id"] == other.kernel.owner_id != daemon.kernel.owner_id
    await other.accepted(RenameWorkspace(workspace_id=workspace, name="mine"))
    again = await other.submit(AdoptWorkspace(workspace_id=workspace))
    assert again.json()["events"] == []


async def test_a_token_of_a_run_elsewhere_opens_nothing(daemon: Served, other: Served) -> None:
    workspace, line = await worked_in(daemon)
    await imported(other, await exported(daemon, workspace))

    assert (await other.get("/v1/events", token=line.token, workspace_id=workspace)).status == 401


async def test_the_same_bundle_again_changes_nothing(daemon: Served, other: Served) -> None:
    workspace, _ = await worked_in(daemon)
    bundle = await exported(daemon, workspace)

    first, second = await imported(other, bundle), await imported(other, bundle)

    assert (first.status, first.body) == (second.status, second.body)


async def test_a_workspace_that_is_here_is_not_imported_over(daemon: Served, other: Served) -> None:
    workspace, _ = await worked_in(daemon)
    old = await exported(daemon, workspace)
    await daemon.accepted(RenameWorkspace(workspace_id=workspace, name="later"))
    await imported(other, await exported(daemon, workspace))

    for place in (daemon, other):
        reply = await imported(place, old)
        assert reply.status == 422
        assert b"workspace_exists" in reply.body
    await other.accepted(AdoptWorkspace(workspace_id=workspace))
    assert (await imported(other, await exported(daemon, workspace))).status == 422


async def test_an_import_that_was_cut_short_is_seen_by_nobody_and_goes_on(
    daemon: Served, other: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = await worked_in(daemon)
    bundle = await exported(daemon, workspace)
    monkeypatch.setattr("moduprompt.kernel.transfer.PAGE", 2)
    half = checked(io.BytesIO(bundle))
    pages = half.lines()
    await cut_short(other, workspace, lines=[next(pages), next(pages)], seq=half.manifest.seq)

    assert await refuses_to_know(other, workspace)
    reply = await imported(other, bundle)

    assert reply.status == 200, reply.body
    assert reply.json()["head_hash"] == half.manifest.head_hash


async def test_another_bundle_does_not_go_on_where_one_was_cut_short(daemon: Served, other: Served) -> None:
    workspace, _ = await worked_in(daemon)
    bundle = await exported(daemon, workspace)
    await cut_short(other, workspace, lines=[b'{"other":1}'], seq=3)

    reply = await imported(other, bundle)

    assert b"workspace_exists" in reply.body
    assert await refuses_to_know(other, workspace)


async def cut_short(daemon: Served, workspace: WorkspaceId, *, lines: list[bytes], seq: int) -> None:
    """The beginning of an import, as a power cut would leave it."""
    events = tuple(
        StoredEvent(seq=n, subject_id=workspace, data=line) for n, line in enumerate(lines, start=1)
    )
    part = Append(
        workspace_id=workspace,
        expected_seq=0,
        epoch=1,
        head_hash=content_hash(lines[-1]),
        events=events,
        imported_to=seq,
    )
    log = daemon.kernel.transfer._log  # pyright: ignore[reportPrivateUsage] - nothing else writes without checks
    await log.append([part])


def forged(
    bundle: bytes, *, lines: list[bytes] | None = None, texts: list[bytes] | None = None, **changes: object
) -> bytes:
    """A bundle whose layout is right, whatever it holds."""
    read, body = Bundle(io.BytesIO(bundle)), io.BytesIO()
    writer = BundleWriter(body)
    lines = list(read.lines()) if lines is None else lines
    texts = [b"".join(read.artifact(each)) for each in read.manifest.artifacts] if texts is None else texts
    writer.add_events(lines)
    writer.end_events()
    for ref, text in sorted((content_hash(text), text) for text in texts):
        writer.add_artifact(ref, (text,), size=len(text))
    events, artifacts = writer.end()
    told = {"seq": len(lines), "head_hash": content_hash(lines[-1]), **changes}
    manifest = msgspec.structs.replace(read.manifest, events=events, artifacts=artifacts, **told)
    return to_head(manifest) + body.getvalue()


def chained(lines: list[bytes], *, at: int, old: bytes, new: bytes) -> list[bytes]:
    """A change of one event, with the whole chain behind it made to fit."""
    assert old in lines[at], lines[at]
    done = [*lines[:at], lines[at].replace(old, new)]
    for before, line in zip(lines[at:], lines[at + 1 :], strict=False):
        done.append(line.replace(content_hash(before).encode(), content_hash(done[-1]).encode()))
    return done


async def test_hostile_bundles_are_refused_whole(daemon: Served, other: Served) -> None:
    workspace, line = await worked_in(daemon)
    bundle = await exported(daemon, workspace)
    lines = list(Bundle(io.BytesIO(bundle)).lines())
    own = workspace.encode()
    hostile = {
        "no bundle": b"x" * 2_000,
        "nothing": b"",
        "cut": bundle[:-600],
        "a byte changed": bundle.replace(b'"name":"here"', b'"name":"here!"'[:13]),
        "an event left out": forged(bundle, lines=[*lines[:2], *lines[3:]]),
        "two changed places": forged(bundle, lines=[lines[0], lines[2], lines[1], *lines[3:]]),
        "an event changed": forged(bundle, lines=[lines[0].replace(b"here", b"hare"), *lines[1:]]),
        "another workspace's": forged(
            bundle, lines=[each.replace(own, own[:-4] + b"beef") for each in lines]
        ),
        "unknown type": forged(
            bundle, lines=chained(lines, at=1, old=b"project.created", new=b"project.devised")
        ),
        "another state": forged(bundle, state_hash=content_hash(b"")),
        "another end": forged(bundle, seq=3),
        "another name": forged(bundle, name="there"),
        "a text left out": forged(bundle, texts=[]),
        "a text too many": forged(bundle, texts=[b"go on", b"more"]),
        "a float": forged(
            bundle, lines=chained(lines, at=1, old=b'"schema_version":1', new=b'"schema_version":1.5')
        ),
        "an older event": forged(
            bundle, lines=chained(lines, at=2, old=b'"timestamp":"2', new=b'"timestamp":"1')
        ),
        "another subject": forged(
            bundle,
            lines=chained(
                lines, at=1, old=b'"subject":{"kind":"project"', new=b'"subject":{"kind":"session"'
            ),
        ),
        "a state that can't be": forged(
            bundle,
            lines=chained(lines, at=len(lines) - 1, old=line.session_id.encode(), new=line.run_id.encode()),
        ),
    }

    for what, each in hostile.items():
        reply = await imported(other, each)
        assert (reply.status, reply.code) == (422, "validation_failed"), (what, reply.body)
        assert b"bundle_refused" in reply.body, what
        assert await refuses_to_know(other, workspace), what
    assert not list((other.socket.parent / "artifacts").rglob("*/*/*"))


async def test_only_users_move_workspaces(daemon: Served) -> None:
    workspace, line = await worked_in(daemon)
    bundle = await exported(daemon, workspace)

    asked = await daemon.get("/v1/log/export", token=line.token, workspace_id=workspace)
    given = await imported(daemon, bundle, token=line.token)

    assert (asked.status, given.status) == (403, 403)


async def test_the_system_workspace_stays_where_it_is(daemon: Served) -> None:
    reply = await daemon.get("/v1/log/export", workspace_id=SYSTEM_WORKSPACE)
    assert b"system_workspace" in reply.body


async def test_a_bundle_beyond_the_bound_is_refused_before_it_is_read(
    daemon: Served, other: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = await worked_in(daemon)
    bundle = await exported(daemon, workspace)
    monkeypatch.setattr(bundles, "BUNDLE_BYTES_MAX", 1_000)

    assert (await imported(other, bundle)).status == 400


async def test_the_client_moves_a_workspace(daemon: Served, other: Served, tmp_path: Path) -> None:
    workspace, _ = await worked_in(daemon)
    file = tmp_path / "it.tar"
    async with daemon.client() as client:
        file.write_bytes(b"".join([piece async for piece in client.export_log(workspace)]))
    async with other.client() as client:
        taken = await client.import_log(file)
        assert (taken.workspace_id, taken.is_frozen) == (workspace, True)
        file.write_bytes(b"x" * 10_000_000)
        with pytest.raises(RequestRefused, match="tar archive"):
            await client.import_log(file)
