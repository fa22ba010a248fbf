"""The daemon's one clock, and where its ids and run tokens come from."""

import asyncio
import hashlib
import hmac
import time

import uuid_utils

from moduprompt.protocol import Micros, RunId, WorkspaceId


class SystemClock:
    """The machine's clock."""

    def now(self) -> Micros:
        """Microseconds since 1970."""
        return Micros(time.time_ns() // 1_000)

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


class SystemMint:
    """UUIDv7 ids, and run tokens derived from a secret of this installation.

    A token is `mprun.<workspace>.<run>.<HMAC-SHA256>`: the ids say where to look it up,
    the rest can't be guessed, and after a restart it can be made again without having
    been stored. The log holds its SHA-256 alone.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def new_id(self) -> str:
        """A fresh UUIDv7."""
        return str(uuid_utils.uuid7())

    def run_token(self, workspace_id: WorkspaceId, run_id: RunId) -> str:
        """The token of a run."""
        named = f"mprun.{workspace_id}.{run_id}"
        return f"{named}.{hmac.new(self._secret, named.encode(), hashlib.sha256).hexdigest()}"


def token_sha256(token: str) -> str:
    """What the log keeps of a token, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()
