"""Standard output. JSON and terminal bytes go out as they came, UTF-8 whatever the locale says.

Text for people goes through the terminal's own encoding; what it can't show is escaped,
never a fault. Each call hands on what it has: a reader in a pipe waits for whole lines.
"""

import sys


def print_json(data: bytes) -> None:
    """One document, one line."""
    print_bytes(data + b"\n")


def print_bytes(data: bytes) -> None:
    """Bytes as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def print_text(text: str) -> None:
    """Text as it is; a line break is the caller's."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
