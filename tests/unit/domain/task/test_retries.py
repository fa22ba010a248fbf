"""When a task tries again, after how long, and that the drawn time never changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.domain.failures import RETRYABLE, FailureClass
from moduprompt.domain.task.commands import CancelTask, FailTask, FireRetry, PauseTask, ResumeTask, StartTask
from moduprompt.domain.task.events import RetryScheduled
from moduprompt.domain.task.retries import ATTEMPTS_MAX, DELAY_S_MAX, RetryBudget, RetryRule
from moduprompt.domain.task.view import TaskItem
from moduprompt.protocol import SECOND, Micros, TaskId, to_timestamp
from tests.support.domain import KERNEL, NOW, WORKSPACE, Outcome, Scene
from tests.support.stories import a_project, a_running_task

PLAIN = RetryRule(max_attempts=3, backoff="fixed", delay_s=10, jitter="none")


def fail(scene: Scene, task_id: TaskId, *, seed: int = 0) -> Outcome:
    command = FailTask(workspace_id=WORKSPACE, task_id=task_id, failure=FailureClass.TIMEOUT, reason="slow")
    return scene.when(command, seed=seed)


def fire(scene: Scene, task_id: TaskId, attempt: int) -> Outcome:
    return scene.when(FireRetry(workspace_id=WORKSPACE, task_id=task_id, attempt=attempt), actor=KERNEL)


# Drawn once by the code as it was first released. A change here is a change of history.
@pytest.mark.parametrize(
    ("rule", "attempt", "delay_us"),
    [
        (RetryBudget(backoff="fixed", jitter="none"), 7, 10_000_000),
        (RetryBudget(jitter="none"), 1, 10_000_000),
        (RetryBudget(jitter="none"), 4, 80_000_000),
        (RetryBudget(jitter="none"), 50, 3_600_000_000),
        (RetryBudget(jitter="none", delay_s=100, cap_s=10), 1, 100_000_000),
        (RetryBudget(jitter="full"), 1, 9_658_933),
        (RetryBudget(jitter="full"), 4, 2_058_391),
        (RetryBudget(jitter="decorrelated"), 1, 12_432_974),
        (RetryBudget(jitter="decorrelated"), 4, 179_373_356),
        (RetryBudget(jitter="decorrelated", backoff="fixed"), 9, 12_432_974),
    ],
)
def test_a_delay_is_drawn_from_the_seed_alone(rule: RetryBudget, attempt: int, delay_us: int) -> None:
    assert rule.delay_us(attempt=attempt, seed=42) == delay_us


def test_a_seed_is_mixed_as_splitmix64_does() -> None:
    # The generator's first number from this seed, as published at Rosetta Code.
    assert RetryBudget(delay_s=2**64 - 1, cap_s=0).delay_us(attempt=1, seed=1234567) == 6457827717110365317


@given(
    rule=st.builds(
        RetryBudget,
        max_attempts=st.integers(1, ATTEMPTS_MAX),
        backoff=st.sampled_from(["fixed", "exponential"]),
        delay_s=st.integers(0, DELAY_S_MAX),
        cap_s=st.integers(0, DELAY_S_MAX),
        jitter=st.sampled_from(["none", "full", "decorrelated"]),
    ),
    attempt=st.integers(1, ATTEMPTS_MAX),
    seed=st.integers(0, 2**128 - 1),
)
def test_a_delay_never_passes_its_bounds(rule: RetryBudget, attempt: int, seed: int) -> None:
    delay = rule.delay_us(attempt=attempt, seed=seed)
    # A fixed delay that is jittered may triple; nothing goes beyond the larger of delay and cap.
    assert 0 <= delay <= max(rule.delay_s, rule.cap_s) * SECOND
    if rule.jitter != "full":
        assert delay >= rule.delay_s * SECOND


def test_only_what_can_end_differently_is_tried_again_unless_said_otherwise() -> None:
    rule = RetryBudget(max_attempts=2)
    assert {failure for failure in FailureClass if rule.allows(failure, attempt=1)} == RETRYABLE
    chosen = RetryBudget(max_attempts=2, retry_on=(FailureClass.AUTH_REQUIRED,))
    assert {failure for failure in FailureClass if chosen.allows(failure, attempt=1)} == {
        FailureClass.AUTH_REQUIRED
    }
    assert not any(rule.allows(failure, attempt=2) for failure in FailureClass)


def test_nothing_that_a_person_refused_is_tried_again_by_itself() -> None:
    assert not RETRYABLE & {
        FailureClass.APPROVAL_DENIED,
        FailureClass.CANCELLED,
        FailureClass.MERGE_CONFLICT,
        FailureClass.POLICY_DENIED,
    }


def test_the_order_and_the_fact_of_a_rule_say_the_same() -> None:
    rule = RetryRule(max_attempts=9, backoff="fixed", delay_s=1, cap_s=2, jitter="none", retry_on=())
    budget = rule.to_budget()
    assert type(budget) is RetryBudget
    assert all(getattr(budget, name) == getattr(rule, name) for name in RetryBudget.__struct_fields__)


def test_attempts_follow_each_other_until_the_budget_is_used_up() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), retry=PLAIN)
    for attempt in (2, 3):
        outcome = fail(scene, task_id)
        outcome.then_wires("task.attempt_failed", "task.retry_scheduled")
        assert outcome.one(RetryScheduled) == RetryScheduled(
            task_id=task_id, attempt=attempt, due_at=to_timestamp(Micros(NOW + 10 * SECOND))
        )
        assert scene.row(TaskItem, task_id).retry_at == to_timestamp(Micros(NOW + 10 * SECOND))
        fire(scene, task_id, attempt).then_wires("task.started")
        assert scene.row(TaskItem, task_id).retry_at is None
    fail(scene, task_id).then_wires("task.attempt_failed", "task.failed")


def test_the_due_time_is_drawn_from_the_commands_seed() -> None:
    scene = Scene()
    rule = RetryRule(max_attempts=3)
    task_id = a_running_task(scene, a_project(scene), retry=rule)
    due = fail(scene, task_id, seed=42).one(RetryScheduled).due_at
    assert due == to_timestamp(Micros(NOW + rule.delay_us(attempt=1, seed=42)))


def test_a_retry_that_comes_too_late_decides_nothing() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), retry=PLAIN)
    fire(scene, task_id, 2).then_nothing()
    fail(scene, task_id)
    fire(scene, task_id, 1).then_nothing()
    scene.when(StartTask(workspace_id=WORKSPACE, task_id=task_id)).then_wires("task.started")
    fire(scene, task_id, 2).then_nothing()
    scene.when(CancelTask(workspace_id=WORKSPACE, task_id=task_id))
    fire(scene, task_id, 2).then_nothing()


def test_a_retry_has_one_timer_while_it_waits() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), retry=PLAIN)
    assert scene.timers() == []
    fail(scene, task_id)
    (timer,) = scene.timers()
    assert timer.name == f"{task_id}/retry/2.0"
    assert timer.due_at == NOW + 10 * SECOND
    scene.when(timer.command, actor=KERNEL).then_wires("task.started")
    assert scene.timers() == []


def test_a_retry_whose_firing_was_lost_in_a_pause_has_a_new_name_after_it() -> None:
    scene = Scene()
    task_id = a_running_task(scene, a_project(scene), retry=PLAIN)
    fail(scene, task_id)
    (before,) = scene.timers()
    scene.when(PauseTask(workspace_id=WORKSPACE, task_id=task_id))
    assert scene.timers() == []
    scene.when(before.command, actor=KERNEL).then_nothing()  # its key is used up now
    scene.when(ResumeTask(workspace_id=WORKSPACE, task_id=task_id))
    (after,) = scene.timers()
    assert after.name != before.name
    scene.when(after.command, actor=KERNEL).then_wires("task.started")
