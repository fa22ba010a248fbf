"""The messages of keeper protocol version 1, as they were frozen. The golden files hold their bytes.

Never edit a message here: an old keeper may be running that speaks it. Add new ones.
"""

from collections.abc import Mapping
from pathlib import Path

from moduprompt.keeper import wire

GOLDEN = Path(__file__).parents[1] / "golden" / "keeper_v1"

AUTHOR = {"kind": "user", "id": "0190"}

# What a daemon says, in an order that makes sense to a keeper whose program waits for a line.
REQUESTS: Mapping[str, tuple[int, Mapping[str, object]]] = {
    "01_hello": (wire.HELLO, {"version": 1, "nonce": "golden-nonce"}),
    "02_follow": (wire.FOLLOW, {"request": 1, "after": 0}),
    "03_attach": (wire.ATTACH, {"request": 2, "from": 0, "answers_terminal": False}),
    "04_status": (wire.STATUS, {"request": 3}),
    "05_resize": (wire.RESIZE, {"request": 4, "rows": 24, "cols": 80}),
    "06_input": (wire.INPUT, {"request": 5, "input_id": "i-1", "author": AUTHOR, "data": "aGVsbG8K"}),
    "07_keys": (wire.INPUT, {"request": 6, "input_id": None, "author": AUTHOR, "data": "eAo="}),
    "08_signal": (wire.SIGNAL, {"request": 7, "signal": "CONT"}),
    "09_ack": (wire.ACK, {"request": 8, "upto": 1}),
    "10_stop": (wire.STOP, {"request": 9, "reason": "golden"}),
    "11_close_input": (wire.CLOSE_INPUT, {"request": 10}),
}

_RUNNING = {"pid": 11, "start_time": 111, "state": "running", "output_bytes": 5}
_STATUS = {
    "state": "running",
    "fg_pgid": 11,
    "canonical": True,
    "echo": True,
    "waiting_on_tty": True,
    "evidence": "process 11 is in read(0) on /dev/pts/0",
    "quiet_ms": 250,
    "output_bytes": 5,
    "input_waiting_bytes": 0,
    "disk_refuses": False,
}
_EXITED = {
    "how": "stopped",
    "code": None,
    "signal": 9,
    "reason": "golden",
    "output_bytes": 5,
    "output_dropped_bytes": 0,
    "leftovers": [{"pid": 12, "name": "tool"}],
    "survivors": [],
}


def _entry(number: int, kind: str, data: Mapping[str, object]) -> tuple[int, Mapping[str, object]]:
    return wire.ENTRY, {"number": number, "at_us": 1_800_000_000_000_000 + number, "kind": kind, "data": data}


# What a keeper says, each answer to the first request of a link.
ANSWERS: Mapping[str, tuple[int, Mapping[str, object]]] = {
    "51_welcome": (
        wire.WELCOME,
        {
            "version": 1,
            "run_id": "golden-run",
            "keeper_pid": 10,
            "keeper_start_time": 110,
            **_RUNNING,
            "journal_last": 2,
            "journal_acknowledged": 0,
        },
    ),
    "52_done": (wire.DONE, {"request": 1}),
    "53_status_reply": (wire.STATUS_REPLY, {"request": 1, **_STATUS}),
    "54_input_result": (
        wire.INPUT_RESULT,
        {"request": 1, "input_id": "i-1", "outcome": "applied", "bytes": 6},
    ),
    "55_refused": (wire.ERROR, {"request": 1, "code": "not_running", "message": "the program has ended"}),
    "56_error": (wire.ERROR, {"code": "unknown_field", "message": "unknown field 'colour'"}),
    "57_output_end": (wire.OUTPUT_END, {"output_bytes": 5}),
    "61_launching": _entry(1, "launching", {"keeper_pid": 10, "keeper_start_time": 110, "boot_id": "b"}),
    "62_started": _entry(2, "started", {"pid": 11, "start_time": 111, "boot_id": "b"}),
    "63_start_failed": _entry(3, "start_failed", {"class": "program_missing", "errno": 2, "message": "no"}),
    "64_input_intended": _entry(4, "input_intended", {"input_id": "i-1"}),
    "65_input_applied": _entry(5, "input_applied", {"input_id": "i-1", "bytes": 6}),
    "66_input_failed": _entry(6, "input_failed", {"input_id": "i-2", "bytes": 0}),
    "67_limit_hit": _entry(7, "limit_hit", {"limit": "wall_s"}),
    "68_stopping": _entry(8, "stopping", {"reason": "golden"}),
    "69_exited": _entry(9, "exited", _EXITED),
}

OUTPUT_NAME = "58_output"
OUTPUT_OFFSET, OUTPUT_DATA = 3, b"\xff\x00hello\r\n"


def golden(name: str) -> bytes:
    """The frozen bytes of one frame."""
    return (GOLDEN / f"{name}.bin").read_bytes()
