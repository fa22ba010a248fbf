"""A recording as an asciicast, version 2 (docs.asciinema.org/manual/asciicast/v2), for players of others.

It is text: bytes that are no UTF-8 become U+FFFD there and only there; the recording keeps them. A
character that came in two pieces stands in the later one.
"""

import codecs
import json
from collections.abc import Iterator
from typing import Final

from moduprompt.effects.runner.recording import (
    Gap,
    Input,
    Mark,
    Output,
    RecordingFrame,
    RecordingReader,
    Resize,
    Stderr,
)
from moduprompt.protocol import SECOND

VERSION: Final = 2
ROWS, COLS = 24, 80  # where a recording says none


def to_asciicast(reader: RecordingReader, *, title: str) -> Iterator[str]:
    """Its lines, each with its end: the header, then one event each."""
    size = next((frame for frame in reader.frames() if isinstance(frame, Resize)), None)
    rows, cols = (size.rows, size.cols) if size is not None else (ROWS, COLS)
    header = {
        "version": VERSION,
        "width": cols,
        "height": rows,
        "timestamp": reader.started_us // SECOND,
        "title": title,
    }
    yield _json_line(header)
    printed = codecs.getincrementaldecoder("utf-8")("replace")
    typed = codecs.getincrementaldecoder("utf-8")("replace")
    for frame in reader.frames():
        kind, text = _event(frame, printed=printed, typed=typed)
        if text and frame != size:
            yield _json_line([frame.time_us / SECOND, kind, text])


def _event(
    frame: RecordingFrame, *, printed: codecs.IncrementalDecoder, typed: codecs.IncrementalDecoder
) -> tuple[str, str]:
    match frame:
        case Output():
            return "o", printed.decode(frame.data)
        case Input():
            return "i", typed.decode(frame.data)
        case Resize():
            return "r", f"{frame.cols}x{frame.rows}"
        case Mark():
            return "m", frame.text
        case Stderr():  # not of a terminal, so its lines end without a return
            return "o", frame.data.decode("utf-8", "replace").replace("\n", "\r\n")
        case Gap():
            return "m", f"{frame.missing_bytes} bytes of output are not kept"


def _json_line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
