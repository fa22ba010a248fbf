"""Which keepers do not answer: since the first time, until they do, and in one short line for whoever watches over it."""

from __future__ import annotations

from moduprompt.effects.runner.silences import NAMED_MAX, PART, Silences
from moduprompt.protocol import RunId
from tests.support.clocks import FakeClock
from tests.support.fake_runner import RUN


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.hindered: dict[str, str] = {"views": "as it was"}
        self.silences = Silences(clock=self.clock, hindered=self.hindered)


def test_a_keeper_is_silent_since_the_first_time_that_it_did_not_answer() -> None:
    scene = Scene()
    since = scene.silences.missed(RUN, "a first reason")
    scene.clock.later(60)

    assert scene.silences.missed(RUN, "the latest reason") == since
    found = scene.silences.unanswered(RUN)
    assert found is not None
    assert (found.since, found.why) == (since, "the latest reason")
    assert scene.hindered[PART] == f"no answer from the keeper of run {RUN} since {since}"


def test_one_that_answers_is_not_silent_any_more_and_starts_anew_later() -> None:
    scene = Scene()
    first = scene.silences.missed(RUN, "why")
    scene.silences.heard(RUN)
    scene.silences.heard(RUN)

    assert scene.silences.unanswered(RUN) is None
    assert not scene.silences.has_silent()
    assert scene.hindered == {"views": "as it was"}
    scene.clock.later(1)
    assert scene.silences.missed(RUN, "again") != first


def test_a_whole_machine_of_silent_keepers_makes_one_short_line() -> None:
    scene = Scene()
    for number in range(500):
        scene.silences.missed(RunId(f"run-{number}"), "why")

    assert scene.hindered[PART].count("of run ") == NAMED_MAX
    assert scene.hindered[PART].endswith(f"and {500 - NAMED_MAX} more")
