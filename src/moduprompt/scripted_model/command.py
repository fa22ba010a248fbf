"""The call: `python -m moduprompt.scripted_model [--port N] [--log FILE] [--with-parent]`.

Prints one JSON line, `{"address": …, "pid": …}`, when it listens, and serves until it is told to end:
by a signal, or, with `--with-parent`, by the end of the process that started it.
"""

import argparse
import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from moduprompt.scripted_model.server import ModelServer

LOOK_S = 0.5  # how long a server outlives its parent at most
PORT_MAX = 65_535
INTERRUPTED, CANT_LISTEN = 130, 2


def main(arguments: Sequence[str]) -> int:
    """Serve; the exit code is 0, 2 for what can't be served, 130 after an interrupt."""
    parent = os.getppid()
    asked = _parser().parse_args(arguments)
    try:
        server = ModelServer(port=asked.port, log=asked.log)
    except OSError as refused:
        print(
            f"can't listen on port {asked.port}: {refused.strerror}\nhint: --port 0 takes a free one",
            file=sys.stderr,
        )
        return CANT_LISTEN
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        print(json.dumps({"address": server.address, "pid": os.getpid()}), flush=True)
        while serving.is_alive() and not (asked.with_parent and os.getppid() != parent):
            serving.join(LOOK_S)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        server.shutdown()
        server.server_close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m moduprompt.scripted_model",
        description="A model server that follows the script in the prompt: docs/scripted-model.md.",
    )
    parser.add_argument(
        "--port", type=_port, default=0, help="on 127.0.0.1; 0, the default, takes a free one"
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="append one JSON line for each request")
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the process that started this ends"
    )
    return parser


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= len(str(PORT_MAX)) and int(word) <= PORT_MAX):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {PORT_MAX}")
    return int(word)
