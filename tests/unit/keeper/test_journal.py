"""The journal: durable before told, kept until acknowledged, readable after any crash."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.keeper.journal import Journal, scan_journal


def journal_of(tmp_path: Path, *, reports: int) -> Journal:
    journal = Journal(str(tmp_path))
    for number in range(reports):
        assert journal.append("mark", {"n": number}, at_us=1000 + number)
    return journal


def on_disk(tmp_path: Path) -> list[dict[str, object]]:
    return scan_journal((tmp_path / "journal.ndjson").read_bytes())


def test_reports_are_numbered_from_one_and_on_disk_when_appended(tmp_path: Path) -> None:
    journal_of(tmp_path, reports=2)

    assert on_disk(tmp_path) == [
        {"number": 1, "at_us": 1000, "kind": "mark", "data": {"n": 0}},
        {"number": 2, "at_us": 1001, "kind": "mark", "data": {"n": 1}},
    ]


def test_a_run_has_one_journal_only(tmp_path: Path) -> None:
    journal_of(tmp_path, reports=0)

    with pytest.raises(FileExistsError):
        Journal(str(tmp_path))


def test_acknowledged_reports_are_forgotten_and_the_number_is_kept_on_disk(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, reports=3)

    journal.acknowledge(2)

    assert list(journal.unacknowledged) == [3]
    assert (tmp_path / "acknowledged").read_text() == "2\n"
    assert not journal.is_settled
    journal.acknowledge(3)
    assert journal.is_settled


@pytest.mark.parametrize("upto", [0, 1, 4, 10**9])
def test_acknowledging_the_past_or_the_future_changes_nothing(tmp_path: Path, upto: int) -> None:
    journal = journal_of(tmp_path, reports=3)
    journal.acknowledge(1)

    journal.acknowledge(upto)

    assert (journal.acknowledged, list(journal.unacknowledged)) == (1, [2, 3])


def test_a_report_the_disk_refused_waits_is_not_told_and_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_of(tmp_path, reports=1)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", refuse)
        assert not journal.append("mark", {"n": 1}, at_us=0)
        assert not journal.append("mark", {"n": 2}, at_us=0)
        assert (journal.durable, list(journal.unacknowledged), journal.is_durable) == (1, [1], False)

    assert journal.flush()

    assert (journal.durable, list(journal.unacknowledged), journal.is_durable) == (3, [1, 2, 3], True)
    assert [entry["number"] for entry in on_disk(tmp_path)] == [1, 2, 3]


def refuse(fd: int) -> None:
    raise OSError(28, "No space left on device")


@given(cut=st.integers(0, 400))
def test_a_torn_journal_keeps_its_whole_entries(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal_of(folder, reports=4)
    raw = (folder / "journal.ndjson").read_bytes()[:cut]

    entries = scan_journal(raw)

    assert [entry["number"] for entry in entries] == list(range(1, raw.count(b"\n") + 1))


@given(noise=st.binary(max_size=300))
def test_noise_is_no_journal(noise: bytes) -> None:
    entries = scan_journal(noise)

    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))


def test_an_entry_out_of_order_ends_the_journal() -> None:
    lines = [json.dumps({"number": number}).encode() + b"\n" for number in (1, 2, 4, 3)]

    assert len(scan_journal(b"".join(lines))) == 2
