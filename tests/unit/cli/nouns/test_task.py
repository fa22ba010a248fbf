"""The times and the stages that a person writes."""

from pathlib import Path

import pytest

from moduprompt.cli.faults import CallFailed
from moduprompt.cli.nouns.task import read_stages, to_due
from moduprompt.protocol import to_micros

NOW = to_micros("2026-11-22T10:00:00.000000Z")


@pytest.mark.parametrize(
    ("typed", "due"),
    [
        ("90m", "2026-11-22T11:30:00.000000Z"),
        ("+2h", "2026-11-22T12:00:00.000000Z"),
        ("3d", "2026-11-25T10:00:00.000000Z"),
        ("45s", "2026-11-22T10:00:45.000000Z"),
        ("2026-11-30T18:00Z", "2026-11-30T18:00:00.000000Z"),
        ("2026-11-30T18:00:00+02:00", "2026-11-30T16:00:00.000000Z"),
        ("2026-11-30T18:00", "2026-11-30T18:00:00.000000Z"),
        ("2026-11-30", "2026-11-30T00:00:00.000000Z"),
        ("none", None),
    ],
)
def test_a_time_is_a_span_a_point_or_none(typed: str, due: str | None) -> None:
    assert to_due(typed, now=NOW) == due


@pytest.mark.parametrize(
    "typed",
    ["soon", "", "-5m", "5w", "2026-13-01", "999999999999999d", "9999999d", "٣m", "0001-01-01T00:00+05:00"],
)
def test_what_is_no_time_is_a_usage_error(typed: str) -> None:
    with pytest.raises(CallFailed) as caught:
        to_due(typed, now=NOW)

    assert caught.value.exit_status == 2


def test_stages_come_from_toml_and_json_alike(tmp_path: Path) -> None:
    toml, json = tmp_path / "s.toml", tmp_path / "s.json"
    toml.write_text(
        '[[stages]]\nname = "do"\nkind = "implement"\n[[stages]]\nname = "go"\nkind = "merge"\ngates = [{}]\n'
    )
    json.write_text(
        '{"stages": [{"name": "do", "kind": "implement"}, {"name": "go", "kind": "merge", "gates": [{}]}]}'
    )

    assert read_stages(toml) == read_stages(json)
    assert [len(stage.gates) for stage in read_stages(toml)] == [0, 1]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.toml", b"stages = ["),
        ("s.toml", b'[[stages]]\nname = "do"\nkind = "dream"\n'),
        ("s.toml", b"\xff"),
        ("s.json", b'{"stages": [{"name": "do", "kind": "plan", "surprise": 1}]}'),
        ("s.json", b"[]"),
        ("s.json", b"{" * 100_000),
        ("s.json", b" " * 300_000),
    ],
)
def test_stages_that_do_not_fit_are_a_usage_error_that_names_the_file(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(CallFailed, match=name) as caught:
        read_stages(tmp_path / name)
    assert caught.value.exit_status == 2


def test_a_stages_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(CallFailed, match="nowhere"):
        read_stages(tmp_path / "nowhere.toml")
