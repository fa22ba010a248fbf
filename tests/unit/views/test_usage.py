"""What was used, summed: by session, task, lineage, adapter and day; what nobody knows is no zero."""

from __future__ import annotations

from moduprompt.cli.spending import cost_told
from moduprompt.domain.run.commands import ReportSaid
from moduprompt.domain.run.said import Said, ToolCalled, TurnBegan, TurnEnded, UsageReported
from moduprompt.domain.run.state import RunState
from moduprompt.domain.run.turn_items import TURNS_SHOWN
from moduprompt.domain.run.view import RunItem
from moduprompt.domain.session.commands import AgentSpec, SpawnSession
from moduprompt.domain.session.events import SessionSpawned
from moduprompt.domain.session.state import SessionState
from moduprompt.domain.session.view import SessionItem
from moduprompt.domain.task.state import TaskState
from moduprompt.domain.task.view import TaskItem
from moduprompt.protocol import SessionId, TaskId
from moduprompt.views.usage import UsageBy, UsageRow, Work, usage_by
from tests.support.domain import KERNEL, WORKSPACE, Scene
from tests.support.stories import a_project, a_task, exited, its_run, started


class Story:
    """A root with a child, and a lone session; the root's task is assigned."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.project_id = a_project(self.scene)
        self.root = self.spawned("root", "claude")
        self.child = self.spawned("child", "codex", parent=self.root)
        self.lone = self.spawned("lone", "command")
        self.task_id: TaskId = a_task(self.scene, self.project_id, session_id=self.root)

    def spawned(self, name: str, adapter: str, *, parent: SessionId | None = None) -> SessionId:
        command = SpawnSession(
            workspace_id=WORKSPACE,
            project_id=self.project_id,
            name=name,
            agent=AgentSpec(adapter=adapter),
            place="none",
            parent_session_id=parent,
        )
        session_id = self.scene.when(command).one(SessionSpawned).session_id
        started(self.scene, its_run(self.scene, session_id))
        return session_id

    def says(self, session_id: SessionId, *said: Said) -> None:
        run_id = its_run(self.scene, session_id)
        upto = self.scene.state(RunState, run_id).said_upto + 1
        self.scene.when(ReportSaid(workspace_id=WORKSPACE, run_id=run_id, upto=upto, said=said), actor=KERNEL)

    def uses(self, session_id: SessionId, tokens: int, cost_micros: int | None = None) -> None:
        used = UsageReported(input_tokens=tokens, output_tokens=1, cost_micros=cost_micros)
        self.says(session_id, TurnBegan(), used, TurnEnded(how="done"))

    def row(self, session_id: SessionId) -> RunItem:
        return self.scene.row(RunItem, its_run(self.scene, session_id))

    def work(self) -> Work:
        world = self.scene.world
        return Work(
            runs=tuple(self.scene.row(RunItem, each.run_id) for each in world.every(RunState)),
            sessions=tuple(
                self.scene.row(SessionItem, each.session_id) for each in world.every(SessionState)
            ),
            tasks=tuple(self.scene.row(TaskItem, each.task_id) for each in world.every(TaskState)),
        )

    def sums(self, way: UsageBy) -> dict[str, UsageRow]:
        return {row.name: row for row in usage_by(way, self.work())}


def test_each_way_sums_the_same_runs() -> None:
    story = Story()
    story.uses(story.root, 100, 5)
    story.uses(story.child, 30)
    for way in ("session", "task", "lineage", "adapter", "day"):
        rows = usage_by(way, story.work())
        assert sum(row.usage.input_tokens for row in rows) == 130
        assert sum(row.runs for row in rows) == 3


def test_a_lineage_is_a_root_with_all_below_it() -> None:
    story = Story()
    story.uses(story.root, 100)
    story.uses(story.child, 30)
    sums = story.sums("lineage")
    assert set(sums) == {"root", "lone"}
    assert sums["root"].usage.input_tokens == 130


def test_a_tasks_usage_is_that_of_its_session_and_all_below() -> None:
    story = Story()
    story.uses(story.child, 30)
    sums = story.sums("task")
    assert sums["a change"].runs == 2
    assert sums["a change"].usage.input_tokens == 30
    assert sums["for no task"].runs == 1


def test_who_tells_nothing_is_counted_and_not_taken_for_zero() -> None:
    story = Story()
    story.uses(story.child, 30)
    sums = story.sums("adapter")
    assert (sums["command"].silent, sums["codex"].silent) == (1, 0)
    assert cost_told(sums["command"].usage) is None
    assert cost_told(sums["codex"].usage) == "cost unknown"


def test_a_sum_of_known_and_unknown_costs_says_so() -> None:
    story = Story()
    story.uses(story.root, 10, 500_000)
    story.uses(story.child, 10)
    told = cost_told(story.sums("lineage")["root"].usage)
    assert told is not None
    assert told.startswith("$0.50")
    assert "don't say" in told


def test_each_turn_shows_when_it_was_how_it_ended_and_what_it_took() -> None:
    story = Story()
    used = UsageReported(input_tokens=9, output_tokens=1)
    call = ToolCalled(call_id="c", tool="Bash", arguments_digest="0" * 64)
    story.says(story.root, TurnBegan(), call, used, TurnEnded(how="done"))
    story.says(story.root, TurnBegan(), call, call)
    first, second = story.row(story.root).last_turns
    assert (first.turn, first.how, first.tools, first.usage.input_tokens) == (1, "done", 1, 9)
    assert (second.turn, second.how, second.tools, second.usage.reports) == (2, None, 2, 0)


def test_a_turn_that_the_end_of_the_run_cut_off_says_so() -> None:
    story = Story()
    story.says(story.root, TurnBegan())
    run_id = its_run(story.scene, story.root)
    exited(story.scene, run_id, code=1)
    assert [turn.how for turn in story.scene.row(RunItem, run_id).last_turns] == ["cut_off"]


def test_what_is_told_before_any_turn_is_turn_0() -> None:
    story = Story()
    story.says(story.root, UsageReported(output_tokens=3))
    assert [(turn.turn, turn.usage.output_tokens) for turn in story.row(story.root).last_turns] == [(0, 3)]


def test_a_row_holds_the_last_turns_only() -> None:
    story = Story()
    for _ in range(TURNS_SHOWN + 5):
        story.uses(story.root, 1)
    turns = story.row(story.root).last_turns
    assert [turn.turn for turn in turns] == list(range(6, TURNS_SHOWN + 6))
