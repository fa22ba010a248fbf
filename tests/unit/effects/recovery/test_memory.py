"""What a daemon remembers of its start."""

from __future__ import annotations

from moduprompt.effects.recovery.memory import NAMED_MAX, StartMemory
from moduprompt.protocol import Fate, RecoveredRun, RunId, Stray
from tests.support.fake_runner import RUN, WORKSPACE, QuickClock

OTHER = RunId("00000000-0000-7000-8000-0000000000c2")


def memory() -> StartMemory:
    return StartMemory(version="1.2.3", clock=QuickClock())


def seen(fate: Fate, run_id: RunId = RUN) -> RecoveredRun:
    return RecoveredRun(run_id=run_id, workspace_id=WORKSPACE, fate=fate)


def test_an_expected_run_is_looked_at_until_its_fate_is_known() -> None:
    started = memory()
    started.expect([(WORKSPACE, RUN)])
    started.compared()

    assert [run.fate for run in started.told().runs] == ["looking"]
    assert started.told().took_ms is None, "still looking, and says so"

    started.saw(seen("reattached"))
    assert [run.fate for run in started.told().runs] == ["reattached"]
    assert started.told().took_ms is not None


def test_what_was_seen_before_it_was_expected_stays() -> None:
    started = memory()
    started.saw(seen("lost"))
    started.saw(seen("begun", OTHER))

    started.expect([(WORKSPACE, RUN), (WORKSPACE, OTHER)])

    assert {run.run_id: run.fate for run in started.told().runs} == {RUN: "lost", OTHER: "begun"}


def test_a_final_fate_is_not_overwritten_and_an_open_one_is() -> None:
    started = memory()
    started.expect([(WORKSPACE, RUN)])
    fates: list[Fate] = ["unanswering", "waiting", "reattached", "lost"]

    told: list[Fate] = []
    for fate in fates:
        started.saw(seen(fate))
        told.append(started.told().runs[0].fate)

    assert told == ["unanswering", "waiting", "reattached", "reattached"]


def test_what_is_too_much_to_name_is_counted() -> None:
    started = memory()
    for number in range(NAMED_MAX + 3):
        started.left_alone(Stray(kind="run_folder", name=str(number), why="no log knows it"))

    assert len(started.told().strays) == NAMED_MAX
    assert started.told().left_out == 3


def many(count: int) -> list[RunId]:
    return [RunId(f"00000000-0000-7000-8000-{number:012x}") for number in range(count)]


def test_of_more_runs_than_can_be_named_each_is_counted_once_however_often_it_is_seen() -> None:
    started, runs = memory(), many(NAMED_MAX + 500)
    started.expect((WORKSPACE, run_id) for run_id in runs)
    assert started.told().left_out == 500
    for fate in ("unanswering", "unanswering", "reattached", "ended"):
        for run_id in runs:
            started.saw(seen(fate, run_id))

    assert started.told().left_out == 500
    assert {run.fate for run in started.told().runs} == {"reattached"}


def test_of_too_many_runs_those_are_named_that_did_not_go_as_hoped() -> None:
    started, runs = memory(), many(NAMED_MAX + 500)
    started.expect((WORKSPACE, run_id) for run_id in runs)
    lost = {*runs[:2], *runs[NAMED_MAX + 7 : NAMED_MAX + 300]}
    for run_id in runs:
        started.saw(seen("lost" if run_id in lost else "reattached", run_id))

    told = started.told()
    assert {run.run_id for run in told.runs if run.fate == "lost"} == lost
    assert (len(told.runs), told.left_out) == (NAMED_MAX, 500)


def test_it_is_still_looking_while_a_run_is_looked_at_for_which_there_was_no_room() -> None:
    started, runs = memory(), many(NAMED_MAX + 1)
    started.expect((WORKSPACE, run_id) for run_id in runs)
    for run_id in runs[:-1]:
        started.saw(seen("reattached", run_id))
    started.compared()
    assert started.told().took_ms is None

    started.saw(seen("reattached", runs[-1]))
    assert started.told().took_ms is not None
