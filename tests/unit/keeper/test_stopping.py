"""The ladder from a polite wish to SIGKILL."""

from signal import SIGINT, SIGKILL, SIGTERM

from moduprompt.keeper.stopping import KILL_AGAIN_S, Ladder


def ladder() -> Ladder:
    return Ladder((10.0, 20.0, 5.0))


def test_each_signal_waits_for_the_grace_of_the_one_before() -> None:
    steps = ladder()
    steps.begin(100.0)

    sent = [(now, number) for now in range(100, 140) if (number := steps.due(float(now)))]

    assert sent[:3] == [(100, SIGINT), (110, SIGTERM), (130, SIGKILL)]


def test_kill_is_repeated_until_its_grace_is_over() -> None:
    steps = ladder()
    steps.begin(0.0)
    for now in (0.0, 10.0, 30.0):
        steps.due(now)

    assert steps.due(30.0 + KILL_AGAIN_S) == SIGKILL
    assert not steps.is_exhausted(34.9)
    assert steps.is_exhausted(35.0)


def test_asking_again_does_not_begin_again() -> None:
    steps = ladder()
    steps.begin(0.0)
    steps.due(0.0)

    steps.begin(1.0)

    assert steps.due(1.0) == 0
    assert steps.next_at == 10.0


def test_what_a_program_left_behind_is_not_asked_twice() -> None:
    steps = ladder()
    steps.begin_with_terminate(0.0)
    assert steps.due(0.0) == SIGTERM

    steps.begin_with_terminate(1.0)

    assert steps.due(1.0) == 0
    assert steps.due(20.0) == SIGKILL


def test_leftovers_of_a_run_being_interrupted_get_terminate_at_once() -> None:
    steps = ladder()
    steps.begin(0.0)
    steps.due(0.0)

    steps.begin_with_terminate(1.0)

    assert steps.due(1.0) == SIGTERM


def test_nothing_is_sent_before_the_beginning() -> None:
    assert ladder().due(1e9) == 0
    assert not ladder().is_exhausted(1e9)
