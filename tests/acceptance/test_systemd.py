"""The units that `mpd systemd` prints, under a real systemd: woken by its socket, restarted and killed under live agents."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from moduprompt.protocol import EXIT_STATUS, Code
from tests.support.daemon import Place, is_alive
from tests.support.deadline import eventually
from tests.support.git_repository import Repository
from tests.support.own_systemd import ServiceManager, service_manager, why_none

AGENTS = 3
UP_S = 60.0
LINES_MAX = 100_000  # more than anybody counts here
LACKS = why_none()
# Counts until it is told to stop, and says how far it came: what is missing or told twice shows.
COUNTING = 'n=0; while [ ! -e "$0" ]; do n=$((n+1)); echo line $n; sleep 0.01; done; echo over $n'

pytestmark = pytest.mark.skipif(LACKS is not None, reason=LACKS or "")


@pytest.fixture
def manager(place: Place) -> Iterator[ServiceManager]:
    """With both units, and nothing but the socket started."""
    with service_manager(place) as own:
        own.install(place.call("mpd", "systemd", "--json").json)
        own.ok("enable", "--now", "moduprompt.socket")
        yield own


def agents(place: Place, repository: Repository) -> list[str]:
    """Runs that count."""
    place.ok("workspace", "create", "core")
    place.ok("project", "create", "paint", "--repo", str(repository.path))
    enough = str(place.root / "enough")
    for number in range(AGENTS):
        place.ok("session", "spawn", "-p", "paint", f"agent-{number}", "--", "sh", "-c", COUNTING, enough)
    eventually(lambda: [run["status"] for run in runs(place)] == ["started"] * AGENTS)
    return [run["id"] for run in runs(place)]


def runs(place: Place) -> "list[dict[str, str]]":
    return place.ok("run", "list", "--json").json["items"]


def daemon_of(manager: ServiceManager) -> int:
    return int(manager.shows("moduprompt.service", "MainPID"))


def test_agents_outlive_a_restart_and_a_death_of_the_service_and_lose_no_byte(
    place: Place, manager: ServiceManager, repository: Repository
) -> None:
    # The first call wakes it.
    assert manager.shows("moduprompt.service", "ActiveState") == "inactive"
    ids = agents(place, repository)
    first = daemon_of(manager)
    assert place.pid == first
    programs = {run["id"]: run["pid"] for run in runs(place)}

    # A plain restart.
    manager.ok("restart", "moduprompt.service")
    second = daemon_of(manager)
    assert second != first
    assert place.pid == second
    assert {run["id"]: run["pid"] for run in runs(place)} == programs
    assert place.ok("recovery", "show").out.count("re-attached") == AGENTS

    # Its death: systemd starts it again by itself.
    os.kill(second, signal.SIGKILL)
    eventually(lambda: daemon_of(manager) not in (0, second), within_s=UP_S)
    eventually(lambda: place.mpctl("run", "list", "--no-start").status == 0, within_s=UP_S)
    assert {run["id"]: run["pid"] for run in runs(place)} == programs

    # A stop: they go on without anybody, and the next call finds them.
    manager.ok("stop", "moduprompt.service")
    assert all(is_alive(int(pid)) for pid in programs.values())
    (place.root / "enough").touch()
    eventually(lambda: {run["status"] for run in runs(place)} == {"exited"}, within_s=UP_S)
    assert place.pid == daemon_of(manager)
    for run_id in ids:
        *lines, over = place.ok("run", "tail", run_id, "-n", str(LINES_MAX)).out.split("\n")[:-1]
        assert [line.strip() for line in lines] == [f"line {number}" for number in range(1, len(lines) + 1)]
        assert over.strip() == f"over {len(lines)}"


def test_an_upgrade_is_left_to_the_service_manager(
    place: Place, manager: ServiceManager, repository: Repository
) -> None:
    agents(place, repository)

    said = place.call("mpd", "upgrade")

    assert said.status == EXIT_STATUS[Code.VALIDATION_FAILED]
    assert "systemctl --user restart moduprompt" in said.err
    assert place.pid == daemon_of(manager)


def test_a_run_is_caught_in_a_control_group_below_its_service(
    place: Place, manager: ServiceManager, repository: Repository
) -> None:
    agents(place, repository)

    for run in runs(place):
        groups = Path(f"/proc/{run['pid']}/cgroup").read_text().splitlines()
        assert any(f"moduprompt.service/moduprompt-{run['id']}" in group for group in groups), groups
        assert "caught by  cgroup" in place.ok("run", "show", run["id"]).out


def test_a_run_is_put_beside_a_daemon_that_was_put_into_a_group_of_its_own(
    place: Place, manager: ServiceManager, repository: Repository
) -> None:
    # By hand, what DelegateSubgroup= does: systemd knows it from 254 on.
    enter = "own=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); mkdir -p $own/mpd; echo $$ > $own/mpd/cgroup.procs"
    (place.root / "enter").write_text(f'{enter}; exec "$@"\n')
    command = place.call("mpd", "systemd", "--json").json["moduprompt.service"]
    started = next(line for line in command.splitlines() if line.startswith("ExecStart="))
    manager.change(
        "moduprompt.service",
        f"[Service]\nExecStart=\n{started.replace('=', f'=/bin/sh {place.root}/enter ', 1)}\n",
    )

    agents(place, repository)

    assert "moduprompt.service/mpd\n" in Path(f"/proc/{place.pid}/cgroup").read_text()
    for run in runs(place):
        groups = Path(f"/proc/{run['pid']}/cgroup").read_text().splitlines()
        assert any(group.endswith(f"moduprompt.service/moduprompt-{run['id']}") for group in groups), groups
