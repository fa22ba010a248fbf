"""What keepers and daemons read of each other, and what a keeper leaves on the disk."""

import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from moduprompt.effects.runner import port
from moduprompt.effects.runner.journal import decode_entry, read_journal
from moduprompt.effects.runner.link import decode_body
from moduprompt.effects.runner.packing import packed_beside
from moduprompt.effects.runner.recording import RecordingReader
from moduprompt.keeper import recording, wire
from moduprompt.keeper.journal import JOURNAL_NAME, scan_journal
from moduprompt.keeper.recording import RecordingError
from moduprompt.keeper.spec import Spec
from moduprompt.keeper.wire import FrameError, FrameReader, Message
from moduprompt.protocol import encode
from tests.support.fuzzing.decoder import Decoder
from tests.support.keeper_v1 import ANSWERS, GOLDEN, OUTPUT_NAME, REQUESTS, golden

JOURNAL: Final = (GOLDEN / "journal.ndjson").read_bytes()
RECORDING: Final = (GOLDEN / "recording.mprec").read_bytes()
SPEC: Final = encode(
    {
        "version": 1,
        "run_id": "r",
        "argv": ["sh", "-c", "true"],
        "cwd": "/",
        "env": {"A": "b"},
        "rows": 24,
        "cols": 80,
        "nonce": "n",
        "limits": {"wall_s": 1.5, "output_bytes_max": 10},
        "stop_graces_s": {"interrupt": 1.0, "terminate": 1.0, "kill": 1.0},
    }
)
ON_PIPES: Final = SPEC[:-1] + b',"io":"pipes","stdin":"open","stdin_file":null,"opening":"aGkK"}'
FIELDS: Final[tuple[Callable[[Message, str], object], ...]] = (
    lambda message, name: message.integer(name, 0, 2**53),
    lambda message, name: message.number(name, 0.0, 1e9),
    lambda message, name: message.text(name).encode(),  # texts go into recordings, as UTF-8
    lambda message, name: [each.encode() for each in message.texts(name, 10, 100)],
    lambda message, name: message.boolean(name),
    lambda message, name: message.data(name, 1_000),
    lambda message, name: message.nested(name).names(),
)
"""Every way in which a keeper reads a field."""


@contextmanager
def a_file(data: bytes, name: str) -> Generator[Path]:
    """The bytes on a disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def read_frames(data: bytes) -> object:
    """The frames of a stream that comes in two pieces, and what those of output hold."""
    reader, half = FrameReader(), len(data) // 2
    frames = [frame for part in (data[:half], data[half:]) for frame in reader.feed(part)]
    for kind, body in frames:
        if kind == wire.OUTPUT:
            wire.decode_output(body)
    return frames


def write_frames(frames: list[tuple[int, bytes]]) -> bytes:
    """As they came."""
    return b"".join(wire.encode_bytes(kind, body) for kind, body in frames)


def read_answer(body: bytes) -> object:
    """What a daemon makes of the body of a keeper's frame."""
    for kind in (port.Welcome, port.InputResult, port.StatusReply):
        try:
            return decode_body(body, kind)
        except port.LinkClosedError:
            continue
    return decode_body(body, dict[str, object])


def read_request(body: bytes) -> object:
    """What a keeper makes of the body of a daemon's frame."""
    found: list[object] = []
    for name in Message(body).names():
        for read in FIELDS:
            try:
                found.append(read(Message(body), name))
            except FrameError:
                continue
    return found


def read_spec(data: bytes) -> object:
    """What a run is started with; its texts become arguments and paths of the system."""
    spec = Spec(data)
    return [os.fsencode(each) for each in (*spec.argv, spec.cwd, *spec.env, *spec.env.values())]


def read_recording(data: bytes) -> object:
    """Every frame of it."""
    with a_file(data, "r.mprec") as path, RecordingReader(path) as reader:
        return list(reader.frames())


def packed(data: bytes) -> bytes:
    """The recording as it lies when its run is over."""
    with a_file(data, "r.mprec") as path:
        return packed_beside(path).read_bytes()


def write_journal(entries: list[dict[str, object]]) -> bytes:
    """A line each."""
    return b"".join(encode(entry) + b"\n" for entry in entries)


def read_journal_file(data: bytes) -> object:
    """As it is found beside a dead keeper."""
    with a_file(data, JOURNAL_NAME) as path:
        return read_journal(path.parent)


OF_KEEPERS: Final[tuple[Decoder, ...]] = (
    Decoder(
        covers=("keeper.wire:FrameReader.feed", "keeper.wire:decode_output"),
        samples=(*(golden(name) for name in (*ANSWERS, *REQUESTS)), golden(OUTPUT_NAME) * 2),
        read=read_frames,
        refuses=(FrameError,),
        again=write_frames,
    ),
    Decoder(
        covers=("effects.runner.link:decode_body",),
        samples=tuple(encode(body) for _, body in ANSWERS.values()),
        read=read_answer,
        refuses=(port.LinkClosedError,),
    ),
    Decoder(
        covers=("effects.runner.journal:decode_entry",),
        samples=tuple(JOURNAL.splitlines()[:-1]),  # the last one is torn
        read=decode_entry,
        refuses=(ValueError,),
    ),
    Decoder(
        covers=("keeper.wire:Message.__init__",),
        samples=tuple(encode(body) for _, body in REQUESTS.values()),
        read=read_request,
        refuses=(FrameError,),
    ),
    Decoder(covers=("keeper.spec:Spec",), samples=(SPEC, ON_PIPES), read=read_spec, refuses=(FrameError,)),
    Decoder(
        covers=("keeper.journal:scan_journal",),
        samples=(JOURNAL,),
        read=scan_journal,
        again=write_journal,
    ),
    Decoder(covers=("effects.runner.journal:read_journal",), samples=(JOURNAL,), read=read_journal_file),
    Decoder(
        covers=("keeper.recording:scan_frames",),
        samples=(RECORDING,),
        read=read_recording,
        refuses=(RecordingError,),
    ),
    Decoder(
        covers=("effects.runner.packing:Packed", "keeper.recording:frames_in"),
        samples=(packed(RECORDING),),
        read=read_recording,
        refuses=(RecordingError,),
    ),
    Decoder(
        covers=("keeper.recording:unpack_gap",),
        samples=(recording.pack_gap(5),),
        read=recording.unpack_gap,
        refuses=(RecordingError,),
    ),
    Decoder(
        covers=("keeper.recording:unpack_input",),
        samples=(recording.pack_input("user", "ada", b"hello"),),
        read=recording.unpack_input,
        refuses=(RecordingError,),
    ),
    Decoder(
        covers=("keeper.recording:unpack_size",),
        samples=(recording.pack_size(24, 80),),
        read=recording.unpack_size,
        refuses=(RecordingError,),
    ),
)
"""Between keepers and daemons."""
