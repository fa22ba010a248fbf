"""Keepers that are really stopped (SIGSTOP) under a daemon that asks: nobody waits for ever, nothing is lost or doubled."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.freeing import free_keepers
from moduprompt.effects.runner.link import KeeperLink, Patience
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.silences import PART, Silences
from moduprompt.keeper import wire
from moduprompt.kernel.clock import SystemClock
from moduprompt.protocol import RunId
from tests.support.deadline import eventually_async
from tests.support.runs import AUTHOR, a_run, dialled, finish, gone, is_waiting, output_until, running, shell
from tests.support.stopped import stopped

QUICK = Patience(hello_s_max=0.2, answer_s_max=0.2, heartbeat_s=0.1)  # once the keeper is stopped
EARLY = Patience(heartbeat_s=0.1)  # before: a busy machine may be slow
ECHO = 'while read line; do echo "got <$line>"; done'
READS_NOTHING = "stty raw; echo ready; exec sleep 1000"


class Scene:
    """A backend, and what it tells of its keepers; and one with little patience, for those that are stopped."""

    def __init__(self, folder: Path) -> None:
        self.hindered: dict[str, str] = {}
        self.silences = Silences(clock=SystemClock(), hindered=self.hindered)
        self.backend = LocalBackend(folder / "runs", silences=self.silences, patience=EARLY)
        self.hasty = LocalBackend(folder / "runs", silences=self.silences, patience=QUICK)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@contextmanager
def hurried(link: port.RunLink) -> Generator[None]:
    """Its keeper does nothing meanwhile, and nobody waits long for it."""
    assert isinstance(link, KeeperLink)
    with stopped(link.welcome.keeper_pid):
        link.patience = QUICK
        yield


async def ask(link: port.RunLink, request: str) -> None:
    match request:
        case "status":
            await link.status()
        case "resize":
            await link.resize(rows=10, cols=20)
        case "signal":
            await link.signal("CONT")
        case "ack":
            await link.ack(1)
        case "output":
            _ = [chunk async for chunk in link.output()]
        case "input":
            await link.send_input(b"x\n", author=AUTHOR, input_id="i-1")
        case _:
            _ = [entry async for entry in link.entries(after=1)]


@pytest.mark.parametrize("request_", ["status", "resize", "signal", "ack", "output", "entries", "input"])
async def test_no_request_to_a_stopped_keeper_waits_for_ever(scene: Scene, request_: str) -> None:
    spec = a_run(*shell(ECHO))
    async with running(scene.backend, spec) as link:
        await eventually_async(lambda: is_waiting(link))
        with hurried(link):
            with pytest.raises(port.LinkClosedError, match=r"has not answered for 0\.2 s"):
                await ask(link, request_)

            found = scene.silences.unanswered(RunId(spec.run_id))
            assert found is not None
            assert "has not answered" in found.why
            assert spec.run_id in scene.hindered[PART]
            with pytest.raises(port.LinkClosedError):  # and it is not asked over that link again
                await link.status()


@pytest.mark.parametrize("listening", ["entries", "output"])
async def test_who_only_listens_notices_that_a_keeper_has_stopped(scene: Scene, listening: str) -> None:
    spec = a_run(*shell(ECHO))
    async with running(scene.backend, spec) as link:
        told = link.entries() if listening == "entries" else link.output()
        if listening == "output":
            await link.send_input(b"one\n", author=AUTHOR, input_id="i-1")
        assert await anext(told)
        with hurried(link), pytest.raises(port.LinkClosedError, match="not answered"):
            async for _ in told:
                pass
        assert scene.silences.has_silent()


async def test_who_listens_to_a_keeper_that_has_nothing_to_say_goes_on_listening(scene: Scene) -> None:
    spec = a_run(*shell(ECHO))
    async with running(scene.backend, spec) as link, await dialled(scene.backend, spec.run_id) as other:
        reading = asyncio.create_task(first_chunk(link))
        await asyncio.wait((reading,), timeout=5 * EARLY.heartbeat_s)
        assert not reading.done()
        await other.send_input(b"late\n", author=AUTHOR, input_id="i-late")
        assert (await reading).data
        assert not scene.silences.has_silent()


async def first_chunk(link: port.RunLink) -> port.OutputChunk:
    async for chunk in link.output():
        return chunk
    raise AssertionError("the output ended before it began")


async def test_a_stopped_keeper_is_named_with_what_it_does_and_since_when(scene: Scene) -> None:
    spec = a_run(*shell(ECHO))
    async with running(scene.backend, spec) as link:
        keeper = link.welcome.keeper_pid
        with stopped(keeper):
            first = await scene.hasty.dial(spec.run_id)
            second = await scene.hasty.dial(spec.run_id)
            found = scene.silences.unanswered(RunId(spec.run_id))
            assert spec.run_id in scene.hindered[PART]
        await (await dialled(scene.backend, spec.run_id)).close()

    assert isinstance(first, port.Unreachable)
    assert isinstance(second, port.Unreachable)
    assert found is not None
    assert f"keeper {keeper} is stopped" in found.why
    assert second.evidence.startswith(f"no answer since {found.since}")  # since the first time, not the last
    assert not scene.silences.has_silent()  # by now it has answered again
    assert PART not in scene.hindered


async def test_when_a_keeper_goes_on_nothing_is_lost_and_nothing_is_doubled(scene: Scene) -> None:
    spec = a_run(*shell(ECHO))
    async with running(scene.backend, spec) as link:
        await eventually_async(lambda: is_waiting(link))
        with hurried(link), pytest.raises(port.LinkClosedError):
            await link.send_input(b"once\n", author=AUTHOR, input_id="i-1")
        async with await dialled(scene.backend, spec.run_id) as again:
            typed = await again.send_input(b"once\n", author=AUTHOR, input_id="i-1")
            await again.send_input(b"end\n", author=AUTHOR, input_id="i-2")
            seen = await output_until(again, b"got <end>")
            told = [entry.number for entry in await first_of(again, 4)]

    assert isinstance(typed, port.InputResult)
    assert seen.count(b"got <once>") == 1
    assert told == [1, 2, 3, 4]


async def first_of(link: port.RunLink, count: int) -> list[port.Entry]:
    """So many entries from the first one on."""
    found: list[port.Entry] = []
    async for entry in link.entries():
        found.append(entry)
        if len(found) == count:
            break
    return found


async def test_a_link_whose_socket_is_full_can_be_closed(scene: Scene) -> None:
    spec = a_run(*shell(ECHO))
    assert await scene.backend.start(spec) == port.Kept(run_id=spec.run_id)
    link = await dialled(scene.backend, spec.run_id)
    piece = b"x" * wire.INPUT_BYTES_MAX
    with hurried(link):
        ends = await asyncio.gather(  # a megabyte: more than the socket holds
            *(link.send_input(piece, author=AUTHOR, input_id=f"i-{number}") for number in range(8)),
            return_exceptions=True,
        )
        await link.close()
    assert all(isinstance(end, port.LinkClosedError) for end in ends)
    await finish(scene.backend, spec.run_id)


async def test_a_program_that_reads_nothing_holds_up_an_input_and_no_keeper_is_blamed(scene: Scene) -> None:
    spec = a_run(*shell(READS_NOTHING))
    async with running(scene.backend, spec) as link:
        await output_until(link, b"ready")
        assert isinstance(link, KeeperLink)
        link.patience = Patience(input_s_max=0.2)
        piece = b"y" * 100_000  # more than a terminal holds
        refused = await link.send_input(piece, author=AUTHOR, input_id="i-1")
        status = await link.status()

    assert isinstance(refused, port.RequestRefused)
    assert refused.code == "not_taken"
    assert status.input_waiting_bytes > 0  # the keeper still has it, under its id
    assert not scene.silences.has_silent()


async def test_a_keeper_that_is_stopped_does_not_hold_up_that_others_are_freed(scene: Scene) -> None:
    specs = [a_run(*shell("exit 0")) for _ in range(3)]
    keepers = [await ended(scene, spec) for spec in specs]
    with stopped(keepers[0]):
        freed = await free_keepers(scene.backend, [RunId(spec.run_id) for spec in specs])
    assert freed == tuple(spec.run_id for spec in specs[1:])
    assert await free_keepers(scene.backend, [RunId(specs[0].run_id)]) == (specs[0].run_id,)
    for spec in specs:
        await gone(scene.backend, spec.run_id)


async def ended(scene: Scene, spec: port.LaunchSpec) -> int:
    """Started, and over; its keeper, which waits for somebody to hear that."""
    assert await scene.backend.start(spec) == port.Kept(run_id=spec.run_id)
    async with await dialled(scene.backend, spec.run_id) as link:
        async for entry in link.entries():
            if isinstance(entry.report, port.Exited):
                break
        return link.welcome.keeper_pid
