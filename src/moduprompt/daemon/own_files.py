"""The two files that are the daemon's alone: what run tokens derive from, and how clients find it."""

import os
import secrets
import socket
from pathlib import Path
from typing import Final

import msgspec

from moduprompt import __version__
from moduprompt.config import Config, ConfigRefused, DaemonFile
from moduprompt.kernel.clock import SystemClock
from moduprompt.protocol import encode, to_timestamp

SECRET_BYTES: Final = 32


def load_secret(config: Config) -> bytes:
    """What run tokens derive from: made at first boot, before the log, and never again."""
    path = config.secret_file
    if not path.exists() and not config.log_db.exists():
        _write_new(path, secrets.token_bytes(SECRET_BYTES))
    hint = (
        f"put it back from a backup; or make a new one with `head -c {SECRET_BYTES} /dev/urandom > {path}`, "
        "and start runs that had not begun yet again"
    )
    try:
        secret = path.read_bytes()
    except FileNotFoundError as fault:
        raise ConfigRefused(f"{path} is missing beside its log", path=str(path), hint=hint) from fault
    if len(secret) != SECRET_BYTES:
        raise ConfigRefused(f"{path} is damaged: run tokens derive from it", path=str(path), hint=hint)
    return secret


def _write_new(path: Path, content: bytes) -> None:
    """A file for its owner only: whole and on the disk, or not there."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_daemon_file(config: Config, *, token: str, sockets: list[socket.socket]) -> None:
    """How clients find the daemon."""
    addr = f"unix:{config.socket}"
    if len(sockets) > 1:
        host, port = sockets[1].getsockname()[:2]
        addr = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    content = DaemonFile(
        addr=addr,
        socket=str(config.socket),
        token=token,
        pid=os.getpid(),
        db_path=str(config.log_db),
        started_at=to_timestamp(SystemClock().now()),
        version=__version__,
    )
    _write_new(config.daemon_file, msgspec.json.format(encode(content), indent=2) + b"\n")
