"""A script is read as a whole or refused as a whole, with the place and a hint."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.scripted.script import (
    READ_LINES,
    RUN_TIMEOUT_S,
    Ask,
    Exit,
    Fault,
    Pause,
    Read,
    Replace,
    Run,
    Say,
    Step,
    WaitForFile,
    WaitForRun,
    Write,
    fill,
    parse_script,
)

ENVIRONMENT = {"HOME": "/somewhere"}


def steps(text: str) -> tuple[Step, ...]:
    return parse_script(text.encode(), environment=ENVIRONMENT)


def step(line: str) -> object:
    (only,) = steps(f"[[step]]\n{line}")
    return only.action


def fault(text: str) -> Fault:
    with pytest.raises(Fault) as caught:
        steps(text)
    return caught.value


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ('say = "Hello"', Say("Hello")),
        ('read = "a.txt"', Read("a.txt", READ_LINES)),
        ('read = "a.txt"\nlines = 3', Read("a.txt", 3)),
        ('write = { path = "a", text = "" }', Write("a", "")),
        ('replace = { path = "a", old = "x", new = "" }', Replace("a", "x", "")),
        ('run = ["make", "test"]', Run(("make", "test"), 0, RUN_TIMEOUT_S)),
        ('run = "make test"\nexpect = 2\ntimeout_s = 1.5', Run("make test", 2, 1.5)),
        ('ask = "Why?"', Ask("Why?", "answer", None)),
        ('ask = "Why?"\nname = "why"\ntimeout_s = 4', Ask("Why?", "why", 4.0)),
        ('wait_for = { file = "ready" }\ntimeout_s = 2', WaitForFile("ready", 2.0)),
        ('wait_for = { run = ["true"] }\ntimeout_s = 2', WaitForRun(("true",), 2.0)),
        ("pause_s = 0.5", Pause(0.5)),
        ("exit = 3", Exit(3)),
    ],
)
def test_each_action_is_read_with_its_options(line: str, action: object) -> None:
    assert step(line) == action


@pytest.mark.parametrize(
    "line",
    [
        "",
        'sing = "la"',
        'say = "a"\nread = "b"',
        'say = "a"\nlines = 3',
        "say = 3",
        'say = ""',
        'say = ["a"]',
        'read = "a"\nlines = 0',
        'read = "a"\nlines = true',
        'write = "a"',
        'write = { path = "a" }',
        'write = { path = "a", text = "b", mode = 7 }',
        "run = []",
        'run = ["a", 1]',
        'run = " "',
        'run = "a"\nexpect = 256',
        'run = "a"\ntimeout_s = -1',
        'run = "a"\ntimeout_s = nan',
        'ask = "a"\nname = "Big"',
        'ask = "a"\nname = "prompt"',
        'wait_for = { file = "a", run = ["b"] }',
        "wait_for = {}",
        "pause_s = 1e9",
        "pause_s = true",
        "exit = -1",
    ],
)
def test_a_step_that_is_not_understood_is_refused_with_its_number(line: str) -> None:
    refusal = fault(f'[[step]]\nsay = "first"\n[[step]]\n{line}')
    assert refusal.step == 2
    assert refusal.message


@pytest.mark.parametrize(
    "text", ["", "step = 3", "step = []", 'title = "x"\n[[step]]\nsay = "a"', "[[step]", "say = 'unfinished"]
)
def test_what_is_no_script_is_refused(text: str) -> None:
    assert fault(text).message


def test_an_unknown_key_is_named_and_the_known_ones_are_offered() -> None:
    refusal = fault('[[step]]\nwrite = { path = "a", txt = "b" }')
    assert "'txt'" in refusal.message
    assert refusal.hint == "it may have: path, text"


def test_bytes_that_are_no_text_and_scripts_without_end_are_refused() -> None:
    for raw in (b"\xff\xfe", b"#" * (1024 * 1024 + 1)):
        with pytest.raises(Fault):
            parse_script(raw, environment={})


@given(st.text())
def test_any_text_is_a_script_or_a_fault(text: str) -> None:
    with contextlib.suppress(Fault):
        assert steps(text)


def test_an_answer_is_known_only_after_its_question() -> None:
    ask, say = '[[step]]\nask = "Who?"\nname = "who"\n', '[[step]]\nsay = "{who}"\n'
    assert len(steps(ask + say)) == 2
    refusal = fault(say + ask)
    assert (refusal.step, refusal.message) == (1, "nothing fills {who}")
    assert "{{who}}" in refusal.hint


def test_a_variable_has_to_exist_before_the_first_step() -> None:
    assert step('say = "{env:HOME}"') == Say("{env:HOME}")
    assert "NOWHERE" in fault('[[step]]\nsay = "{env:NOWHERE}"').message


def test_a_value_in_a_shell_command_is_refused_because_it_would_need_quoting() -> None:
    refusal = fault('[[step]]\nask = "Who?"\nname = "who"\n[[step]]\nrun = "echo {who}"')
    assert refusal.step == 2
    assert "ANSWER_" in refusal.hint
    assert step('run = "echo ${HOME} {a,b} $answer"') == Run("echo ${HOME} {a,b} $answer", 0, RUN_TIMEOUT_S)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{who}", "Ada"),
        ("{{who}}", "{who}"),
        ("{{{who}}}", "{{who}}"),
        ("{env:HOME}", "/somewhere"),
        ('{ "a": {} } ${who} {Who} {{ who }}', '{ "a": {} } ${who} {Who} {{ who }}'),
        ("{trap}", "{who}"),
    ],
)
def test_placeholders_are_filled_once_and_other_braces_are_text(text: str, filled: str) -> None:
    values = {"who": "Ada", "trap": "{who}"}
    assert fill(text, values=values, environment=ENVIRONMENT) == filled
