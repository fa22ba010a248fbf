"""The step that comes next is read from the history of the request, and from nothing else."""

import pytest

from moduprompt.scripted_model.conversation import (
    ALL_DONE,
    NO_SCRIPT,
    SIDE,
    Conversation,
    Result,
    Said,
    next_turn,
)
from moduprompt.scripted_model.counting import Troubles
from moduprompt.scripted_model.script import NO_TROUBLE
from moduprompt.scripted_model.tools import Offer
from tests.support.model_server import scripted

SHELL = Offer("bash", {"properties": {"command": {"type": "string"}}})
THREE = scripted({"bash": "one"}, {"bash": "two"}, {"text": "end"})


def asked(
    *history: Said | Result, offers: tuple[Offer, ...] = (SHELL,), schema: object = None
) -> Conversation:
    return Conversation("m", history, offers, is_streamed=False, answer_schema=schema, size=400)


def said(*history: Said | Result) -> str:
    reply = next_turn(asked(*history)).reply
    return str(reply.call.arguments) if reply.call else reply.text


def test_each_result_leads_to_the_next_step() -> None:
    history = (Said("you are in a folder"), Said(THREE), Said("a reminder"))

    assert said(*history) == "{'command': 'one'}"
    assert said(*history, Result()) == "{'command': 'two'}"
    assert said(*history, Result(), Result()) == "end"
    assert said(*history, Result(), Result(), Result()) == ALL_DONE


def test_a_new_prompt_begins_its_own_script() -> None:
    assert said(Said(THREE), Result(), Result(), Said(scripted({"text": "new"}))) == "new"


def test_the_same_prompt_again_makes_calls_of_its_own() -> None:
    def call_id(*history: Said | Result) -> str:
        call = next_turn(asked(*history)).reply.call
        assert call is not None
        return call.call_id

    once = (Said(THREE), Result(), Result())
    ids = [call_id(*once[:1]), call_id(*once[:2]), call_id(*once, *once[:1]), call_id(*once, *once[:2])]

    assert len(set(ids)) == 4


def test_the_same_request_gets_the_same_answer() -> None:
    conversation = asked(Said(THREE), Result())

    assert next_turn(conversation) == next_turn(conversation)


def test_a_fault_of_the_script_is_said_by_the_model() -> None:
    assert said(Said(scripted({"wrte": 1}))).startswith("scripted model: step 1: unknown key 'wrte'")
    assert said(Said("hello")) == NO_SCRIPT
    assert "no tool for 'Odd'; offered: bash" in said(Said(scripted({"tool": {"name": "Odd"}})))


def test_a_request_without_tools_is_an_aside_and_costs_no_step() -> None:
    assert next_turn(asked(Said(THREE), offers=())).reply.text == SIDE
    assert next_turn(asked(Said("SCRIPT[broken"), offers=())).reply.text == SIDE


def test_a_step_may_be_meant_for_requests_without_tools() -> None:
    prompt = scripted({"text": "a.txt\n", "notools": True})

    assert next_turn(asked(Said(prompt), offers=())).reply.text == "a.txt\n"


def test_an_answer_of_a_given_shape_has_it() -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}

    assert next_turn(asked(Said(THREE), schema=schema)).reply.text == '{"title":"scripted"}'


def test_tokens_are_as_the_step_says_and_guessed_where_it_does_not() -> None:
    usage = {"input_tokens": 7, "cached_tokens": 2, "output_tokens": 3}

    assert next_turn(asked(Said(scripted({"text": "a", "usage": usage})))).reply.usage == (7, 2, 3)
    assert next_turn(asked(Said(scripted({"text": "a" * 40})))).reply.usage == (100, 0, 10)


@pytest.mark.parametrize("times", [1, 3])
def test_a_fault_is_played_as_often_as_the_step_says(times: int) -> None:
    troubles = Troubles()
    turn = next_turn(asked(Said(scripted({"status": 500, "times": times, "text": "fine"}))))

    played = [troubles.play(turn).trouble.status for _ in range(times + 2)]

    assert played == [500] * times + [None, None]


def test_a_fault_without_a_number_is_played_for_ever() -> None:
    troubles = Troubles()
    turn = next_turn(asked(Said(scripted({"status": 500}))))

    assert {troubles.play(turn).trouble.status for _ in range(20)} == {500}


def test_a_malformed_call_is_whole_when_its_fault_is_over() -> None:
    troubles = Troubles()
    turn = next_turn(asked(Said(scripted({"bash": "true", "malformed": True, "times": 1}))))
    first, then = troubles.play(turn), troubles.play(turn)

    assert first.reply.call is not None
    assert first.reply.call.raw == '{"command'
    assert then.reply.call is not None
    assert then.reply.call.raw == '{"command":"true"}'
    assert then.trouble == NO_TROUBLE
