"""What `GET /v1/metrics` tells: collected when somebody asks, from what is counted and from what is there.

For users only. `docs/metrics.md` says what each means and what to be woken for.
"""

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

from moduprompt.domain.run.state import RunState, RunStatus
from moduprompt.kernel.inbox import INBOX_MAX
from moduprompt.protocol import Actor
from moduprompt.server.desk import Desk, enterable, entered_ledgers
from moduprompt.server.exposition import Distribution, Family, one
from moduprompt.server.limits import LIMITS

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


def collect(user: Actor, desk: Desk) -> Iterator[Family | Distribution]:
    """Every family, about the workspaces that this user may enter."""
    yield from _work(user, desk)
    yield Family("mp_build_info", "gauge", "The daemon's version.", {desk.version: 1}, "version")
    yield from _commits(desk)
    yield from _streams(desk)
    yield from _views(desk)
    yield from _keepers(desk)
    yield from _limits(desk)
    yield from _process()


def _work(user: Actor, desk: Desk) -> Iterator[Family]:
    known, ledgers = enterable(desk, user), entered_ledgers(desk, user)
    yield Family("mp_workspaces", "gauge", "Workspaces that you may enter.", one(len(known)))
    yield Family("mp_workspaces_loaded", "gauge", "Those of them in memory.", one(len(ledgers)))
    events = sum(map(desk.kernel.feed.head, known))
    yield Family("mp_events_total", "counter", "Events in the log.", one(events))
    runs: dict[str, float] = dict.fromkeys(get_args(RunStatus), 0)
    for each in ledgers:
        for run in each.every(RunState):
            runs[run.status] += 1
    yield Family(
        "mp_runs",
        "gauge",
        "Runs in memory by status; requested and started may have a process.",
        runs,
        "status",
    )


def _commits(desk: Desk) -> Iterator[Family | Distribution]:
    kernel, meters = desk.kernel, desk.kernel.meters
    yield Family("mp_inbox_orders", "gauge", "Commands that wait for the writer.", one(kernel.waiting()))
    yield Family(
        "mp_inbox_age_seconds",
        "gauge",
        "How long the oldest command has waited, at least.",
        one(kernel.waited_s()),
    )
    yield Distribution(
        "mp_inbox_wait_seconds", "From the inbox to the writer, the oldest of each batch.", meters.inbox_s
    )
    yield Family("mp_commands_total", "counter", "Commands answered, by code.", meters.commands, "code")
    yield Family("mp_commits_total", "counter", "Transactions that are durable.", one(meters.commits))
    yield Family(
        "mp_commit_failures_total", "counter", "Transactions that failed.", one(meters.commits_failed)
    )
    yield Distribution("mp_commit_seconds", "One transaction with its sync.", meters.commit_s)
    yield Distribution("mp_batch_commands", "Commands in one transaction.", meters.batch_commands)


def _streams(desk: Desk) -> Iterator[Family | Distribution]:
    meters = desk.kernel.meters
    yield Family(
        "mp_streams", "gauge", "Subscriptions, and terminals that are watched.", one(desk.streams.taken)
    )
    yield Family(
        "mp_stream_events_total", "counter", "Events sent to subscriptions.", one(meters.events_sent)
    )
    yield Family(
        "mp_stream_positions_total",
        "counter",
        "Positions sent to subscriptions that had nothing else to hear.",
        one(meters.positions_sent),
    )
    yield Distribution(
        "mp_stream_lag_events",
        "How far behind the head a subscription was when it was sent events.",
        meters.lag_events,
    )


def _views(desk: Desk) -> Iterator[Family | Distribution]:
    meters = desk.kernel.meters
    yield Family(
        "mp_views_behind_events",
        "gauge",
        "Events that the read models have not folded yet.",
        one(desk.kernel.projector.behind()),
    )
    stands = desk.kernel.projector.stands()
    position: dict[str, float] = {name: stand.position for name, stand in stands.items()}
    behind: dict[str, float] = {name: stand.behind for name, stand in stands.items()}
    yield Family("mp_view_position_events", "gauge", "Events that a read model holds.", position, "view")
    yield Family("mp_view_lag_events", "gauge", "Events that a read model does not hold yet.", behind, "view")
    yield Family(
        "mp_view_events_total", "counter", "Events folded into read models.", one(meters.events_folded)
    )
    yield Distribution(
        "mp_view_fold_seconds", "One batch of events folded into the read models.", meters.fold_s
    )


def _keepers(desk: Desk) -> Iterator[Family]:
    yield Family("mp_keeper_links", "gauge", "Open connections to keepers.", one(desk.keeper_links()))


def _limits(desk: Desk) -> Iterator[Family]:
    refused = {limit.name: desk.kernel.meters.refused[limit.name] for limit in LIMITS}
    yield Family("mp_refused_total", "counter", "Refusals by a limit of docs/limits.md.", refused, "limit")
    seats = (desk.reads, desk.streams, desk.transfers)
    used: dict[str, float] = {each.name: each.taken for each in seats}
    bounds: dict[str, float] = {each.name: each.most for each in seats}
    used["connections"], bounds["connections"] = desk.turnstile.inside, desk.turnstile.most
    used["inbox"], bounds["inbox"] = desk.kernel.waiting(), INBOX_MAX
    yield Family("mp_limit_used", "gauge", "How much of a limit is in use.", used, "limit")
    yield Family("mp_limit", "gauge", "The limit.", bounds, "limit")


def _process() -> Iterator[Family]:
    """Named as every client library of Prometheus names them. What this system does not tell is left out."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield Family(
        "process_cpu_seconds_total",
        "counter",
        "CPU time, user and system.",
        one(used.ru_utime + used.ru_stime),
    )
    try:
        stat = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        boot_s = time.time() - float(Path("/proc/uptime").read_text("ascii").split()[0])
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not looked at
    except OSError:
        return
    started = boot_s + int(stat[19]) / TICKS_PER_S
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Family(
        "process_start_time_seconds", "gauge", "Start, in seconds since 1970.", one(round(started, 2))
    )
    yield Family(
        "process_resident_memory_bytes", "gauge", "Resident memory.", one(int(stat[21]) * PAGE_BYTES)
    )
    yield Family("process_open_fds", "gauge", "Open files and sockets.", one(descriptors))
    yield Family("process_max_fds", "gauge", "How many may be open.", one(soft))
