"""What the service manager is told, and when the watchdog is no longer fed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from moduprompt.effects.notifier import Notifier, gets_on
from moduprompt.kernel.ports import Pulse
from tests.support.supervision import Ears, ears

PID = 4_711
SOON_S = 0.001


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ears]:
    """Both kinds of address that a service manager uses."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@mp-{os.getpid()}-{id(request)}"
    with ears(address) as own:
        yield own


def pulse(waiting: int, answered: int) -> Pulse:
    return Pulse(waiting=waiting, answered=answered)


async def test_each_state_is_said_in_the_protocols_words(listener: Ears) -> None:
    notifier = Notifier(listener.address)
    notifier.status("two\nlines")
    notifier.is_ready()
    notifier.is_stopping()
    await notifier.stop()

    assert listener.rest()[:5] == [
        "STATUS=two lines",
        "READY=1",
        "STATUS=ready",
        "STOPPING=1",
        "STATUS=draining",
    ]


async def test_who_takes_long_asks_for_time_until_it_is_done(listener: Ears) -> None:
    notifier = Notifier(listener.address)
    notifier.is_loading("opening the log")
    await asyncio.to_thread(listener.until, "EXTEND_TIMEOUT_USEC=20000000")
    notifier.is_ready()
    await notifier.stop()
    await notifier.stop()

    assert "READY=1" in listener.rest()


async def fed(listener: Ears, pulses: list[Pulse]) -> int:
    """How often the watchdog was fed while the pulse was looked at so often."""
    left, seen_all = iter(pulses), asyncio.Event()

    def look() -> Pulse:
        found = next(left, None)
        if found is None:
            seen_all.set()
        return found or pulses[-1]

    notifier = Notifier(listener.address, watchdog_s=SOON_S)
    watching = asyncio.create_task(notifier.watch(look))
    await seen_all.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return listener.rest().count("WATCHDOG=1")


async def test_the_watchdog_is_fed_while_there_is_nothing_to_do(listener: Ears) -> None:
    assert await fed(listener, [pulse(0, 7)] * 5) == 5


async def test_the_watchdog_is_fed_while_what_waits_gets_answered(listener: Ears) -> None:
    assert await fed(listener, [pulse(3, answered) for answered in range(4)]) == 3


async def test_a_writer_that_answers_nothing_more_starves_the_watchdog(listener: Ears) -> None:
    assert await fed(listener, [pulse(0, 1), pulse(2, 1), pulse(2, 1), pulse(5, 1), pulse(9, 1)]) == 1


def test_work_that_only_just_came_is_no_standstill() -> None:
    assert gets_on(pulse(0, 1), pulse(3, 1))
    assert not gets_on(pulse(1, 1), pulse(1, 1))


@pytest.mark.parametrize("usec", ["", "0", "soon", "-5", "٣"])
async def test_without_a_time_there_is_no_watchdog(listener: Ears, usec: str) -> None:
    environ = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": usec}
    await Notifier.take_from(environ, pid=PID).watch(lambda: pulse(0, 0))

    assert listener.rest() == []


async def test_a_watchdog_of_another_process_is_not_ours() -> None:
    environ = {"NOTIFY_SOCKET": "/run/none", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    await Notifier.take_from(environ, pid=PID).watch(lambda: pulse(0, 0))

    assert environ == {}, "a child could speak in our name"


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/at/all"])
async def test_words_that_nobody_hears_cost_nothing(address: str | None) -> None:
    notifier = Notifier(address)
    notifier.is_ready()
    notifier.is_stopping()
    await notifier.stop()
