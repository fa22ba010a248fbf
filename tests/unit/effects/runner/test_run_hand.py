"""The hand that keeps runs, against keepers and kernels that do whatever they can do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest
from msgspec.structs import replace

from moduprompt.domain.decider import Command
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import (
    ReportExited,
    ReportLost,
    ReportSaid,
    ReportStarted,
    ReportStatus,
)
from moduprompt.domain.run.intents import EndRun, KeepRun, ResizeTerminal
from moduprompt.domain.session.commands import ReportPrompt
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.recovery.memory import StartMemory
from moduprompt.effects.runner import port
from moduprompt.effects.runner.accounts import Accountant
from moduprompt.effects.runner.admission import Admission
from moduprompt.effects.runner.freeing import free_keepers
from moduprompt.effects.runner.hand import STOPPED_WAITING, RunHand
from moduprompt.effects.runner.launching import PROMPT_NAME, Surroundings
from moduprompt.effects.runner.looking import LOOK_S, LOOK_S_MAX
from moduprompt.keeper.recording import OUTPUT, RECORDING_NAME, Recording
from moduprompt.protocol import (
    Answer,
    ArtifactRef,
    ProjectId,
    RecoveredRun,
    Refused,
    RunId,
    SessionId,
    TextRef,
)
from tests.support.deadline import eventually_async
from tests.support.fake_machine import FakeMachine
from tests.support.fake_runner import (
    EXITED,
    RUN,
    STARTED,
    UNREACHABLE,
    WAITING,
    WORKING,
    WORKSPACE,
    Backend,
    Doors,
    Keeper,
    QuickClock,
    Reports,
    Tokens,
    Trees,
    gone,
)
from tests.support.transcripts import heard, reader_of, transcripts
from tests.unit.effects.runner.test_footing import stands

PROMPT = "00000000-0000-7000-8000-0000000000d1"
KEEP = KeepRun(
    name=f"run/{RUN}/keep",
    workspace_id=WORKSPACE,
    run_id=RUN,
    session_id=SessionId(RUN),
    project_id=ProjectId(RUN),
    adapter="command",
    argv=("agent", "--fast"),
    cwd="/srv/tree",
    prompt=None,
    rows=40,
    cols=120,
    is_started=False,
)
END = EndRun(name=f"run/{RUN}/stop", workspace_id=WORKSPACE, run_id=RUN)
RESIZE = ResizeTerminal(name="size", workspace_id=WORKSPACE, run_id=RUN, rows=10, cols=20)


class Scene:
    """A hand between a backend and a reporter."""

    def __init__(
        self,
        folder: Path,
        found: Keeper | port.Gone | port.Unreachable,
        *,
        reports: Reports | None = None,
        variables: Mapping[str, str] | None = None,
        gives_accounts: bool = False,
    ) -> None:
        self.backend = Backend(folder / "runs", found)
        self.reports = reports or Reports()
        self.doors = Doors()
        self.trees = Trees()
        self.clock = QuickClock()
        self.machine = FakeMachine()
        self.admission = Admission(self.machine, clock=self.clock, hindered={})
        self.memory = StartMemory(version="1.2.3", clock=self.clock)
        self.artifacts = FolderArtifacts(folder / "artifacts")
        self.hand = RunHand(
            self.backend,
            self.reports,
            artifacts=self.artifacts,
            tokens=Tokens(),
            doors=self.doors,
            surroundings=Surroundings(
                home="/home/agent", path="/bin", commands_dir=folder / "bin", variables=variables or {}
            ),
            clock=self.clock,
            witness=self.memory,
            admission=self.admission,
            trees=self.trees,
            accountant=(
                Accountant(self.reports, artifacts=self.artifacts, places=self.trees)
                if gives_accounts
                else None
            ),
        )


async def test_a_new_run_is_started_and_followed_to_its_end(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())

    assert await scene.hand.carry_out(KEEP) is True

    (spec,) = scene.backend.starts
    assert (spec.run_id, spec.argv, spec.cwd, spec.rows, spec.cols) == (RUN, KEEP.argv, "/srv/tree", 40, 120)
    assert [type(each) for each in scene.reports.commands if not isinstance(each, ReportStatus)] == [
        ReportStarted,
        ReportExited,
    ]
    assert f"run/{RUN}/journal/1" in scene.reports.by_key
    assert f"run/{RUN}/journal/2" in scene.reports.by_key


async def test_a_runs_environment_is_exact(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())
    await scene.hand.carry_out(KEEP)

    assert dict(scene.backend.starts[0].env) == {
        "PATH": f"{tmp_path / 'bin'}:/bin",
        "HOME": "/home/agent",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "MP_SOCKET": f"/run/{RUN}.sock",
        "MP_TOKEN": f"token of {RUN}",
        "MP_WORKSPACE": WORKSPACE,
        "MP_PROJECT": KEEP.project_id,
        "MP_SESSION": KEEP.session_id,
        "MP_RUN": RUN,
    }


async def test_a_door_is_open_from_before_the_dial_until_the_end_is_known(tmp_path: Path) -> None:
    scene = Scene(tmp_path, UNREACHABLE)

    assert await scene.hand.carry_out(KEEP) is False
    assert scene.doors.events == ["open"]
    scene.backend.found = Keeper(STARTED, EXITED)
    assert await scene.hand.carry_out(KEEP) is True
    assert scene.doors.events == ["open", "open", "close"]


async def test_an_entry_is_acknowledged_only_when_its_report_is_durable(tmp_path: Path) -> None:
    keeper = Keeper(STARTED, EXITED)
    scene = Scene(tmp_path, keeper)
    scene.reports.refusing = 1_000

    with pytest.raises(Refused):
        await scene.hand.carry_out(KEEP)
    assert keeper.acknowledged == 0

    scene.reports.refusing = 0
    assert await scene.hand.carry_out(KEEP) is True
    assert keeper.acknowledged == 2


async def test_entries_that_are_told_again_are_reported_once(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(KEEP) is False  # the link broke before the end
    keeper.acknowledged = 0  # as if the daemon had died before its acknowledgement
    keeper.told(EXITED)
    assert await scene.hand.carry_out(KEEP) is True

    named = [key for key in scene.reports.by_key if "/journal/" in key]
    assert named == [f"run/{RUN}/journal/1", f"run/{RUN}/journal/2"]


async def test_a_run_that_has_its_keeper_is_not_started_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Keeper(STARTED, EXITED))

    assert await scene.hand.carry_out(KEEP) is True
    assert scene.backend.starts == []


async def test_an_unreachable_keeper_is_no_death(tmp_path: Path) -> None:
    scene = Scene(tmp_path, UNREACHABLE)

    assert await scene.hand.carry_out(replace(KEEP, is_started=True)) is False
    assert scene.reports.commands == []
    assert scene.backend.starts == []


async def test_a_dead_keepers_journal_says_how_it_ended(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone(STARTED, EXITED))

    assert await scene.hand.carry_out(KEEP) is True
    assert [type(each) for each in scene.reports.commands] == [ReportStarted, ReportExited]
    assert scene.backend.starts == []
    assert scene.doors.events == ["open", "close"]


async def test_a_dead_keeper_without_a_last_word_is_lost_and_its_processes_are_ended(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone(port.Launching(keeper_pid=10, keeper_start_time=1, boot_id="b"), STARTED))
    scene.backend.left = (port.ProcessName(pid=12, name="tool"),)

    assert await scene.hand.carry_out(KEEP) is True

    started, lost = scene.reports.commands
    assert isinstance(started, ReportStarted)
    assert isinstance(lost, ReportLost)
    assert lost.evidence == "keeper 10 is not alive; ended what was left: tool (12)"
    assert scene.backend.starts == [], "a program that may have run is never started twice"


async def test_a_run_that_was_started_and_left_nothing_is_lost(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())

    assert await scene.hand.carry_out(replace(KEEP, is_started=True)) is True
    assert [type(each) for each in scene.reports.commands] == [ReportLost]
    assert scene.backend.starts == []


@pytest.mark.parametrize("code", ["bad_spec", "unusable"])
async def test_a_start_that_is_refused_ends_the_run(
    tmp_path: Path, code: Literal["bad_spec", "unusable"]
) -> None:
    scene = Scene(tmp_path, gone())
    scene.backend.start_answer = port.StartRefused(code=code, message="no", run_id=RUN)

    assert await scene.hand.carry_out(KEEP) is True

    (ended,) = scene.reports.commands
    assert isinstance(ended, ReportExited)
    assert (ended.how, ended.failure, ended.reason) == ("not_started", FailureClass.SPAWN_FAILED, "no")


@pytest.mark.parametrize(("code", "starts"), [("not_now", 1), ("timed_out", 2)])
async def test_a_start_that_is_put_off_can_be_stopped_and_one_that_may_come_yet_is_looked_at(
    tmp_path: Path, code: port.LateStart, starts: int
) -> None:
    scene = Scene(tmp_path, gone())
    scene.backend.start_answer = port.StartRefused(code=code, message="not yet", run_id=RUN)
    assert await scene.hand.carry_out(KEEP) is False
    assert scene.reports.commands == []
    waits = scene.admission.waits(RUN)
    assert (waits.why if waits else None) == ("not yet" if code == "not_now" else None)
    assert await scene.hand.carry_out(END) is False, "there is nobody to tell yet"
    assert await scene.hand.carry_out(KEEP) is (code == "not_now")
    failures = [each.failure for each in scene.reports.commands if isinstance(each, ReportExited)]
    assert failures == ([FailureClass.CANCELLED] if code == "not_now" else [])
    assert len(scene.backend.starts) == starts


async def test_a_run_that_had_its_keeper_in_between_is_dialled_instead(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())
    scene.backend.start_answer = port.StartRefused(code="used", message="had one", run_id=RUN)

    assert await scene.hand.carry_out(KEEP) is True
    assert [type(each) for each in scene.reports.commands] == [ReportLost]


async def test_an_agent_that_no_adapter_knows_ends_the_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())

    assert await scene.hand.carry_out(replace(KEEP, adapter="unheard-of")) is True

    (ended,) = scene.reports.commands
    assert isinstance(ended, ReportExited)
    assert ended.how == "not_started"
    assert scene.backend.starts == []


async def test_a_program_that_cant_be_started_says_its_class(tmp_path: Path) -> None:
    failed = port.StartFailed(failure="program_missing", errno=2, message="no such file")
    scene = Scene(tmp_path, Keeper(failed))

    assert await scene.hand.carry_out(KEEP) is True

    (ended,) = [each for each in scene.reports.commands if isinstance(each, ReportExited)]
    assert (ended.how, ended.failure) == ("not_started", FailureClass.PROGRAM_MISSING)


async def test_the_prompt_lies_in_a_file_that_the_program_is_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())
    ref = await scene.artifacts.put(WORKSPACE, b"do it")

    await scene.hand.carry_out(replace(KEEP, prompt=TextRef(ref=ref, chars=5)))

    path = scene.backend.run_dir(RUN) / PROMPT_NAME
    assert scene.backend.starts[0].env["MP_PROMPT_FILE"] == str(path)
    assert path.read_bytes() == b"do it"


async def test_a_run_without_a_place_works_in_a_folder_of_its_own(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())

    await scene.hand.carry_out(replace(KEEP, cwd=None))

    assert Path(scene.backend.starts[0].cwd).is_dir()  # noqa: ASYNC240 - one look
    assert RUN in scene.backend.starts[0].cwd


async def test_the_recording_is_kept_with_the_end(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Keeper(STARTED, EXITED))
    scene.backend.run_dir(RUN).mkdir(parents=True)
    (scene.backend.run_dir(RUN) / RECORDING_NAME).write_bytes(b"recorded")

    await scene.hand.carry_out(KEEP)

    (ended,) = [each for each in scene.reports.commands if isinstance(each, ReportExited)]
    assert ended.recording is not None
    assert await scene.artifacts.get(WORKSPACE, ArtifactRef(ended.recording)) == b"recorded"


async def test_what_a_keeper_knows_of_a_prompt_is_reported_under_the_prompts_own_key(tmp_path: Path) -> None:
    applied = port.InputApplied(input_id=PROMPT, bytes=3)
    scene = Scene(tmp_path, gone(STARTED, applied, EXITED))

    await scene.hand.carry_out(KEEP)

    said = scene.reports.by_key[f"prompt/{PROMPT}/typed"]
    assert isinstance(said, ReportPrompt)
    assert list(scene.reports.by_key)[-1] == f"run/{RUN}/journal/3", "the end comes after what came before it"


async def test_what_a_newer_keeper_tells_is_acknowledged_and_passed_over(tmp_path: Path) -> None:
    keeper = Keeper(STARTED, port.UnknownReport(name="dreamt"), EXITED)
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(KEEP) is True
    assert keeper.acknowledged == 3


async def seen(scene: Scene, keeper: Keeper, *, looks: int) -> list[str]:
    """What the hand reports while it looks so often."""
    keeper.looks_wanted = looks
    assert await scene.hand.carry_out(KEEP) is False
    return [each.status for each in scene.reports.commands if isinstance(each, ReportStatus)]


async def test_a_status_is_reported_when_it_changes_and_only_then(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    keeper.statuses = [WORKING, WORKING, WAITING, WAITING, WORKING, WORKING]

    assert await seen(Scene(tmp_path, keeper), keeper, looks=8) == ["working", "waiting_input", "working"]


async def test_a_dialog_on_the_screen_of_a_program_in_raw_mode_is_seen(tmp_path: Path) -> None:
    raw = replace(WAITING, canonical=False)
    keeper = Keeper(STARTED)
    keeper.statuses = [raw]
    scene = Scene(tmp_path, keeper)
    path = scene.backend.run_dir(RUN) / RECORDING_NAME
    path.parent.mkdir(parents=True)
    with contextlib.closing(Recording(str(path), started_us=1)) as recording:
        recording.append(OUTPUT, 1, b"Do you want to proceed?\r\n> 1. Yes\r\n  2. No (esc to cancel)\r\n")

    assert await seen(scene, keeper, looks=3) == ["blocked_on_permission"]


async def test_a_status_that_could_not_be_reported_is_reported_at_a_later_look(tmp_path: Path) -> None:
    keeper = Keeper()
    keeper.statuses = [WAITING]
    scene = Scene(tmp_path, keeper)
    scene.reports.refusing = 3

    assert await seen(scene, keeper, looks=6) == ["waiting_input"]


class StartedLate(Reports):
    """A kernel that takes a status first, and decides nothing from it: the start is not known yet."""

    def __init__(self) -> None:
        super().__init__()
        self.observed: list[str] = []
        self._is_started = False
        self._was_looked_at = asyncio.Event()

    async def execute(self, command: Command, *, key: str) -> Answer:
        if isinstance(command, ReportStarted):
            await self._was_looked_at.wait()
            self._is_started = True
        elif isinstance(command, ReportStatus):
            self._was_looked_at.set()
            self.observed += [command.status] if self._is_started else []
        return await super().execute(command, key=key)


async def test_a_status_that_came_before_the_start_was_known_is_reported_again(tmp_path: Path) -> None:
    """Else its session would look busy for ever, and no prompt would be typed."""
    keeper = Keeper(STARTED)
    keeper.statuses = [WAITING]
    reports = StartedLate()
    scene = Scene(tmp_path, keeper, reports=reports)

    await seen(scene, keeper, looks=6)
    assert reports.observed == ["waiting_input"]


async def test_after_an_answer_the_same_question_is_a_new_one(tmp_path: Path) -> None:
    keeper = Keeper()
    keeper.statuses = [WAITING]
    scene = Scene(tmp_path, keeper)
    keeper.on_look[3] = lambda: scene.hand.look_again(RUN)

    assert await seen(scene, keeper, looks=6) == ["waiting_input", "waiting_input"]


async def test_what_was_seen_while_an_answer_was_typed_is_not_reported(tmp_path: Path) -> None:
    keeper = Keeper()
    keeper.statuses = [WORKING, WAITING, WORKING]
    scene = Scene(tmp_path, keeper)
    keeper.on_look[2] = lambda: scene.hand.look_again(RUN)

    assert await seen(scene, keeper, looks=5) == ["working", "working"]


async def test_looks_grow_rarer_while_nothing_changes(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    scene = Scene(tmp_path, keeper)

    await seen(scene, keeper, looks=20)

    assert scene.clock.slept == sorted(scene.clock.slept)
    assert (scene.clock.slept[0], scene.clock.slept[-1]) == (LOOK_S, LOOK_S_MAX)


async def test_a_run_is_told_to_stop(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    scene = Scene(tmp_path, keeper)

    assert await scene.hand.carry_out(END) is True
    assert keeper.asked == ["stop"]


@pytest.mark.parametrize("found", [gone(), UNREACHABLE], ids=["not yet there", "silent"])
async def test_a_run_that_cant_be_told_to_stop_is_told_again(
    tmp_path: Path, found: port.Gone | port.Unreachable
) -> None:
    scene = Scene(tmp_path, found)

    assert await scene.hand.carry_out(END) is False


@pytest.mark.parametrize(("code", "done"), [("not_running", True), ("unacknowledged", False)])
async def test_a_refusal_to_stop_is_final_only_where_nothing_runs(
    tmp_path: Path, code: str, done: bool
) -> None:
    keeper = Keeper(STARTED)
    keeper.answer = port.RequestRefused(code=code, message="no")

    assert await Scene(tmp_path, keeper).hand.carry_out(END) is done


async def test_a_link_that_breaks_while_it_is_asked_is_asked_again(tmp_path: Path) -> None:
    keeper = Keeper(STARTED)
    keeper.breaks_on = "stop"

    assert await Scene(tmp_path, keeper).hand.carry_out(END) is False


@pytest.mark.parametrize(("found", "done"), [(Keeper(STARTED), True), (gone(), True), (UNREACHABLE, False)])
async def test_a_size_is_for_terminals_that_are_there(
    tmp_path: Path, found: Keeper | port.Gone | port.Unreachable, done: bool
) -> None:
    assert await Scene(tmp_path, found).hand.carry_out(RESIZE) is done


async def test_keepers_of_runs_whose_end_is_known_are_freed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Keeper(STARTED, EXITED))

    assert await free_keepers(scene.backend, [RUN]) == (), "no socket, no keeper"


async def fate_of(scene: Scene) -> RecoveredRun:
    await scene.hand.carry_out(KEEP)
    (found,) = scene.memory.told().runs
    return found


async def test_a_run_whose_keeper_is_found_is_told_as_reattached(tmp_path: Path) -> None:
    keeper = Keeper(STARTED, EXITED)
    keeper.acknowledged = 1

    found = await fate_of(Scene(tmp_path, keeper))

    assert (found.fate, found.keeper_pid, found.entries) == ("reattached", 10, 1)


async def test_a_run_that_ended_without_a_daemon_is_told_as_ended(tmp_path: Path) -> None:
    assert (await fate_of(Scene(tmp_path, gone(STARTED, EXITED)))).fate == "ended"


async def test_a_keeper_that_answers_at_the_second_look_is_reattached(tmp_path: Path) -> None:
    scene = Scene(tmp_path, UNREACHABLE)

    assert (await fate_of(scene)).fate == "unanswering"
    scene.backend.found = Keeper(STARTED, EXITED)
    assert (await fate_of(scene)).fate == "reattached"


async def test_a_run_that_begins_later_is_none_of_the_starts(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())
    scene.memory.expect([])

    await scene.hand.carry_out(KEEP)

    assert scene.memory.told().runs == ()


async def test_a_run_that_is_stopped_while_it_waits_is_never_started(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())
    scene.admission.lives(RunId("another"))
    scene.machine.memory_bytes = 0

    keeping = asyncio.create_task(scene.hand.carry_out(KEEP))
    await eventually_async(lambda: waits(scene))
    await scene.hand.carry_out(END)

    assert await keeping is True
    (ended,) = scene.reports.commands
    assert isinstance(ended, ReportExited)
    assert (ended.how, ended.failure) == ("not_started", FailureClass.CANCELLED)
    assert ended.reason == STOPPED_WAITING
    assert scene.backend.starts == []


async def waits(scene: Scene) -> bool:
    return [each.run_id for each in scene.admission.waiting()] == [RUN]


async def test_everything_a_program_said_is_told_before_its_end(tmp_path: Path) -> None:
    output = transcripts("claude")["good"]
    scene = Scene(tmp_path, Keeper(STARTED, EXITED))
    record(scene, output)

    assert await scene.hand.carry_out(replace(KEEP, adapter="claude", is_started=True))

    *before, end = scene.reports.commands
    assert isinstance(end, ReportExited)
    assert (end.outcome, end.rule) == ("succeeded", "turn_done")
    said = [each for report in before if isinstance(report, ReportSaid) for each in report.said]
    assert said == heard(reader_of("claude"), output)


@pytest.mark.parametrize("is_started", [True, False])
async def test_a_start_that_the_log_has_is_not_told_again(tmp_path: Path, *, is_started: bool) -> None:
    """A daemon before may have said less of it, under the same key: that would be refused for ever."""
    scene = Scene(tmp_path, gone(STARTED))

    assert await scene.hand.carry_out(replace(KEEP, is_started=is_started))

    assert [type(each) for each in scene.reports.commands if isinstance(each, ReportStarted)] == (
        [] if is_started else [ReportStarted]
    )


def record(scene: Scene, output: bytes) -> None:
    """What its program has printed so far."""
    folder = scene.backend.run_dir(RUN)
    folder.mkdir(parents=True)
    written = Recording(str(folder / RECORDING_NAME), started_us=1)
    written.append(OUTPUT, 0, output)
    written.close()


async def test_a_run_is_judged_with_what_it_left_in_its_worktree(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())
    scene.trees.stands = [stands("c0"), stands("c1")]
    record(scene, transcripts("claude")["good"])

    assert await scene.hand.carry_out(replace(KEEP, adapter="claude", argv=()))

    (end,) = (each for each in scene.reports.commands if isinstance(each, ReportExited))
    assert end.evidence == "its turn was done, with commits"
