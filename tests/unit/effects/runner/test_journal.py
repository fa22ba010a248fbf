"""Typed reports from the journal a keeper left, whatever state it is in."""

from pathlib import Path

import pytest

from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import decode_entry, read_journal
from tests.support import keeper_v1

GOLDEN_REPORTS: list[port.Report] = [
    port.Launching(keeper_pid=10, keeper_start_time=110, boot_id="b"),
    port.Started(pid=11, start_time=111, boot_id="b"),
    port.StartFailed(failure="program_missing", errno=2, message="no"),
    port.InputIntended(input_id="i-1"),
    port.InputApplied(input_id="i-1", bytes=6),
    port.InputFailed(input_id="i-2", bytes=0),
    port.LimitHit(limit="wall_s"),
    port.Stopping(reason="golden"),
    port.Exited(
        how="stopped",
        code=None,
        signal=9,
        reason="golden",
        output_bytes=5,
        output_dropped_bytes=0,
        leftovers=(port.ProcessName(pid=12, name="tool"),),
        survivors=(),
    ),
]


def test_a_version_1_journal_is_read_whole_without_its_torn_tail() -> None:
    entries = read_journal(keeper_v1.GOLDEN)

    assert [entry.report for entry in entries] == GOLDEN_REPORTS
    assert [entry.number for entry in entries] == list(range(1, 10))


def test_no_journal_reads_as_no_entries(tmp_path: Path) -> None:
    assert read_journal(tmp_path) == ()


def test_a_report_of_a_newer_keeper_is_kept_as_unknown() -> None:
    entry = decode_entry(b'{"number": 3, "at_us": 1, "kind": "dreamt", "data": {"of": "sheep"}}')

    assert entry == port.Entry(number=3, at_us=1, report=port.UnknownReport(name="dreamt"))


@pytest.mark.parametrize("line", [b"", b"{}", b'{"number": 1, "at_us": 1, "kind": "started", "data": {}}'])
def test_a_broken_report_is_an_error_and_not_a_guess(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode_entry(line)


def gone_with(*reports: port.Report) -> port.Gone:
    entries = tuple(port.Entry(number=n + 1, at_us=0, report=report) for n, report in enumerate(reports))
    return port.Gone(run_id="r", evidence="", entries=entries, survivors=())


@pytest.mark.parametrize("upto", range(len(GOLDEN_REPORTS)))
def test_the_last_word_is_how_the_run_ended_or_nothing(upto: int) -> None:
    left = gone_with(*GOLDEN_REPORTS[:2], *GOLDEN_REPORTS[3 : upto + 1])

    ended = GOLDEN_REPORTS[8] if upto == 8 else None
    assert left.last_word == ended


def test_a_failed_start_is_a_last_word() -> None:
    assert gone_with(GOLDEN_REPORTS[0], GOLDEN_REPORTS[2]).last_word == GOLDEN_REPORTS[2]
