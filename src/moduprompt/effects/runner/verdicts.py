"""Whether a run did its job, when it is over: its whole output is read once by its adapter's reader.

The recording is the source, so it makes no difference which daemon asks, or how often.
"""

from pathlib import Path

from moduprompt.domain.run.said import Said
from moduprompt.effects.agents.cutting import LineCutter
from moduprompt.effects.agents.port import AgentAdapter, Asked, End, InputOver, Owed, Reader, Verdict
from moduprompt.effects.agents.summary import Summary, summed
from moduprompt.effects.runner import port
from moduprompt.effects.runner.recording import Output, RecordingReader


def judge(adapter: AgentAdapter, path: Path, exited: port.Exited) -> Verdict | None:
    """The verdict; None for a program that tells nothing. Raises RecordingError. Reads a file: not for the loop."""
    reader = adapter.reader()
    if reader is None:
        return None
    said = _heard(reader, path)
    return adapter.verdict(End(said=said, how=exited.how, code=exited.code, signal=exited.signal))


def _heard(reader: Reader, path: Path) -> Summary:
    summary, cutter = Summary(), LineCutter()
    with RecordingReader(path) as recording:
        for frame in recording.frames():
            if not isinstance(frame, Output):
                continue
            for line in cutter.feed(frame.data):
                summary = _with(summary, reader, line=line)
    return _with(summary, reader, line=cutter.last())


def _with(summary: Summary, reader: Reader, *, line: bytes | Said) -> Summary:
    heard = reader.read(line) if isinstance(line, bytes) else (line,)
    for each in heard:
        if not isinstance(each, Owed | InputOver):
            summary = summed(summary, each.said if isinstance(each, Asked) else each)
    return summary
