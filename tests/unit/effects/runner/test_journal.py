"""Typed reports from the journal a keeper left, whatever state it is in."""

import random
from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.runner import journal, port
from moduprompt.effects.runner.journal import JOURNALS_MAX, Journals, decode_entry, read_journal
from moduprompt.keeper.journal import JOURNAL_NAME
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


def intended(number: int, *, word: str = "p") -> bytes:
    data = {"input_id": f"{word}{number}"}
    return msgspec.json.encode({"number": number, "at_us": 1, "kind": "input_intended", "data": data}) + b"\n"


def test_a_journal_that_grows_reads_as_if_it_were_read_whole(tmp_path: Path) -> None:
    """Also where its keeper takes the last entry back, which the disk refused, or is read in the middle of a line."""
    rng, path, journals = random.Random(7), tmp_path / "r" / JOURNAL_NAME, Journals(tmp_path.joinpath)
    path.parent.mkdir()
    whole = b""
    for step in range(200):
        for _ in range(rng.randint(0, 2)):
            whole += intended(whole.count(b"\n") + 1, word=f"{step}-")
        last = intended(whole.count(b"\n") + 1, word=f"refused {step}-")
        path.write_bytes(whole + last[: rng.choice((0, 20, len(last)))])
        assert journals.of("r") == read_journal(path.parent)
    path.write_bytes(whole + b"\x00\n" + intended(whole.count(b"\n") + 2))
    assert journals.of("r") == read_journal(path.parent)


def test_what_was_read_of_a_journal_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []

    def counted(line: bytes) -> port.Entry:
        decoded.append(line)
        return decode_entry(line)

    monkeypatch.setattr(journal, "decode_entry", counted)
    path, journals = tmp_path / "r" / JOURNAL_NAME, Journals(tmp_path.joinpath)
    path.parent.mkdir()
    path.write_bytes(b"".join(map(intended, range(1, 1_001))))
    for _ in range(10):
        assert len(journals.of("r")) == 1_000
    assert len(decoded) == 1_000 + 9, "the last one might be taken back"


def test_so_many_journals_are_kept_and_no_more(tmp_path: Path) -> None:
    journals = Journals(tmp_path.joinpath)
    for number in range(JOURNALS_MAX + 5):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / JOURNAL_NAME).write_bytes(intended(1))
        assert len(journals.of(str(number))) == 1
    assert journals.of("0") == read_journal(tmp_path / "0")
    assert journals.of("nobody") == ()


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
