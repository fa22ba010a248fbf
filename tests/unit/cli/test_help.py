"""What --help says is what was promised, word for word."""

from pathlib import Path

import pytest

from tests.support.cli_help import helps

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cli"
HELPS = helps()


@pytest.mark.parametrize("name", sorted({*HELPS, *(path.name for path in GOLDEN.iterdir())}))
def test_the_help_is_the_golden_one(name: str) -> None:
    assert HELPS.get(name, b"").decode() == (GOLDEN / name).read_text(), "make golden writes it again"


def test_every_summary_is_a_short_line() -> None:
    for text in HELPS.values():
        for line in text.decode().splitlines():
            assert len(line) <= 100, line
