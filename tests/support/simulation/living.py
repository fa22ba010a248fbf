"""What must hold of a kernel that runs: its memory and its views say what its log says."""

from collections.abc import Iterable

from moduprompt.domain.deciders import VIEWS
from moduprompt.kernel.projector import to_step
from moduprompt.protocol import Refused, encode
from moduprompt.storage.memory.views import MemoryViews
from moduprompt.storage.port import READ_MAX, StoredEvent, ViewStore
from tests.support.simulation.checks import check_image
from tests.support.simulation.image import Image, Violation, Workspace, hold, read_image
from tests.support.simulation.machine import LOG_DB, Machine
from tests.support.simulation.submitting import Promise

Rows = dict[str, list[tuple[str, bytes]]]
TRIES = 200  # looks at a kernel that should come to rest
A_MOMENT_S = 0.05  # of made-up time
COLLECTIONS = tuple(name for view in VIEWS for name, _ in view.collections)


async def at_rest(machine: Machine) -> Image:
    """The log as a new connection reads it, when all that was decided is written."""
    for _ in range(TRIES):
        image = read_image(machine.disk.path(LOG_DB), vfs=machine.disk.name)
        if _is_at_rest(machine, image):
            return image
        await machine.world.clock.pass_by(A_MOMENT_S)
    raise Violation("rest", "what was decided is never written")


def replay_equals_state(machine: Machine, image: Image) -> None:
    """Folding the log from zero gives what the kernel has in memory; needs a kernel at rest."""
    hashes = check_image(image)
    for ledger in machine.kernel.cabinet.ledgers():
        workspace = image.workspaces[ledger.workspace_id]
        hold("replay", ledger.seq == workspace.seq, f"{workspace.id}: {ledger.seq}, not {workspace.seq}")
        same = hashes[workspace.id] == ledger.state_hash()
        hold("replay", same, f"workspace {workspace.id} has another state")
        hold("epoch", ledger.epoch == workspace.epoch, f"workspace {workspace.id} belongs to somebody else")


async def views_equal_rebuild(machine: Machine) -> None:
    """The rows are those of a fold of the whole log; so are those that the daemon makes again beside them."""
    await _rows_are_those_of_the_log(machine)
    await _rebuilt_in_place(machine)
    await _rows_are_those_of_the_log(machine)


async def _rows_are_those_of_the_log(machine: Machine) -> None:
    for _ in range(TRIES):
        image = await at_rest(machine)
        for workspace in image.workspaces.values():
            await _caught_up(machine, workspace)
        found = await _rows(machine.kernel.view_store)
        if _heads(await at_rest(machine)) == _heads(image):  # else a timer has fired meanwhile
            expected = await _rows(await _rebuilt(image))
            for name in COLLECTIONS:
                hold("views", found[name] == expected[name], f"the rows of {name} are not those of the log")
            return
    raise Violation("rest", "the kernel never stops writing by itself")


async def _rebuilt_in_place(machine: Machine) -> None:
    """What the machine rebuilds by itself since its start is ready, or is asked for again."""
    projector = machine.kernel.projector
    projector.rebuilds.ask_for(projector.tracks.all)
    for _ in range(TRIES):
        under_way = [track.rebuild for track in projector.tracks.all if track.rebuild is not None]
        if not under_way:
            return
        if not any(each.is_under_way for each in under_way):  # a disk failed under it; it may again
            projector.rebuilds.ask_for(projector.tracks.all)
        await machine.world.clock.pass_by(A_MOMENT_S)
    raise Violation("views", "a rebuild is never ready")


async def answers_again(machine: Machine, promises: Iterable[Promise]) -> None:
    """The same key gives the same answer."""
    for promise in promises:
        again = await machine.ask(promise.asked)
        hold("idempotent", encode(again) == encode(promise.answer), f"key {promise.asked.key}")


def _is_at_rest(machine: Machine, image: Image) -> bool:
    kernel = machine.kernel
    written = {workspace.id: workspace.seq for workspace in image.workspaces.values()}
    ahead = (ledger.seq != written.get(ledger.workspace_id) for ledger in kernel.cabinet.ledgers())
    return not kernel.waiting() and not any(ahead)


def _heads(image: Image) -> dict[str, int]:
    return {workspace.id: workspace.seq for workspace in image.workspaces.values()}


async def _caught_up(machine: Machine, workspace: Workspace) -> None:
    try:
        await machine.kernel.projector.wait_for(workspace.id, workspace.seq)
    except Refused as late:
        raise Violation("views", f"of workspace {workspace.id}: {late.rejection.message}") from late


async def _rebuilt(image: Image) -> ViewStore:
    fresh = MemoryViews()
    for workspace in image.workspaces.values():
        await fresh.apply(VIEWS, [to_step(stored) for stored in _stored(workspace)])
    return fresh


def _stored(workspace: Workspace) -> list[StoredEvent]:
    return [
        StoredEvent(seq=event.seq_global, subject_id=event.subject.id, data=data)
        for event, data in zip(workspace.events, workspace.stored, strict=True)
    ]


async def _rows(store: ViewStore) -> Rows:
    return {name: await store.rows(name, workspace_id=None, after="", limit=READ_MAX) for name in COLLECTIONS}
