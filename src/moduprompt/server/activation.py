"""Sockets that the service manager has bound: taken over instead of bound (sd_listen_fds(3)).

At most one Unix socket, which must lie where clients look for the daemon and belong to its owner
alone, and any number of TCP sockets on loopback. Anything else is refused: a socket that is open to
others than we would open it to is no socket of ours. They are the service manager's: at the end they
are closed and stay bound, and who connects meanwhile starts the next daemon.
"""

import ipaddress
import os
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

import msgspec

from moduprompt.config import ConfigRefused

FIRST_FD: Final = 3  # SD_LISTEN_FDS_START
SOCKETS_MAX: Final = 16  # one Unix socket and some addresses of loopback; more is a misunderstanding
VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
OTHERS: Final = 0o077
HINT: Final = "mpd systemd prints units that fit"


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """What was handed over."""

    unix: socket.socket | None = None
    tcp: tuple[socket.socket, ...] = ()


def take_descriptors(environ: MutableMapping[str, str], *, pid: int) -> dict[int, str]:
    """The descriptors that are meant for this process, with their names. No child hears of them.

    Raises ConfigRefused.
    """
    for_pid, number, names = (environ.pop(name, "") for name in VARIABLES)
    if for_pid != str(pid) or number in ("", "0"):
        return {}
    if not (number.isascii() and number.isdigit()) or int(number) > SOCKETS_MAX:
        raise _refused(f"LISTEN_FDS={number[:20]} is no number of sockets up to {SOCKETS_MAX}", "LISTEN_FDS")
    given = names.split(":") if names else []
    descriptors = range(FIRST_FD, FIRST_FD + int(number))
    for descriptor in descriptors:
        _keep_from_children(descriptor)
    return {each: given[place] if place < len(given) else "" for place, each in enumerate(descriptors)}


def take_sockets(descriptors: dict[int, str], *, expected: Path) -> Handed:
    """The sockets, checked; `expected` is where clients look. Raises ConfigRefused."""
    unix: socket.socket | None = None
    tcp: list[socket.socket] = []
    for descriptor, name in descriptors.items():
        label = f"the socket {name!r} (descriptor {descriptor}) that was handed over"
        handed = _listening(descriptor, label=label)
        if handed.family != socket.AF_UNIX:
            _check_loopback(handed, label=label)
            tcp.append(handed)
        elif unix is not None:
            raise _refused(f"{label} is a second Unix socket; the daemon answers on one", "LISTEN_FDS")
        else:
            _check_place(handed, label=label, expected=expected)
            unix = handed
    return Handed(unix=unix, tcp=tuple(tcp))


def _keep_from_children(descriptor: int) -> None:
    try:
        os.set_inheritable(descriptor, False)
    except OSError as fault:
        raise _refused(f"descriptor {descriptor} was announced and is not open", "LISTEN_FDS") from fault


def _listening(descriptor: int, *, label: str) -> socket.socket:
    try:
        handed = socket.socket(fileno=descriptor)
        is_listening = handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as fault:
        raise _refused(f"{label} is no socket", "LISTEN_FDS") from fault
    if handed.type != socket.SOCK_STREAM or not is_listening:
        raise _refused(f"{label} is no listening stream socket; it needs ListenStream=", "LISTEN_FDS")
    if handed.family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        raise _refused(f"{label} is neither a Unix nor a TCP socket", "LISTEN_FDS")
    handed.settimeout(0)
    return handed


def _check_loopback(handed: socket.socket, *, label: str) -> None:
    host, port = handed.getsockname()[:2]
    if not ipaddress.ip_address(host).is_loopback:
        raise _refused(f"{label} listens on {host}:{port}; the daemon does not listen on a network", "listen")


def _check_place(handed: socket.socket, *, label: str, expected: Path) -> None:
    name = handed.getsockname()
    path = Path(name) if isinstance(name, str) and name else None
    if path is None or path.parent.resolve() / path.name != expected.parent.resolve() / expected.name:
        where = "no path" if path is None else str(path)
        raise _refused(f"{label} has {where}, but clients look at {expected}", "LISTEN_FDS")
    if path.stat().st_mode & OTHERS:
        raise _refused(
            f"{label} is open to other users (mode {path.stat().st_mode & 0o777:o}); it needs SocketMode=0600",
            "LISTEN_FDS",
        )


def _refused(message: str, path: str) -> ConfigRefused:
    return ConfigRefused(message, path=path, hint=HINT)
