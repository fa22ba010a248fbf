"""How a call ends badly: one error, said once, with the exit status of the contract's table.

People get `error:`, `hint:` and `trace:` on standard error; with `--json` the error object
goes to standard output and nothing else does.
"""

import sys
from typing import TextIO

from moduprompt.cli.live.text import plain
from moduprompt.cli.printing import print_json
from moduprompt.cli.words import Misused
from moduprompt.protocol import (
    EXIT_STATUS,
    EXIT_USAGE,
    Code,
    Details,
    ErrorObject,
    encode,
)


class CallFailed(Exception):
    """Ends the call. `exit_status` where it is not the one of the error's code."""

    def __init__(self, error: ErrorObject, *, exit_status: int | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.exit_status = EXIT_STATUS[error.code] if exit_status is None else exit_status


def failed(
    code: Code, message: str, *, hint: str | None = None, details: Details | None = None
) -> CallFailed:
    """A failure in one line."""
    return CallFailed(ErrorObject(code=code, message=message, hint=hint, details=details))


def misused(message: str, *, hint: str | None = None) -> CallFailed:
    """What was typed can't be meant: a usage error."""
    error = ErrorObject(code=Code.VALIDATION_FAILED, message=message, hint=hint, details={"reason": "usage"})
    return CallFailed(error, exit_status=EXIT_USAGE)


def tell_misuse(fault: Misused, *, is_json: bool) -> int:
    """What does not parse; gives the exit status."""
    failure = misused(str(fault), hint=f"{fault.where} --help")
    tell(failure.error, is_json=is_json)
    return failure.exit_status


def tell(error: ErrorObject, *, is_json: bool) -> None:
    """Say it, to whom it concerns."""
    if is_json:
        print_json(encode(error))
        return
    write_error(error, sys.stderr)


def write_error(error: ErrorObject, stream: TextIO) -> None:
    """The three lines for people. Nothing in them can act on a terminal."""
    stream.write(f"error: {plain(error.message)}\n")
    if error.hint:
        stream.write(f"hint: {plain(error.hint)}\n")
    if error.trace_id:
        stream.write(f"trace: {plain(error.trace_id)}\n")
    stream.flush()
