"""Whatever is done to a bundle, it is taken as it was or refused: nothing else ever comes of it."""

from __future__ import annotations

import asyncio
import io
from functools import lru_cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moduprompt.domain.workspace.commands import AdoptWorkspace, RenameWorkspace
from moduprompt.kernel.transfer import checked
from moduprompt.protocol import WorkspaceId
from moduprompt.storage.bundle import BundleRefused
from moduprompt.storage.port import StorageFailed
from tests.support.clocks import CountingMint
from tests.support.kernel import House, accepted, make_kernel, reason


async def _exported(house: House, workspace: WorkspaceId) -> bytes:
    body = io.BytesIO()
    seq = house.kernel.feed.head(workspace)
    bundled = await house.kernel.transfer.export(workspace, seq=seq, body=body)
    return bundled.head + body.getvalue()


@lru_cache(maxsize=1)
def a_bundle() -> bytes:
    async def make() -> bytes:
        async with make_kernel() as house:
            workspace = await house.workspace()
            await house.project(workspace)
            return await _exported(house, workspace)

    return asyncio.run(make())


def holds(data: bytes) -> bool:
    """Whether it is taken; any fault but a refusal fails the test."""
    try:
        return checked(io.BytesIO(data)).manifest == checked(io.BytesIO(a_bundle())).manifest
    except BundleRefused:
        return False


@given(at=st.integers(0, len(a_bundle()) - 1), byte=st.integers(0, 255))
def test_a_byte_that_was_changed_is_seen_wherever_it_matters(at: int, byte: int) -> None:
    whole = a_bundle()
    other = whole[:at] + bytes([byte]) + whole[at + 1 :]
    # Only blanks of the manifest may differ: what it says is compared.
    assert not holds(other) or other == whole or chr(byte).isspace()


@given(
    start=st.integers(0, len(a_bundle())), length=st.integers(1, 4_096), at=st.integers(0, len(a_bundle()))
)
def test_parts_that_were_moved_left_out_or_doubled_are_seen(start: int, length: int, at: int) -> None:
    whole = a_bundle()
    part = whole[start : start + length]
    for other in (whole[:start] + whole[start + length :], whole[:at] + part + whole[at:]):
        assert not holds(other) or other == whole


@given(st.binary(max_size=4_096))
@example(b"")
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    assert not holds(data)


async def test_a_disk_that_fails_in_the_middle_leaves_nothing_to_see_and_the_import_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("moduprompt.kernel.transfer.PAGE", 1)
    workspace = checked(io.BytesIO(a_bundle())).manifest.workspace_id
    async with make_kernel() as house:
        house.log.fail_next(StorageFailed("the disk is gone"), after_writing=True)
        with pytest.raises(StorageFailed):
            await house.kernel.transfer.take_in(io.BytesIO(a_bundle()))
        assert await house.kernel.find(workspace) is None
        ledger = await house.kernel.transfer.take_in(io.BytesIO(a_bundle()))
        assert ledger.is_frozen


async def test_two_imports_at_once_are_one_import() -> None:
    async with make_kernel() as house:
        take_in = house.kernel.transfer.take_in
        one, two = await asyncio.gather(take_in(io.BytesIO(a_bundle())), take_in(io.BytesIO(a_bundle())))
        assert one is two


async def test_an_adoption_that_was_not_written_leaves_the_workspace_frozen() -> None:
    async with make_kernel(mint=CountingMint(after=0x2_0000)) as house:
        ledger = await house.kernel.transfer.take_in(io.BytesIO(a_bundle()))
        workspace = ledger.workspace_id
        house.log.fail_next(StorageFailed("the disk is gone"))

        lost = await house.submit(AdoptWorkspace(workspace_id=workspace))
        frozen = await house.submit(RenameWorkspace(workspace_id=workspace, name="mine"))

        assert reason(lost).startswith("unavailable")
        assert reason(frozen) == "validation_failed/workspace_frozen"
        accepted(await house.submit(AdoptWorkspace(workspace_id=workspace)))
        accepted(await house.submit(RenameWorkspace(workspace_id=workspace, name="mine")))
