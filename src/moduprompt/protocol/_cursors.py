"""Page cursors: opaque to clients, bound to the collection they were given for.

The form is base64url of `v1|collection|last id|crc32`, so that a cursor taken to
another collection, or damaged, is refused rather than misread.
"""

import base64
import binascii

from moduprompt.protocol._codec import misfit
from moduprompt.protocol._errors import Rejection

CURSOR_MAX = 512  # a collection's name and an id, with room


def to_cursor(collection: str, last_id: str) -> str:
    """The cursor that goes on after `last_id`."""
    text = f"v1|{collection}|{last_id}"
    return base64.urlsafe_b64encode(f"{text}|{_check(text)}".encode()).decode().rstrip("=")


def from_cursor(collection: str, cursor: str) -> str | Rejection:
    """The id to go on after, or `invalid_schema`."""
    if len(cursor) > CURSOR_MAX:
        return misfit("/cursor", "is too long to be a cursor")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return misfit("/cursor", "is no cursor", hint="leave it out to start from the first item")
    named, _, check = text.rpartition("|")
    start = f"v1|{collection}|"
    if check != _check(named) or not named.startswith(start) or "|" in named[len(start) :]:
        return misfit("/cursor", f"is no cursor of {collection}", hint="cursors belong to one collection")
    return named[len(start) :]


def _check(text: str) -> str:
    return f"{binascii.crc32(text.encode()):08x}"
