"""The questions a terminal must answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.keeper.terminal import ANSWERS, ANSWERS_PER_READ_MAX, Questions


@pytest.mark.parametrize(("question", "answer"), ANSWERS)
def test_a_question_is_answered_wherever_it_stands(question: bytes, answer: bytes) -> None:
    assert Questions().answers(b"text" + question + b"more") == [answer]


@given(cut=st.integers(0, 30), data=st.permutations(ANSWERS))
def test_questions_cut_in_two_are_answered_once_and_in_order(
    cut: int, data: list[tuple[bytes, bytes]]
) -> None:
    output = b"\x1b[31m" + b"x".join(question for question, _ in data) + b"\x1b[0m"
    questions = Questions()

    answers = questions.answers(output[:cut]) + questions.answers(output[cut:])

    assert answers == [answer for _, answer in data]


@given(output=st.binary(max_size=200))
def test_other_output_gets_no_answer(output: bytes) -> None:
    if not any(question in output for question, _ in ANSWERS):
        assert Questions().answers(output) == []


def test_a_flood_of_questions_is_answered_within_bounds() -> None:
    assert len(Questions().answers(b"\x1b[6n" * 10_000)) == ANSWERS_PER_READ_MAX
