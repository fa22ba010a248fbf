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
