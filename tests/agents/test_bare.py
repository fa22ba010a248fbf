"""The real programs, each by its adapter's command, without the kernel: they work, and they leave nothing behind."""

from pathlib import Path

import pytest

from moduprompt.domain.run.said import ConversationNamed, ToolCalled, ToolEnded, TurnEnded, UsageReported
from tests.support.model_server import RunningModel, scripted
from tests.support.programs import IN_CI, Place, drive, need
from tests.support.transcripts import adapter_of

each_program = pytest.mark.parametrize("name", IN_CI)


@each_program
def test_a_program_writes_and_runs_what_its_model_says(name: str, model: RunningModel, place: Place) -> None:
    need(name)
    ended = drive(
        name,
        scripted(
            {"write": {"path": "hello.txt", "content": "hi\n"}},
            {"bash": "cat hello.txt > copy.txt"},
            {"text": "Done.", "usage": {"input_tokens": 1_000, "cached_tokens": 400, "output_tokens": 20}},
        ),
        model=model,
        place=place,
    )

    assert (ended.code, ended.verdict.outcome) == (0, "succeeded"), ended.errors
    assert (place.text("hello.txt"), place.text("copy.txt")) == ("hi\n", "hi\n")
    calls = [each for each in ended.said if isinstance(each, ToolCalled)]
    assert len(calls) == 2
    assert [each.call_id for each in ended.said if isinstance(each, ToolEnded) and each.how == "done"] == [
        each.call_id for each in calls
    ]
    assert ended.said[-1] == TurnEnded(how="done")
    assert sum(each.cached_tokens for each in ended.said if isinstance(each, UsageReported)) == 400
    assert ended.left == []


@each_program
def test_a_conversation_is_carried_on_with_all_that_was_said(
    name: str, model: RunningModel, place: Place
) -> None:
    need(name)
    first = drive(name, scripted({"bash": "echo 1 > one.txt"}, {"text": "One."}), model=model, place=place)
    (named,) = {each.conversation_id for each in first.said if isinstance(each, ConversationNamed)}
    then = drive(
        name,
        scripted({"bash": "echo 2 > two.txt"}, {"text": "Two."}),
        model=model,
        place=place,
        conversation_id=named,
    )

    assert then.verdict.outcome == "succeeded", then.errors
    assert place.text("two.txt") == "2\n"
    assert {each.conversation_id for each in then.said if isinstance(each, ConversationNamed)} == {named}


@each_program
def test_a_conversation_goes_on_in_another_directory_only_where_its_adapter_says_so(
    name: str, model: RunningModel, place: Place, tmp_path: Path
) -> None:
    need(name)
    first = drive(name, scripted({"text": "One."}), model=model, place=place)
    (named,) = {each.conversation_id for each in first.said if isinstance(each, ConversationNamed)}
    elsewhere = Place(tmp_path / "elsewhere")
    elsewhere.home, elsewhere.configuration = place.home, place.configuration
    then = drive(
        name,
        scripted({"bash": "touch here"}, {"text": "Two."}),
        model=model,
        place=elsewhere,
        conversation_id=named,
    )

    is_carried_on = then.verdict.outcome == "succeeded" and elsewhere.text("here") is not None
    assert is_carried_on == adapter_of(name).resuming.from_anywhere, then.errors
    assert then.code is not None, "it never ended"
    assert is_carried_on or then.verdict.outcome == "failed"
    assert place.text("here") is None, "it worked in the old directory"
    assert then.left == []
