"""Text that is typed as an argument, or read from standard input where the argument is `-`."""

import sys
from typing import Final

from moduprompt.cli.faults import misused
from moduprompt.protocol import TEXT_MAX

TEXT_BYTES_MAX: Final = 4 * TEXT_MAX  # a character has at most four


def text_or_input(typed: str) -> str:
    """The text. Raises CallFailed for what is no UTF-8, or longer than a text may be."""
    if typed != "-":
        return typed
    try:
        text = sys.stdin.buffer.read(TEXT_BYTES_MAX + 1).decode()
    except UnicodeDecodeError as fault:
        raise misused(f"standard input is not UTF-8: {fault.reason}", hint="only text is taken") from fault
    if len(text) > TEXT_MAX:
        raise misused(
            f"the text has more than {TEXT_MAX} characters", hint="put it in a file the agent can read"
        )
    return text
