"""What every store of read models promises."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from moduprompt.domain.decider import Event
from moduprompt.domain.item import Item, Rows, Stamp, View
from moduprompt.protocol import Actor, WorkspaceId
from moduprompt.storage.port import Step, ViewBroke, ViewStore
from tests.support.stores import W1, W2, OpenViews, memory_views, sqlite_views

MAKERS = (memory_views, sqlite_views)


class Counted(Event, frozen=True, kw_only=True):
    """Something was counted; below zero it is taken away, and a thousand is more than the view can take."""

    wire: ClassVar[str] = "thing.counted"
    kind: ClassVar[str] = "thing"
    key: ClassVar[str] = "thing_id"

    thing_id: str
    by: int = 1


class Thing(Item, frozen=True, kw_only=True):
    """How often."""

    times: int = 0


def fold(rows: Rows, event: Event, stamp: Stamp) -> None:
    assert isinstance(event, Counted)
    if event.by < 0:
        rows.drop(Thing, event.thing_id)
        return
    before = rows.get(Thing, event.thing_id)
    rows.put(
        Thing(
            id=event.thing_id,
            workspace_id=stamp.workspace_id,
            version=stamp.version,
            created_at=before.created_at if before else stamp.timestamp,
            updated_at=stamp.timestamp,
            times=event.by + (before.times if before else 0),
        )
    )
    if event.by >= 1_000:
        raise ValueError("more than the view can take")


THINGS = View(name="things", version=1, collections=(("things", Thing),), fold=fold)
THINGS_2 = msgspec.structs.replace(THINGS, version=2)
OTHERS = View(name="others", version=1, collections=(("others", Thing),), fold=fold)


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def open_views(request: pytest.FixtureRequest, tmp_path: Path) -> OpenViews:
    make: Callable[[Path], OpenViews] = request.param
    return make(tmp_path)


@pytest.fixture
async def store(open_views: OpenViews) -> AsyncGenerator[ViewStore]:
    opened = await open_views((THINGS, OTHERS))
    yield opened
    await opened.close()


def a_step(seq: int, thing: str | None = "a", *, by: int = 1, workspace: WorkspaceId = W1) -> Step:
    stamp = Stamp(
        workspace_id=workspace,
        seq=seq,
        version=seq,
        timestamp=f"2026-01-01T00:00:00.{seq:06d}Z",
        actor=Actor(kind="user", id="u"),
    )
    return Step(event=None if thing is None else Counted(thing_id=thing, by=by), stamp=stamp)


async def times(store: ViewStore, thing: str, collection: str = "things") -> int | None:
    found = await store.row(collection, thing)
    return None if found is None else msgspec.json.decode(found[1], type=Thing).times


async def test_a_new_store_is_empty(store: ViewStore) -> None:
    assert await store.position(THINGS, W1) == 0
    assert await store.row("things", "a") is None
    assert await store.rows("things", workspace_id=None, after="", limit=10) == []
    assert await store.rows("unheard_of", workspace_id=W1, after="", limit=10) == []


async def test_steps_are_folded_in_order_and_the_position_moves(store: ViewStore) -> None:
    await store.apply((THINGS,), [a_step(1), a_step(2), a_step(3, "b"), a_step(4, None)])

    assert (await times(store, "a"), await times(store, "b")) == (2, 1)
    assert await store.position(THINGS, W1) == 4
    assert await store.position(OTHERS, W1) == 0
    assert await store.position(THINGS, W2) == 0


async def test_applying_twice_is_harmless(store: ViewStore) -> None:
    steps = [a_step(1), a_step(2)]
    for _ in range(3):
        await store.apply((THINGS,), steps)
    await store.apply((THINGS,), [a_step(2), a_step(3)])

    assert await times(store, "a") == 3


async def test_each_view_goes_on_from_its_own_position(store: ViewStore) -> None:
    await store.apply((THINGS,), [a_step(1), a_step(2)])
    await store.apply((THINGS, OTHERS), [a_step(1), a_step(2), a_step(3)])

    assert (await times(store, "a"), await times(store, "a", "others")) == (3, 3)


async def test_workspaces_have_positions_of_their_own(store: ViewStore) -> None:
    await store.apply((THINGS,), [a_step(1), a_step(1, "b", workspace=W2), a_step(2, "b", workspace=W2)])

    assert await store.position(THINGS, W1) == 1
    assert await store.position(THINGS, W2) == 2
    assert await store.row("things", "b") == (
        W2,
        (await store.rows("things", workspace_id=W2, after="", limit=1))[0][1],
    )


async def test_a_fold_that_breaks_leaves_nothing_behind(store: ViewStore) -> None:
    await store.apply((THINGS, OTHERS), [a_step(1)])

    with pytest.raises(ViewBroke, match="view others can't take event 4 ") as broke:
        await store.apply((OTHERS, THINGS), [a_step(2), a_step(3, "b", by=-1), a_step(4, "c", by=1_000)])
    assert (broke.value.view, broke.value.step.stamp.seq) == (OTHERS, 4)

    assert [await store.position(view, W1) for view in (THINGS, OTHERS)] == [1, 1]
    assert [await times(store, "a", name) for name in ("things", "others")] == [1, 1]
    assert await times(store, "c") is None
    await store.apply((THINGS, OTHERS), [a_step(2)])
    assert await times(store, "a") == 2


async def test_a_dropped_row_is_gone_and_may_come_again(store: ViewStore) -> None:
    await store.apply((THINGS,), [a_step(1), a_step(2, by=-1), a_step(3, "nobody", by=-1)])
    assert await times(store, "a") is None

    await store.apply((THINGS,), [a_step(4), a_step(5, by=-1), a_step(6)])
    assert await times(store, "a") == 1


async def test_rows_come_in_the_order_of_ids_and_in_pages(store: ViewStore) -> None:
    things = ["d", "a", "c", "e", "b"]
    await store.apply((THINGS,), [a_step(number, thing) for number, thing in enumerate(things, 1)])
    await store.apply((THINGS,), [a_step(1, "bb", workspace=W2)])

    async def ids(workspace_id: WorkspaceId | None, after: str, limit: int) -> list[str]:
        return [
            id_ for id_, _ in await store.rows("things", workspace_id=workspace_id, after=after, limit=limit)
        ]

    assert await ids(W1, "", 3) == ["a", "b", "c"]
    assert await ids(W1, "c", 3) == ["d", "e"]
    assert await ids(W1, "e", 3) == []
    assert await ids(W2, "", 3) == ["bb"]
    assert await ids(None, "", 99) == ["a", "b", "bb", "c", "d", "e"]


async def test_workspaces_with_the_same_ids_keep_rows_of_their_own(
    store: ViewStore, open_views: OpenViews
) -> None:
    await store.apply((THINGS,), [a_step(1), a_step(2)])
    kept = await store.row("things", "a")
    await store.apply((THINGS,), [a_step(1, by=5, workspace=W2)])
    assert await store.row("things", "a") == kept
    await store.apply(
        (THINGS,), [a_step(3), a_step(2, by=-1, workspace=W2), a_step(4, "b"), a_step(3, "b", workspace=W2)]
    )

    async def ids(workspace_id: WorkspaceId | None) -> list[str]:
        return [id_ for id_, _ in await store.rows("things", workspace_id=workspace_id, after="", limit=9)]

    assert await times(store, "a") == 3
    assert (await ids(W1), await ids(W2), await ids(None)) == (["a", "b"], ["b"], ["a", "b", "b"])
    await store.close()

    again = await open_views((THINGS, OTHERS))
    found = await again.row("things", "b")
    assert found is not None
    assert found[0] == W1
    await again.forget(W1)
    found = await again.row("things", "b")
    assert found is not None
    assert found[0] == W2
    await again.close()


async def test_another_version_of_a_view_starts_from_nothing(store: ViewStore, open_views: OpenViews) -> None:
    await store.apply((THINGS, OTHERS), [a_step(1), a_step(2)])
    await store.close()

    changed = await open_views((THINGS_2, OTHERS))
    assert await changed.position(THINGS_2, W1) == 0
    assert await changed.position(OTHERS, W1) == 2
    await changed.apply((THINGS_2, OTHERS), [a_step(1), a_step(2)])
    assert [await times(changed, "a", name) for name in ("things", "others")] == [2, 2]
    await changed.close()


async def test_rows_are_there_after_opening_again(store: ViewStore, open_views: OpenViews) -> None:
    await store.apply((THINGS,), [a_step(1)])
    await store.close()

    again = await open_views((THINGS, OTHERS))
    assert await times(again, "a") == 1
    assert await again.position(THINGS, W1) == 1
    await again.close()


async def test_closing_twice_is_fine(store: ViewStore) -> None:
    await store.close()
    await store.close()


async def test_standings_say_of_every_workspace_which_event_came_last(store: ViewStore) -> None:
    assert await store.standings(THINGS) == []
    last = msgspec.structs.replace(a_step(2), event_id="e2")
    await store.apply((THINGS,), [a_step(1), last, a_step(1, workspace=W2)])

    found = {each.workspace_id: each for each in await store.standings(THINGS)}
    assert set(found) == {W1, W2}
    assert (found[W1].seq, found[W1].event_id) == (2, "e2")
    assert found[W2].seq == 1
    assert await store.standings(OTHERS) == await store.standings(THINGS_2) == []


async def test_rows_are_counted_of_the_edition_that_serves(store: ViewStore) -> None:
    assert await store.count(THINGS) == 0
    await store.apply((THINGS,), [a_step(1), a_step(2, "b"), a_step(1, workspace=W2), a_step(3, "b", by=-1)])

    assert (await store.count(THINGS), await store.count(OTHERS)) == (2, 0)


async def test_a_workspace_that_is_forgotten_is_folded_from_its_first_event(store: ViewStore) -> None:
    await store.apply((THINGS, OTHERS), [a_step(1), a_step(2), a_step(1, "b", workspace=W2)])
    shadow = await store.shadow(THINGS)
    await shadow.apply([a_step(1), a_step(1, "b", workspace=W2)])

    await store.forget(W1)

    for view in (THINGS, OTHERS):
        assert [each.workspace_id for each in await store.standings(view)] == [W2]
        assert await store.count(view) == 1
    assert (await shadow.position(W1), await shadow.position(W2)) == (0, 1)
    await store.apply((THINGS,), [a_step(1)])
    assert (await times(store, "a"), await times(store, "b")) == (1, 1)
    await shadow.discard()


async def test_nobody_reads_a_shadow_before_it_takes_over(store: ViewStore) -> None:
    await store.apply((THINGS,), [a_step(1), a_step(2)])
    shadow = await store.shadow(THINGS)
    await shadow.apply([a_step(1, "new")])

    assert (await times(store, "a"), await times(store, "new")) == (2, None)
    assert (await store.position(THINGS, W1), await shadow.position(W1)) == (2, 1)
    assert await store.count(THINGS) == 1

    await shadow.take_over()
    assert (await times(store, "a"), await times(store, "new")) == (None, 1)
    assert await store.position(THINGS, W1) == 1
    await store.apply((THINGS,), [a_step(1, "new"), a_step(2, "new")])
    assert await times(store, "new") == 2, "it goes on where the shadow stood"


async def test_a_shadow_takes_each_step_once(store: ViewStore) -> None:
    shadow = await store.shadow(THINGS)
    for _ in range(2):
        await shadow.apply([a_step(1), a_step(2)])
    await shadow.take_over()

    assert await times(store, "a") == 2


async def test_a_shadow_that_is_discarded_leaves_what_serves(store: ViewStore) -> None:
    await store.apply((THINGS,), [a_step(1)])
    shadow = await store.shadow(THINGS)
    await shadow.apply([a_step(1, "new")])
    for _ in range(2):
        await shadow.discard()

    assert (await times(store, "a"), await times(store, "new")) == (1, None)
    again = await store.shadow(THINGS)
    assert await again.position(W1) == 0, "a former one is gone"
    await again.discard()


async def test_a_shadow_that_took_over_is_not_discarded(store: ViewStore) -> None:
    shadow = await store.shadow(THINGS)
    await shadow.apply([a_step(1, "new")])
    await shadow.take_over()
    await shadow.discard()

    assert await times(store, "new") == 1


async def test_a_shadow_of_another_version_serves_once_it_took_over(
    store: ViewStore, open_views: OpenViews
) -> None:
    await store.apply((THINGS,), [a_step(1)])
    await store.close()
    changed = await open_views((THINGS_2, OTHERS))
    shadow = await changed.shadow(THINGS_2)
    await shadow.apply([a_step(1, "new")])
    assert await times(changed, "a") == 1, "the rows of the version before serve meanwhile"

    await shadow.take_over()
    assert (await times(changed, "a"), await times(changed, "new")) == (None, 1)
    assert await changed.position(THINGS_2, W1) == 1
    await changed.close()


async def test_a_shadow_that_nobody_finished_is_gone_after_opening_again(
    store: ViewStore, open_views: OpenViews
) -> None:
    await store.apply((THINGS,), [a_step(1)])
    await (await store.shadow(THINGS)).apply([a_step(1, "new")])
    await store.close()

    again = await open_views((THINGS, OTHERS))
    assert (await times(again, "a"), await times(again, "new"), await again.count(THINGS)) == (1, None, 1)
    await again.close()


async def test_a_fold_that_breaks_in_a_shadow_leaves_both_as_they_were(store: ViewStore) -> None:
    await store.apply((THINGS,), [a_step(1)])
    shadow = await store.shadow(THINGS)
    with pytest.raises(ViewBroke) as caught:
        await shadow.apply([a_step(1), a_step(2, by=1_000)])

    assert caught.value.step.stamp.seq == 2
    assert (await shadow.position(W1), await times(store, "a")) == (0, 1)
    await shadow.discard()
