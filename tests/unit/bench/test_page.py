"""What the page of results never leaves out."""

from bench.figures import Figure, Spent
from bench.machine import Machine
from bench.page import Part, page

MACHINE = Machine(lines=("a machine",))
MET = Figure(name="quick", unit="ms", value=1, goal="< 3 ms", note="compared so")
MISSED = Figure(
    name="slow",
    unit="x/s",
    value=10,
    yardstick=100,
    yardstick_name="raw",
    goal="ratio >= 0.4",
    profile=(Spent(where="dawdle (here.py)", share=0.5),),
)


def written(*parts: Part, tried: str = "") -> str:
    return page(list(parts), machine=MACHINE, plots={}, tried=tried)


def test_a_missed_goal_says_by_how_much_and_where_the_time_goes() -> None:
    text = written(Part(name="one", figures=(MET, MISSED)))

    assert "0.10 where the goal is ratio >= 0.4: 25 % of it." in text
    assert "| 50 % | `dawdle (here.py)` |" in text
    assert "### quick" not in text


def test_a_page_without_a_miss_has_no_such_section() -> None:
    assert "missed" not in written(Part(name="one", figures=(MET,)))


def test_a_benchmark_that_failed_is_named() -> None:
    assert "- `two` did not end: it fell over" in written(Part(name="two", failure="it fell over"))


def test_what_was_tried_notes_and_machine_are_there() -> None:
    text = written(Part(name="one", figures=(MET,)), tried="## Tried\n\nA thing.")

    assert text.endswith("A thing.\n")
    assert "- quick: compared so" in text
    assert "- a machine" in text
