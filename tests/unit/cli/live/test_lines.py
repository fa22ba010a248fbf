"""A line for every change: each type of event has its sentence, and none shows a bare id."""

import re

import pytest

from moduprompt.cli.live.lines import TYPE_CELLS, to_line, to_sentence
from moduprompt.cli.live.names import Names
from moduprompt.cli.live.player import told
from moduprompt.cli.live.story import Story
from moduprompt.domain.decider import Event
from moduprompt.domain.registry import EVENTS
from moduprompt.domain.worktree.events import WorktreeMerged
from moduprompt.protocol import ID_PATTERN, WorktreeId
from moduprompt.views.memory import MemoryRows
from tests.support.demo_history import demo_history
from tests.support.samples import sample_events

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} +\d+ \w+\.\w+ +[^:\n]+: [^\n]+")


@pytest.mark.parametrize("event", sample_events(), ids=lambda event: event.wire)
def test_every_type_of_event_has_its_sentence(event: Event) -> None:
    sentence = to_sentence(event, Names(MemoryRows()))

    assert re.match(r"[a-z]", sentence), "it follows the name of its subject"
    assert sentence.isprintable()
    assert re.search(ID_PATTERN.strip("^$"), sentence) is None


def test_a_merge_of_nothing_names_no_commit() -> None:
    merged = WorktreeMerged(
        worktree_id=WorktreeId("t"), generation=1, commit="c0ffee", into="main", brought_nothing=True
    )
    assert to_sentence(merged, Names(MemoryRows())) == "had nothing to merge: main has all of it"


def test_no_two_types_of_event_are_told_alike() -> None:
    sentences = [to_sentence(event, Names(MemoryRows())) for event in sample_events()]
    nouns = [event.kind for event in sample_events()]

    assert len(set(zip(nouns, sentences, strict=True))) == len(sentences)


def test_the_column_of_types_holds_them_all() -> None:
    assert max(len(wire) for wire, _ in EVENTS) <= TYPE_CELLS


def test_a_line_has_its_time_sequence_type_subject_and_sentence() -> None:
    changes = list(told([demo_history().to_ndjson()], Story()))

    assert [change.seq for change in changes] == list(range(1, len(changes) + 1))
    for change in changes:
        assert LINE.fullmatch(to_line(change)), to_line(change)


def test_people_and_sessions_have_names_and_short_ids() -> None:
    lines = [to_line(change) for change in told([demo_history().to_ndjson()], Story())]

    assert any(
        re.search(r"tester \[[0-9a-f]{8}\]: begins below planner with scripted", line) for line in lines
    )
    assert any(re.search(r"planner’s run 1 \[[0-9a-f]{8}\]: waits for input", line) for line in lines)
    assert any("planner: asked for approval.grant and was refused" in line for line in lines)
