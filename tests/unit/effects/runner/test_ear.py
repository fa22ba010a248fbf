"""Bytes in, what was said out, each with a place that is the same however the bytes came."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from moduprompt.domain.run.said import (
    MARK_MAX,
    LineSkipped,
    Said,
    ToolEnded,
    TurnBegan,
    TurnEnded,
    UsageReported,
)
from moduprompt.effects.agents import cutting
from moduprompt.effects.runner.ear import Ear, Noted, recorded
from moduprompt.keeper import recording
from moduprompt.protocol import SEQ_MAX
from tests.support.transcripts import reader_of, transcripts

OUTPUT = transcripts("codex")["good"]


class ByNumber:
    """A reader of numbers: so many turns begin, and the last one ends."""

    def read(self, line: bytes) -> tuple[Said, ...]:
        count = int(line or b"0")
        return (*(TurnBegan() for _ in range(count - 1)), TurnEnded(how="done")) if count else ()


def heard(output: bytes, *pieces: int) -> list[Noted]:
    """What is said in an output that comes in pieces of these lengths, the last length as often as it takes."""
    ear, notes, at = Ear(reader_of("codex")), list[Noted](), 0
    lengths = list(pieces)
    while at < len(output):
        length = lengths.pop(0) if len(lengths) > 1 else lengths[0]
        notes += ear.take(output[at : at + length], offset=at)
        at += length
    return [*notes, *ear.last()]


@pytest.mark.parametrize("length", [1, 7, 4096])
def test_what_is_said_and_where_does_not_depend_on_how_the_bytes_came(length: int) -> None:
    expected = heard(OUTPUT, len(OUTPUT))

    assert len(expected) > 3
    assert heard(OUTPUT, length) == expected


def test_bytes_that_come_again_are_heard_once() -> None:
    rng = random.Random(7)
    ear, notes = Ear(reader_of("codex")), list[Noted]()
    while ear.offset < len(OUTPUT):
        start = rng.randint(0, ear.offset)
        notes += ear.take(OUTPUT[start : ear.offset + rng.randint(0, 300)], offset=start)

    assert [*notes, *ear.last()] == heard(OUTPUT, len(OUTPUT))


def test_places_rise_and_stand_on_the_line_that_says_it() -> None:
    ear = Ear(ByNumber())
    notes = [*ear.take(b"2\n\n0\n00003\n1", offset=0), *ear.last(), *ear.last()]

    assert [note.at for note in notes] == [1, 2, 6, 7, 11, 12]
    assert [type(note.heard) for note in notes] == [
        TurnBegan, TurnEnded, TurnBegan, TurnBegan, TurnEnded, TurnEnded,
    ]  # fmt: skip


def test_a_line_that_was_too_long_has_the_place_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LINE_BYTES_MAX", 10)
    ear = Ear(ByNumber())

    notes = list(ear.take(b"0" * 50 + b"\n1\n", offset=0))

    assert notes == [
        Noted(at=51, heard=LineSkipped(bytes=50)),
        Noted(at=53, heard=TurnEnded(how="done")),
    ]


class WithAFault:
    """A reader that can't bear some lines."""

    def read(self, line: bytes) -> tuple[Said, ...]:
        faults = {b"o": OverflowError, b"r": RecursionError, b"v": ValueError}
        if line in faults:
            raise faults[line]
        return (TurnEnded(how="done"),)


def test_a_line_that_its_reader_can_not_bear_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    ear = Ear(WithAFault())

    notes = list(ear.take(b"o\nr\nv\n\n", offset=0))

    assert notes == [
        *(Noted(at=at, heard=LineSkipped(bytes=1)) for at in (2, 4, 6)),
        Noted(at=7, heard=TurnEnded(how="done")),
    ]
    assert [each.message for each in caplog.records] == ["line.unreadable"], "once: a program may print many"


class Boasting:
    """A reader that says of each line more than the log can hold."""

    def read(self, line: bytes) -> tuple[Said, ...]:
        return (
            UsageReported(input_tokens=SEQ_MAX + len(line)),
            ToolEnded(call_id="c" * (MARK_MAX + 1), how="done"),
            TurnEnded(how="done"),
        )


def test_a_word_that_the_log_could_not_hold_is_left_out_and_those_beside_it_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notes = list(Ear(Boasting()).take(b"abcd\n", offset=0))

    assert notes == [
        Noted(at=1, heard=LineSkipped(bytes=4)),
        Noted(at=2, heard=LineSkipped(bytes=4)),
        Noted(at=5, heard=TurnEnded(how="done")),
    ]
    assert [each.message for each in caplog.records] == ["line.unreadable"]


def test_a_recording_says_what_its_output_says(tmp_path: Path) -> None:
    path = tmp_path / "recording.mprec"
    written = recording.Recording(str(path), started_us=1)
    for at in range(0, len(OUTPUT), 100):
        written.append(recording.OUTPUT, at, OUTPUT[at : at + 100])
        written.append(recording.STDERR, at, b'{"type":"turn.started"}\n')
    written.close()
    ear = Ear(reader_of("codex"))

    notes = [*recorded(ear, path), *ear.last()]

    assert msgspec.to_builtins(notes) == msgspec.to_builtins(heard(OUTPUT, len(OUTPUT)))
