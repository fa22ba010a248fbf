"""A figure against its goal, whichever way it counts."""

import pytest
from bench.figures import Figure, Goal


def figure(value: float, goal: str, yardstick: float | None = None) -> Figure:
    return Figure(name="f", unit="u", value=value, goal=goal, yardstick=yardstick, yardstick_name="y")


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("ratio >= 0.4", Goal(of_ratio=True, sense="more", bound=0.4)),
        ("< 15 ms", Goal(of_ratio=False, sense="less", bound=15)),
        (">= 25 x", Goal(of_ratio=False, sense="more", bound=25)),
        ("<= 1,000", Goal(of_ratio=False, sense="less", bound=1_000)),
    ],
)
def test_a_goal_is_read_as_it_is_written(text: str, goal: Goal) -> None:
    assert Goal.parse(text) == goal


@pytest.mark.parametrize("text", ["", "fast", "ratio 0.4", "> much"])
def test_what_is_no_goal_is_a_fault(text: str) -> None:
    with pytest.raises(AssertionError, match="BUG"):
        Goal.parse(text)


@pytest.mark.parametrize(
    ("measured", "of_goal", "is_missed"),
    [
        (figure(20, "ratio >= 0.4", 100), 0.5, True),
        (figure(40, "ratio >= 0.4", 100), 1, False),
        (figure(30, "< 15 ms"), 0.5, True),
        (figure(5, "< 15 ms"), 3, False),
        (figure(0, "< 1 %"), float("inf"), False),
        (figure(2, ">= 4 x"), 0.5, True),
    ],
)
def test_a_figure_knows_how_much_of_its_goal_it_reaches(
    measured: Figure, of_goal: float, *, is_missed: bool
) -> None:
    assert (measured.of_goal, measured.is_missed) == (pytest.approx(of_goal), is_missed)
