"""A filter of used keys: what was used is never called fresh, whatever happens around it."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.storage.port import HeadMoved, KeyRow, StorageFailed
from moduprompt.storage.sqlite import known_keys
from moduprompt.storage.sqlite.known_keys import Filter, KnownKeys, Use
from moduprompt.storage.sqlite.log import SqliteLog
from tests.support.deadline import turns
from tests.support.stores import W1, Tip, a_key, an_append

USES = st.tuples(st.text(max_size=8), st.text(max_size=8))


def roomy(_size: int) -> bool:
    return True


def a_filter(*uses: Use) -> Filter:
    made = Filter(may_grow=roomy)
    for use in uses:
        made.add(use)
    made.is_whole = True
    return made


@given(st.sets(USES, max_size=60))
def test_what_was_used_is_never_called_fresh(uses: set[Use]) -> None:
    known = a_filter(*uses)

    assert not any(known.is_surely_fresh(use) for use in uses)


def test_what_was_used_is_remembered_while_the_filter_grows() -> None:
    uses = [("user:u", f"key {number}") for number in range(3 * known_keys.LAYER_KEYS)]
    known = a_filter(*uses)

    assert not any(known.is_surely_fresh(use) for use in uses)


def test_few_fresh_keys_are_taken_for_used() -> None:
    known = a_filter(*(("user:u", f"key {number}") for number in range(5_000)))

    doubted = sum(not known.is_surely_fresh(("user:u", f"other {number}")) for number in range(10_000))
    assert doubted < 300


def test_an_actor_s_keys_are_its_own() -> None:
    known = a_filter(("user:a", "k"))

    assert not known.is_surely_fresh(("user:a", "k"))
    assert known.is_surely_fresh(("user:b", "k"))


def test_a_filter_that_is_not_whole_or_has_no_room_says_nothing() -> None:
    begun = Filter(may_grow=roomy)
    full = Filter(may_grow=lambda _: False)
    full.is_whole = True
    full.add(("user:u", "k"))

    assert not begun.is_surely_fresh(("user:u", "other"))
    assert not full.is_surely_fresh(("user:u", "other"))


def test_all_filters_together_stay_within_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_keys, "BYTES_MAX", 5_000)  # two first layers and a half

    async def nothing(*_: object) -> list[Use]:
        return []

    async def flushed() -> None:
        return

    keys = KnownKeys(read=nothing, flush=flushed)
    for workspace_id in (W1, "second", "third"):
        keys.begin(workspace_id)  # type: ignore[arg-type]
        keys.add(workspace_id, [("user:u", "k")])  # type: ignore[arg-type]
        keys.complete(workspace_id)  # type: ignore[arg-type]

    said = [keys.is_surely_fresh(ws, ("user:u", "new")) for ws in (W1, "second", "third")]  # type: ignore[arg-type]
    assert said == [True, True, False]


class Asked:
    """A log, and how often its table of keys was asked."""

    def __init__(self, log: SqliteLog, patch: pytest.MonkeyPatch) -> None:
        self.log = log
        self.asked = 0
        whole = log._find_keys  # pyright: ignore[reportPrivateUsage] - what a look-up costs is nobody else's business

        def counted(wanted: list[tuple[str, str, str]]) -> list[KeyRow | None]:
            self.asked += len(wanted)
            return whole(wanted)  # type: ignore[arg-type]

        patch.setattr(log._keys, "_ask", counted)  # pyright: ignore[reportPrivateUsage]

    async def is_found(self, key: str) -> bool:
        return await self.log.find_key(W1, actor="user:u1", key=key) is not None

    async def costs(self, key: str) -> int:
        """Look-ups in the table."""
        before = self.asked
        await self.is_found(key)
        return self.asked - before


async def until_learned(log: Asked) -> None:
    """So many look-ups in vain, and the keys are read."""
    for number in range(known_keys.IN_VAIN_MAX):
        assert not await log.is_found(f"in vain {number}")
    task = next(iter(log.log._known._learning), None)  # pyright: ignore[reportPrivateUsage]
    if task is not None:
        await task


async def test_a_new_workspace_needs_no_lookups_of_fresh_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Asked(await SqliteLog.open(tmp_path / "log.sqlite"), monkeypatch)
    await log.log.append([an_append(Tip(workspace_id=W1), keys=[a_key("k")])])

    assert await log.costs("fresh") == 0
    assert await log.is_found("k")
    await log.log.close()


async def test_the_keys_of_an_old_workspace_are_learned_when_fresh_ones_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [a_key(f"k{number}", seqs=(number, number)) for number in range(1, 601)]  # three slices
    first = await SqliteLog.open(tmp_path / "log.sqlite")
    await first.append([an_append(Tip(workspace_id=W1), 600, keys=rows)])
    await first.close()
    log = Asked(await SqliteLog.open(tmp_path / "log.sqlite"), monkeypatch)
    await log.log.claim(W1)
    assert await log.costs("fresh") == 1

    await until_learned(log)
    assert sum([await log.costs(f"fresh {number}") for number in range(50)]) < 10
    assert all([await log.is_found(row.key) for row in rows])
    await log.log.close()


async def test_a_workspace_of_another_owner_is_always_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await SqliteLog.open(tmp_path / "log.sqlite")
    await owner.append([an_append(Tip(workspace_id=W1))])
    log = Asked(await SqliteLog.open(tmp_path / "log.sqlite"), monkeypatch)
    await until_learned(log)
    await owner.append([an_append(Tip(workspace_id=W1).after(1), keys=[a_key("k")])])

    assert await log.is_found("k")
    await owner.close()
    await log.log.close()


async def test_a_key_that_is_written_while_keys_are_read_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One write is under way when the reading begins, one comes in behind where it stands."""
    monkeypatch.setattr(known_keys, "SLICE", 2)
    first = await SqliteLog.open(tmp_path / "log.sqlite")
    rows = [a_key(f"k{number}") for number in range(8)]
    await first.append([an_append(Tip(workspace_id=W1), keys=rows)])
    await first.close()
    log = Asked(await SqliteLog.open(tmp_path / "log.sqlite"), monkeypatch)
    tip = Tip.of(await log.log.claim(W1))
    for number in range(known_keys.IN_VAIN_MAX - 1):
        await log.is_found(f"in vain {number}")

    under_way = asyncio.create_task(log.log.append([an_append(tip, keys=[a_key("a")])]))
    await turns(1)
    await log.is_found("the last in vain")
    await log.log.append([an_append(tip.after(1), keys=[a_key("b")])])
    await under_way
    await until_learned(log)

    assert all([await log.is_found(key) for key in ("a", "b", "k0", "k7")])
    await log.log.close()


@pytest.mark.parametrize("fault", [StorageFailed("eio"), HeadMoved("fenced")])
async def test_after_a_write_that_failed_keys_are_looked_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    log = Asked(await SqliteLog.open(tmp_path / "log.sqlite"), monkeypatch)
    await log.log.append([an_append(Tip(workspace_id=W1))])
    assert await log.costs("fresh") == 0

    def fails(_: object) -> None:
        raise fault

    with monkeypatch.context() as patch:
        patch.setattr(log.log, "_append", fails)
        with pytest.raises(type(fault)):
            await log.log.append([an_append(Tip(workspace_id=W1).after(1))])

    assert await log.costs("fresh") == 1
    await log.log.close()


async def test_who_claims_a_workspace_again_learns_what_its_owner_meanwhile_wrote(tmp_path: Path) -> None:
    first = await SqliteLog.open(tmp_path / "log.sqlite")
    await first.append([an_append(Tip(workspace_id=W1))])
    second = await SqliteLog.open(tmp_path / "log.sqlite")
    tip = Tip.of(await second.claim(W1))
    await second.append([an_append(tip, keys=[a_key("k")])])
    await second.close()

    await first.claim(W1)
    assert await first.find_key(W1, actor="user:u1", key="k") is not None
    await first.close()
