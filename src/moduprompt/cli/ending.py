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
from typing import Final

from moduprompt.cli.call import Call
from moduprompt.cli.faults import CallFailed, tell
from moduprompt.cli.words import Words
from moduprompt.client import ClientError
from moduprompt.config import ConfigRefused
from moduprompt.protocol import EXIT_INTERRUPT, EXIT_STATUS, EXIT_TIMEOUT, Code, ErrorObject

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
    except BrokenPipeError:
        _drop_output()
    return status


def _unexpected(fault: Exception) -> ErrorObject:
    if os.environ.get("MP_DEBUG"):
        traceback.print_exception(fault)
    return ErrorObject(
        code=Code.INTERNAL,
        message=f"a fault of mpctl's own: {type(fault).__name__}: {fault}",
        hint="MP_DEBUG=1 shows where",
    )


def _drop_output() -> None:
    """What is still buffered goes nowhere: flushing it at exit would fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
