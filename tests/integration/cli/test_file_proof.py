"""A file's proof finds all that does not hold, in every workspace, and compares the snapshots beside it."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from moduprompt.cli.faults import CallFailed
from moduprompt.cli.file_proof import FAULTS_MAX, prove_file, refuse_faults
from moduprompt.protocol import SYSTEM_WORKSPACE
from moduprompt.storage.hashing import piece_digest
from moduprompt.storage.port import Note
from moduprompt.storage.sqlite.log import SqliteLog
from moduprompt.storage.sqlite.snapshots import SqliteSnapshots
from tests.support.kernel import make_kernel
from tests.support.log_files import rewritten, tampered, write_log


async def places(path: Path) -> list[tuple[str | None, int | None]]:
    return [(each.workspace_id, each.seq) for each in (await prove_file(path)).faults]


async def test_a_file_that_holds_is_verified_in_every_workspace(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    ids = await write_log(path, projects=(3, 2))

    proof = await prove_file(path)

    assert proof.faults == ()
    assert [(each.workspace_id, each.seq) for each in proof.verified[1:]] == [(ids[1], 7), (ids[2], 5)]
    refuse_faults(proof)


async def test_faults_in_two_workspaces_are_both_found_and_the_third_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    ids = await write_log(path, projects=(6, 2, 2))
    rewritten(path, ids[1], 2)
    rewritten(path, ids[1], 5)
    rewritten(path, ids[2], 3)

    proof = await prove_file(path)

    # Bytes that were changed are noticed by what follows them.
    assert [(each.workspace_id, each.seq) for each in proof.faults] == [(ids[1], 3), (ids[1], 6), (ids[2], 4)]
    assert [each.workspace_id for each in proof.verified] == [SYSTEM_WORKSPACE, ids[3]]
    with pytest.raises(CallFailed, match=r"event 3: .*; and 2 more") as caught:
        refuse_faults(proof)
    assert caught.value.exit_status == 1
    assert len(caught.value.error.details["faults"]) == 3  # type: ignore[index,arg-type]  # it is a list


async def test_events_that_are_gone_are_named_and_those_behind_them_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    ids = await write_log(path, projects=(9,))
    tampered(path, "DELETE FROM events WHERE ws = 2 AND seq IN (3, 4)")
    rewritten(path, ids[1], 7)

    assert await places(path) == [(ids[1], 3), (ids[1], 8)]


async def test_an_end_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    ids = await write_log(path, projects=(3,))
    tampered(path, "DELETE FROM events WHERE ws = 2 AND seq = 7")

    assert await places(path) == [(ids[1], 7)]


async def test_bytes_that_are_no_event_are_one_fault(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    ids = await write_log(path, projects=(5,))
    tampered(path, "UPDATE events SET data = x'00' WHERE ws = 2 AND seq = 3")

    assert (ids[1], 3) in await places(path)


async def test_the_faults_of_one_workspace_are_bounded_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    await write_log(path, projects=(FAULTS_MAX, 1))
    tampered(path, "UPDATE events SET data = x'00' WHERE ws = 2")

    proof = await prove_file(path)

    assert len(proof.faults) == FAULTS_MAX
    assert proof.untold == FAULTS_MAX + 2, "two events for each project and the first, and the head"
    assert len(proof.verified) == 2


async def test_a_data_folder_and_a_backup_are_proved_by_their_logs(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    await write_log(tmp_path / "state" / "log.sqlite")

    assert len((await prove_file(tmp_path)).verified) == 3
    assert len((await prove_file(tmp_path / "state")).verified) == 3


@pytest.fixture
async def with_snapshots(tmp_path: Path) -> Path:
    """A data folder's files as a daemon leaves them that has stopped."""
    log = await SqliteLog.open(tmp_path / "log.sqlite")
    snapshots = await SqliteSnapshots.open(tmp_path / "snapshots.sqlite")
    async with make_kernel(log=log, snapshots=snapshots) as house:
        home = await house.workspace()
        for number in range(3):
            await house.project(home, f"p{number}")
    await snapshots.close()
    await log.close()
    return tmp_path / "log.sqlite"


async def test_a_snapshot_beside_the_log_is_compared(with_snapshots: Path) -> None:
    proof = await prove_file(with_snapshots)

    assert proof.faults == ()
    assert [each.snapshot_seq for each in proof.verified] == [each.seq for each in proof.verified]


async def test_a_snapshot_of_another_state_is_a_fault(with_snapshots: Path) -> None:
    snapshots = await SqliteSnapshots.open(with_snapshots.with_name("snapshots.sqlite"))
    notes = {each.workspace_id: each for each in await snapshots.notes()}
    home = next(each for each in notes.values() if each.workspace_id != SYSTEM_WORKSPACE)
    pieces = await snapshots.read(home, after=0, limit=1_000)
    changed = next(each for each in pieces if each.kind == "ProjectState")
    renamed = changed.data.replace(b"p1", b"q1")
    assert renamed != changed.data
    await _publish_with(snapshots, home, number=changed.number, data=renamed)

    (fault,) = (await prove_file(with_snapshots)).faults

    assert (fault.path, fault.workspace_id, fault.seq) == ("snapshots.sqlite", home.workspace_id, home.seq)


async def test_a_snapshot_that_can_not_be_read_says_nothing(with_snapshots: Path) -> None:
    with_snapshots.with_name("snapshots.sqlite").write_bytes(b"SQLite format 3\0 and then nothing")

    proof = await prove_file(with_snapshots)

    assert proof.faults == ()
    assert {each.snapshot_seq for each in proof.verified} == {None}


async def _publish_with(snapshots: SqliteSnapshots, note: Note, *, number: int, data: bytes) -> None:
    """The same snapshot, but for one piece, whose digest is right."""
    (piece,) = [
        each for each in await snapshots.read(note, after=number - 1, limit=1) if each.number == number
    ]
    parts = tuple(
        replace(part, digest=piece_digest(data)) if part.number == number else part for part in note.parts
    )
    await snapshots.publish(replace(note, parts=parts), [replace(piece, data=data)])
    await snapshots.close()
