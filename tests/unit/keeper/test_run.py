"""The end of a run, where others still hold its terminal."""

from pathlib import Path

import pytest

from moduprompt.keeper import processes
from moduprompt.keeper.run import LAST_READS_MAX, Run
from tests.unit.keeper.test_spec import spec_of


def test_who_writes_on_after_the_end_does_not_hold_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody of the same user may have the terminal open and never stop; then there is always more to read."""
    run, reads = Run(spec_of(run_id="of-nobody"), str(tmp_path), is_subreaper=False), 0

    def read() -> bool:
        nonlocal reads
        reads += 1
        assert reads <= 10 * LAST_READS_MAX, "it reads for ever"
        return True

    monkeypatch.setattr(run, "read_output", read)
    run.agent = processes.inspect(1)
    run._wait_status = 0  # pyright: ignore[reportPrivateUsage] - its program has ended
    run.tick()

    assert run.has_ended
    assert reads == LAST_READS_MAX
    run.recording.close()
