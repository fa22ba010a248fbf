"""What the metrics tell of a daemon that works."""

from __future__ import annotations

from moduprompt.domain.deciders import VIEWS
from moduprompt.domain.workspace.commands import RenameWorkspace
from moduprompt.kernel.inbox import INBOX_MAX
from moduprompt.kernel.tracks import Stop
from tests.support.deadline import eventually_async
from tests.support.golden import GOLDEN
from tests.support.scraping import metric_names, scrape, value
from tests.support.served import Served
from tests.support.source_tree import ROOT


async def test_what_was_done_is_counted(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    before = await scrape(daemon)
    await daemon.accepted(RenameWorkspace(workspace_id=workspace, name="new"))
    assert (await daemon.submit(RenameWorkspace(workspace_id=workspace, name=""))).status == 400
    after = await scrape(daemon)

    assert value(after, "mp_commands_total", "accepted") == value(before, "mp_commands_total", "accepted") + 1
    assert value(after, "mp_commands_total", "invalid_schema") == 1
    assert value(after, "mp_events_total") == value(before, "mp_events_total") + 1
    assert value(after, "mp_commits_total") == value(before, "mp_commits_total") + 1
    for name in ("mp_commit_seconds", "mp_batch_commands", "mp_inbox_wait_seconds"):
        assert value(after, name, "+Inf") > value(before, name, "+Inf"), name
    assert value(after, "mp_inbox_orders") == value(after, "mp_inbox_age_seconds") == 0
    assert value(after, "mp_commit_failures_total") == 0


async def test_streams_and_views_are_counted(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    await daemon.get("/v1/projects", workspace_id=workspace)
    async with daemon.client() as client:
        events = client.events(workspace)
        await anext(events)
        seen = await scrape(daemon)
        await events.aclose()

    assert value(seen, "mp_streams") == value(seen, "mp_limit_used", "streams") == 1
    assert value(seen, "mp_stream_events_total") >= 1
    assert value(seen, "mp_stream_lag_events", "+Inf") >= 1
    assert value(seen, "mp_view_events_total") >= 1
    assert value(seen, "mp_view_fold_seconds", "+Inf") >= 1
    assert value(seen, "mp_limit_used", "connections") >= 2
    assert (value(seen, "mp_limit_used", "inbox"), value(seen, "mp_limit", "inbox")) == (0, INBOX_MAX)

    async def is_over() -> bool:
        return value(await scrape(daemon), "mp_streams") == 0

    await eventually_async(is_over)


async def test_each_view_tells_how_far_it_has_come(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    await daemon.make_project(workspace)
    await daemon.get("/v1/projects", workspace_id=workspace)

    async def keep_up() -> bool:
        seen = await scrape(daemon)
        lags = [value(seen, "mp_view_lag_events", view.name) for view in VIEWS]
        positions = [value(seen, "mp_view_position_events", view.name) for view in VIEWS]
        return not any(lags) and set(positions) == {value(seen, "mp_events_total")}

    await eventually_async(keep_up)


async def test_a_view_that_has_stopped_stands_behind_alone(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    await daemon.get("/v1/projects", workspace_id=workspace)
    track = next(each for each in daemon.kernel.projector.tracks.all if each.view.name == "projects")
    track.stops[workspace] = Stop(view="projects", workspace_id=workspace, seq=2, event_id="e", fault="f")
    await daemon.accepted(RenameWorkspace(workspace_id=workspace, name="new"))
    await daemon.get("/v1/workspaces")
    seen = await scrape(daemon)

    assert value(seen, "mp_view_lag_events", "projects") == 1
    assert value(seen, "mp_view_lag_events", "workspaces") == 0


async def test_the_process_is_told_as_every_exporter_tells_it(daemon: Served) -> None:
    seen = await scrape(daemon)

    assert value(seen, "process_resident_memory_bytes") > 1_000_000
    assert 0 < value(seen, "process_open_fds") < value(seen, "process_max_fds")
    assert 1.7e9 < value(seen, "process_start_time_seconds") < 1e10


async def test_metrics_are_for_users(daemon: Served) -> None:
    workspace = await daemon.make_workspace()
    line = await daemon.make_session(workspace, await daemon.make_project(workspace))
    reply = await daemon.get("/v1/metrics", token=line.token)

    assert (reply.status, reply.json()["code"]) == (403, "policy_denied")


async def test_every_counter_is_named_as_one(daemon: Served) -> None:
    for family in (await scrape(daemon)).values():
        assert (family.kind == "counter") == family.name.endswith("_total"), family.name
        assert family.what.endswith("."), family.name


def test_the_names_are_the_pinned_ones_and_each_has_its_line_on_the_page() -> None:
    names = metric_names()["names.txt"]
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")

    assert (GOLDEN / "metrics" / "names.txt").read_bytes() == names, "make golden"
    for line in names.decode().splitlines():
        assert f"| `{line.split()[0]}" in page, line
