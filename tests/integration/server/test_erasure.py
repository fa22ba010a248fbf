"""Artifacts are erased: the bytes, and everything that would bring them back. The log stays whole."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest

from moduprompt.domain.artifact.commands import EraseArtifact
from moduprompt.domain.artifact.intents import EraseBytes
from moduprompt.domain.capsule.commands import WriteCapsule
from moduprompt.domain.run.commands import ReportExited, ReportStarted
from moduprompt.domain.session.commands import PromptSession
from moduprompt.domain.task.commands import CreateTask
from moduprompt.domain.workspace.commands import AdoptWorkspace
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.artifacts.hand import EraseHand
from moduprompt.protocol import ArtifactRef, WorkspaceId
from moduprompt.storage.bundle import Bundle
from moduprompt.storage.hashing import content_hash
from moduprompt.storage.port import StorageFailed
from tests.support.deadline import eventually_async
from tests.support.kernel import FakeHand
from tests.support.served import TOKEN, Line, Reply, Served, serve_in

SECRET = "my password is swordfish"
REF = content_hash(SECRET.encode())


def eraser(folder: Path) -> EraseHand:
    return EraseHand(
        FolderArtifacts(folder / "artifacts"),
        run_dir=lambda id_: folder / id_,
        recording="rec",
        prompt="prompt",
    )


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncGenerator[Served]:
    async with serve_in(tmp_path, hands=(eraser(tmp_path),)) as served:
        yield served


async def told(daemon: Served, workspace: WorkspaceId | None = None) -> tuple[WorkspaceId, Line]:
    """A session that was told a secret."""
    home = workspace or await daemon.make_workspace()
    line = await daemon.make_session(home, await daemon.make_project(home))
    await daemon.accepted(PromptSession(workspace_id=home, session_id=line.session_id, prompt=SECRET))
    return home, line


def erase(workspace: WorkspaceId, ref: ArtifactRef = REF) -> EraseArtifact:
    return EraseArtifact(workspace_id=workspace, ref=ref, reason="it was a password")


def path_of(daemon: Served, workspace: WorkspaceId, ref: ArtifactRef = REF) -> Path:
    return FolderArtifacts(daemon.socket.parent / "artifacts").path_of(workspace, ref)


async def vanished(path: Path) -> None:
    async def is_there_no_more() -> bool:
        return not path.exists()  # noqa: ASYNC240 - one look

    await eventually_async(is_there_no_more)


async def is_gone(daemon: Served, workspace: WorkspaceId) -> None:
    await vanished(path_of(daemon, workspace))


def why(reply: Reply) -> object:
    body = reply.json()
    inner = msgspec.convert(body.get("rejection", body), dict[str, object])
    return msgspec.convert(inner.get("details", {}), dict[str, object]).get("reason")


async def test_what_is_erased_is_gone_and_says_by_whom_and_when(daemon: Served) -> None:
    home, _ = await told(daemon)
    assert (await daemon.get(f"/v1/artifacts/{REF}", workspace_id=home)).body == SECRET.encode()

    (fact,) = await daemon.accepted(erase(home))

    assert fact.wire == "artifact.erased"
    await is_gone(daemon, home)
    assert [path for path in (daemon.socket.parent / "artifacts").rglob("*") if path.is_file()] == []
    for query in ({"workspace_id": home}, {}):
        reply = await daemon.ask("GET", f"/v1/artifacts/{REF}", query=query)
        details = msgspec.convert(reply.json()["details"], dict[str, str])
        assert (reply.status, details["reason"], details["because"]) == (
            404,
            "artifact_erased",
            "it was a password",
        )
        assert details["erased_by"] == f"user {daemon.kernel.owner_id}"
        assert details["erased_at"].endswith("Z")
    about = (await daemon.get(f"/v1/artifacts/{REF}/about", workspace_id=home)).json()
    assert (about["status"], about["chars"], about["from_kind"]) == ("erased", len(SECRET), "session")
    assert await daemon.accepted(erase(home)) == ()


async def test_the_past_does_not_bring_it_back(daemon: Served) -> None:
    home, _ = await told(daemon)
    about = await daemon.get(f"/v1/artifacts/{REF}/about", workspace_id=home)
    seq = (await daemon.get("/v1/artifacts", workspace_id=home)).json()["seq_global"]
    await daemon.accepted(erase(home))

    then = await daemon.get(f"/v1/artifacts/{REF}/about", workspace_id=home, as_of=seq)

    assert then.body == about.body
    assert (await daemon.get(f"/v1/artifacts/{REF}", workspace_id=home)).status == 404


async def test_the_same_text_does_not_come_back_and_leaves_no_bytes(daemon: Served) -> None:
    home, line = await told(daemon)
    project = (await daemon.get("/v1/projects", workspace_id=home)).json()
    project_id = msgspec.convert(project["items"], list[dict[str, object]])[0]["id"]
    await daemon.accepted(erase(home))
    await is_gone(daemon, home)

    said = await daemon.submit(PromptSession(workspace_id=home, session_id=line.session_id, prompt=SECRET))
    made = await daemon.submit(
        CreateTask(workspace_id=home, project_id=project_id, title="t", description=SECRET)  # type: ignore[arg-type]
    )

    assert [(each.status, why(each)) for each in (said, made)] == [(422, "artifact_erased")] * 2
    assert SECRET.encode() not in said.body
    assert not path_of(daemon, home).exists()
    await daemon.accepted(PromptSession(workspace_id=home, session_id=line.session_id, prompt=f"{SECRET}!"))


async def test_a_text_that_was_stored_while_it_was_erased_is_erased_again(
    daemon: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, line = await told(daemon)
    store = daemon.kernel.artifacts
    put = store.put

    async def slow(workspace_id: WorkspaceId, data: bytes) -> ArtifactRef:
        await daemon.accepted(erase(home))  # decided between the look and the decision
        await is_gone(daemon, home)
        return await put(workspace_id, data)

    monkeypatch.setattr(store, "put", slow)
    reply = await daemon.submit(PromptSession(workspace_id=home, session_id=line.session_id, prompt=SECRET))

    assert (reply.status, why(reply)) == (422, "artifact_erased")
    assert not path_of(daemon, home).exists()


async def test_another_workspace_keeps_its_own_and_learns_nothing(daemon: Served) -> None:
    home, _ = await told(daemon)
    other, line = await told(daemon)
    stranger = await daemon.make_workspace("stranger")

    never = await daemon.submit(erase(stranger))
    nowhere = await daemon.submit(erase(stranger, content_hash(b"nobody ever said that")))
    await daemon.accepted(erase(home))
    await is_gone(daemon, home)

    assert (never.status, nowhere.status) == (404, 404)
    assert (await daemon.get(f"/v1/artifacts/{REF}", workspace_id=other)).body == SECRET.encode()
    assert (await daemon.get(f"/v1/artifacts/{REF}")).body == SECRET.encode()
    missing = await daemon.get(f"/v1/artifacts/{REF}", workspace_id=stranger)
    assert (missing.status, why(missing)) == (404, why(await daemon.get(f"/v1/artifacts/blake3:{'0' * 64}")))
    await daemon.accepted(PromptSession(workspace_id=other, session_id=line.session_id, prompt=SECRET))


async def test_a_name_in_a_title_is_no_artifact(daemon: Served) -> None:
    workspace = await daemon.make_workspace(REF)

    assert (await daemon.submit(erase(workspace))).status == 404


async def test_a_session_can_neither_erase_nor_list_and_reads_what_was_said_to_it_until_it_is_erased(
    daemon: Served,
) -> None:
    home, line = await told(daemon)

    refused = await daemon.submit(erase(home), token=line.token)

    assert (refused.status, why(refused)) == (403, "never_for_sessions")
    about = await daemon.get(f"/v1/artifacts/{REF}/about", token=line.token, workspace_id=home)
    assert about.status == 403
    listed = await daemon.get("/v1/artifacts", token=line.token, workspace_id=home)
    assert listed.json()["items"] == []
    assert path_of(daemon, home).exists()
    read = await daemon.get(f"/v1/artifacts/{REF}", token=line.token, workspace_id=home)
    assert (read.status, read.body) == (200, SECRET.encode())
    await daemon.accepted(erase(home))
    gone = await daemon.get(f"/v1/artifacts/{REF}", token=line.token, workspace_id=home)
    assert (gone.status, why(gone)) == (404, "artifact_erased")


async def test_the_text_of_a_refused_command_is_nobodys_to_read(daemon: Served) -> None:
    home, line = await told(daemon)
    account = "x" * 1_001
    refused = await daemon.submit(
        WriteCapsule(workspace_id=home, session_id=line.session_id, capsule_kind="risk", account=account)
    )
    assert (refused.status, why(refused)) == (422, "capsule_too_long")

    read = await daemon.get(f"/v1/artifacts/{content_hash(account.encode())}", workspace_id=home)

    assert read.status == 404


async def test_a_recording_goes_with_the_file_that_its_run_kept(daemon: Served) -> None:
    home, line = await told(daemon)
    folder = daemon.socket.parent / line.run_id
    ref = await daemon.kernel.artifacts.put(home, b"recorded")
    await daemon.report(ReportStarted(workspace_id=home, run_id=line.run_id, pid=7, start_time=9))
    await daemon.report(
        ReportExited(
            workspace_id=home, run_id=line.run_id, how="exited", code=0, output_bytes=8, recording=ref
        )
    )
    folder.mkdir()
    for name in ("rec", "prompt", "journal"):
        (folder / name).write_bytes(b"recorded")

    await daemon.accepted(erase(home, ref))
    await vanished(folder / "rec")

    assert sorted(path.name for path in folder.iterdir()) == ["journal", "prompt"]
    for path in ("output", "recording"):
        reply = await daemon.get(f"/v1/runs/{line.run_id}/{path}", workspace_id=home)
        assert (reply.status, why(reply)) == (404, "artifact_erased")


async def test_a_crash_between_the_event_and_the_deletion_changes_nothing(tmp_path: Path) -> None:
    asked = FakeHand(EraseBytes)
    async with serve_in(tmp_path, hands=(asked,)) as daemon:
        home, _ = await told(daemon)
        await daemon.accepted(erase(home))
        assert path_of(daemon, home).exists()
        assert (await daemon.get(f"/v1/artifacts/{REF}", workspace_id=home)).status == 404
    for _ in range(2):  # the second time as if a backup had put it back
        async with serve_in(tmp_path, hands=(eraser(tmp_path),)) as daemon:
            await is_gone(daemon, home)
            await daemon.kernel.artifacts.put(home, SECRET.encode())


async def test_a_disk_that_fails_is_tried_again(tmp_path: Path) -> None:
    hand, tries = eraser(tmp_path), 0
    carry_out = hand.carry_out

    class Stubborn(FakeHand):
        async def carry_out(self, intent: object) -> bool:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise StorageFailed("input/output error")
            assert isinstance(intent, EraseBytes)
            return await carry_out(intent)

    async with serve_in(tmp_path, hands=(Stubborn(EraseBytes),)) as daemon:
        home, _ = await told(daemon)
        await daemon.accepted(erase(home))
        await is_gone(daemon, home)
    assert tries == 2


async def test_a_bundle_marks_what_was_erased_and_never_brings_it(daemon: Served, tmp_path: Path) -> None:
    home, line = await told(daemon)
    await daemon.accepted(PromptSession(workspace_id=home, session_id=line.session_id, prompt="harmless"))
    whole = (await daemon.get("/v1/log/export", workspace_id=home)).body
    await daemon.accepted(erase(home))
    bundle = (await daemon.get("/v1/log/export", workspace_id=home)).body

    manifest = Bundle(io.BytesIO(bundle)).manifest
    assert manifest.erased == (REF,)
    assert [each.ref for each in manifest.artifacts] == [content_hash(b"harmless")]
    assert manifest.missing == ()
    assert SECRET.encode() in whole
    assert SECRET.encode() not in bundle
    assert Bundle(io.BytesIO(whole)).manifest.erased is msgspec.UNSET

    (tmp_path / "there").mkdir()
    async with serve_in(tmp_path / "there", hands=(eraser(tmp_path / "there"),)) as there:
        taken = await there.ask("POST", "/v1/log/import", body=bundle)
        assert taken.status == 200, taken.body
        assert (
            taken.json()["state_hash"]
            == (await daemon.get("/v1/log/head", workspace_id=home)).json()["state_hash"]
        )
        reply = await there.get(f"/v1/artifacts/{REF}", workspace_id=home)
        assert (reply.status, why(reply)) == (404, "artifact_erased")
        await there.accepted(AdoptWorkspace(workspace_id=home), token=TOKEN)
        refused = await there.submit(
            PromptSession(workspace_id=home, session_id=line.session_id, prompt=SECRET)
        )
        assert why(refused) == "artifact_erased"


async def test_a_bundle_that_hides_what_was_erased_is_refused(daemon: Served, tmp_path: Path) -> None:
    home, _ = await told(daemon)
    await daemon.accepted(erase(home))
    bundle = (await daemon.get("/v1/log/export", workspace_id=home)).body
    marked = b'"erased": [\n    "' + REF.encode() + b'"\n  ]'
    hidden = b'"erased": [\n   \n  ]'
    assert marked in bundle

    (tmp_path / "there").mkdir()
    async with serve_in(tmp_path / "there") as there:
        reply = await there.ask(
            "POST", "/v1/log/import", body=bundle.replace(marked, hidden.ljust(len(marked)))
        )

    assert (reply.status, why(reply)) == (422, "bundle_refused")
