"""A script is found in any prompt, and read as a whole or refused as a whole with the step and the reason."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.scripted_model.script import (
    NO_TROUBLE,
    Bash,
    Fault,
    Read,
    Tool,
    Trouble,
    Usage,
    Write,
    find_script,
    parse_script,
)

TEXTS = st.text(max_size=40)


@pytest.mark.parametrize(
    ("step", "order"),
    [
        ({"write": {"path": "a", "content": ""}}, Write("a", "")),
        ({"read": "a"}, Read("a")),
        ({"bash": "true"}, Bash("true")),
        ({"tool": {"name": "T", "arguments": {"a": [1]}}}, Tool("T", {"a": [1]})),
        ({"text": "hello"}, None),
    ],
)
def test_a_step_says_what_the_model_does(step: object, order: object) -> None:
    (read,) = parse_script(json.dumps([step]))

    assert read.order == order
    assert read.trouble == NO_TROUBLE


def test_a_step_says_what_goes_wrong_and_what_it_costs() -> None:
    (refused, dripped) = parse_script(
        '[{"status": 429, "retry_after_s": 7, "times": 2, "bash": "true"},'
        ' {"text": "a", "drip_s": 0.5, "usage": {"input_tokens": 5, "output_tokens": 6}}]'
    )

    assert refused.trouble == Trouble(status=429, retry_after_s=7, times=2)
    assert dripped.trouble == Trouble(drip_s=0.5)
    assert dripped.usage == Usage(5, 0, 6)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("[", "holds no JSON"),
        ("[]", "not empty"),
        ("{}", "a script is a list"),
        ("[1]", "step 1: a step must be a table"),
        ('[{"wrte": 1}]', "step 1: unknown key 'wrte'"),
        ('[{"bash": "a"}, {"write": {"path": "a"}}]', "step 2: content must be a text"),
        ('[{"bash": "a", "read": "b"}]', "one call in a step"),
        ("[{}]", "needs a text or one of"),
        ('[{"status": 500, "times": 1}]', "needs a text or one of"),
        ('[{"status": 200}]', "status must be a whole number from 400 to 599"),
        ('[{"text": "a"}, {"text": "b"}]', "step 1: a step without a call ends the turn"),
        ('[{"text": "a", "times": 1}]', "times counts a fault"),
        ('[{"text": "a", "retry_after_s": 1}]', "retry_after_s stands beside a status"),
        ('[{"text": "a", "malformed": true}]', "only a call can be malformed"),
        ('[{"text": "a", "cut": 1}]', "cut must be true or false"),
        ('[{"text": "a", "sleep_s": 1e99}]', "sleep_s must be a number of seconds"),
        ('[{"text": "a", "usage": {"tokens": 1}}]', "unknown key 'tokens' in usage"),
        ("[" * 300 + "]" * 300, "nested deeper"),
    ],
)
def test_what_nobody_can_follow_is_refused_with_its_step_and_the_reason(raw: str, reason: str) -> None:
    with pytest.raises(Fault, match=reason.replace("[", r"\[")):
        parse_script(raw)


@given(TEXTS, TEXTS, TEXTS)
def test_a_script_is_found_in_any_prompt(before: str, content: str, after: str) -> None:
    steps = [{"write": {"path": "a", "content": content}}]
    found = find_script(f"{before} SCRIPT{json.dumps(steps)}ENDSCRIPT {after}")

    assert found.steps[0].order == Write("a", content)


@given(TEXTS)
def test_a_prompt_that_was_handed_on_quoted_is_read_all_the_same(content: str) -> None:
    steps = [{"write": {"path": "a", "content": content}}]
    prompt = f"SCRIPT{json.dumps(steps)}ENDSCRIPT".replace('"', '\\"')

    assert find_script(prompt).steps[0].order == Write("a", content)


def test_the_last_script_of_a_prompt_counts_and_not_one_inside_another() -> None:
    inner = 'SCRIPT[{"text": "inner"}]ENDSCRIPT'
    outer = f"SCRIPT{json.dumps([{'bash': inner}])}ENDSCRIPT"

    assert find_script(f'SCRIPT[{{"text": "first"}}]ENDSCRIPT {outer}').steps[0].order == Bash(inner)


def test_a_script_without_its_end_is_refused() -> None:
    with pytest.raises(Fault, match="holds no JSON"):
        find_script('SCRIPT[{"text": "a"}')


def test_two_prompts_with_the_same_script_have_two_digests() -> None:
    script = 'SCRIPT[{"text": "a"}]ENDSCRIPT'

    assert find_script(f"one {script}").digest != find_script(f"two {script}").digest
