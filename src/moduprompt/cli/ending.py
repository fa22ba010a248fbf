"""Carries a call out and turns however it ends into one exit status.

0 done; the contract's table for refusals; 124 time-out; 130 interrupt; 141 when whoever
read our output went away. Never a traceback: what we did not expect is said in one line,
and MP_DEBUG=1 shows where it happened.
"""

import argparse
import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Final, TextIO

from moduprompt.cli.call import Call
from moduprompt.cli.faults import CallFailed, misused, tell, write_error
from moduprompt.cli.printing import CantPrint
from moduprompt.cli.words import Words
from moduprompt.client import ClientError
from moduprompt.config import ConfigRefused
from moduprompt.protocol import EXIT_INTERRUPT, EXIT_STATUS, EXIT_TIMEOUT, Code, ErrorObject

SHOWN_MAX: Final = 80  # characters of what nobody could read
EXIT_PIPE: Final = 141  # 128 + SIGPIPE, as if the signal had ended us


class _TimedOut(Exception):
    """The call's own time limit."""


def carry_out(given: argparse.Namespace) -> int:
    """The call; gives its exit status."""
    words = Words(given)
    try:
        asyncio.run(_within_time(words, given.carry_out))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return EXIT_INTERRUPT
    except BrokenPipeError:
        _drop_output()
        return EXIT_PIPE
    except CantPrint as fault:
        return _unprinted(fault)
    except _TimedOut:
        error = ErrorObject(
            code=Code.UNAVAILABLE,
            message=f"not done within {words.real('timeout'):g} s",
            hint="an order that was sent may still be carried out; a watch simply ended",
        )
        return _told(error, words, EXIT_TIMEOUT)
    except CallFailed as fault:
        return _told(fault.error, words, fault.exit_status)
    except ClientError as fault:
        error = fault.to_error()
        return _told(error, words, EXIT_STATUS[error.code])
    except ConfigRefused as fault:
        error = refused_config(fault)
        return _told(error, words, EXIT_STATUS[error.code])
    except UnicodeEncodeError as fault:
        if os.environ.get("MP_DEBUG"):
            traceback.print_exception(fault)
        typed = os.fsencode(fault.object[:SHOWN_MAX]).decode("utf-8", "backslashreplace")
        wrong = misused(f"what was given is no UTF-8: {typed}", hint="give it in UTF-8")
        return _told(wrong.error, words, wrong.exit_status)
    except Exception as fault:  # noqa: BLE001 - the edge of the process
        return _told(_unexpected(fault), words, EXIT_STATUS[Code.INTERNAL])
    return 0


def refused_config(fault: ConfigRefused) -> ErrorObject:
    """The contract's error for a configuration that can't be used."""
    return ErrorObject(
        code=Code.INVALID_SCHEMA, message=fault.message, hint=fault.hint, details={"path": fault.path}
    )


async def _within_time(words: Words, run: Callable[[Call], Awaitable[None]]) -> None:
    limit = asyncio.timeout(words.real("timeout"))
    try:
        async with limit, Call(words, os.environ) as call:
            await run(call)
    except TimeoutError:
        if limit.expired():
            raise _TimedOut from None
        raise


def _told(error: ErrorObject, words: Words, status: int) -> int:
    try:
        tell(error, is_json=words.is_set("json"))
    except BrokenPipeError:  # whichever of the two it was
        _drop_output()
        _drop(sys.stderr)
    except CantPrint:
        _drop_output()
        _tell_people(error)
    except OSError:
        _drop(sys.stderr)
    return status


def _unprinted(fault: CantPrint) -> int:
    """Whoever asked for JSON can't get it where it should go."""
    _drop_output()
    error = ErrorObject(
        code=Code.UNKNOWN,
        message=f"standard output can't be written: {fault}",
        hint="what was asked for may be done all the same",
    )
    _tell_people(error)
    return EXIT_STATUS[error.code]


def _tell_people(error: ErrorObject) -> None:
    try:
        write_error(error, sys.stderr)
    except OSError:  # the exit status is all that is left
        _drop(sys.stderr)


def _unexpected(fault: Exception) -> ErrorObject:
    if os.environ.get("MP_DEBUG"):
        traceback.print_exception(fault)
    return ErrorObject(
        code=Code.INTERNAL,
        message=f"a fault of mpctl's own: {type(fault).__name__}: {fault}",
        hint="MP_DEBUG=1 shows where",
    )


def _drop_output() -> None:
    _drop(sys.stdout)


def _drop(stream: TextIO) -> None:
    """What is still buffered goes nowhere: flushing it at exit would fail again, and change the exit status."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
