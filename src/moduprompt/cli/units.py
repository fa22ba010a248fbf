"""`mpd systemd`: the units under which systemd runs the daemon of this configuration.

What the settings are for stands beside them in the units themselves, where an administrator
reads them. `docs/systemd.md` says how they are installed.
"""

import sys
from pathlib import Path

from moduprompt.cli.call import Call
from moduprompt.config import Config
from moduprompt.keeper.cgroups import SUBGROUP
from moduprompt.protocol import encode

SERVICE = """\
# ~/.config/systemd/user/moduprompt.service
[Unit]
Description=ModuPrompt daemon
Documentation=man:systemd.service(5)

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
# Agents run in processes of their own and outlive the daemon: only the daemon is stopped,
# and an agent that runs out of memory does not take it along.
KillMode=process
OOMPolicy=continue
# Each run gets a control group beside the daemon's, in which its limits hold (systemd 254 and newer).
Delegate=cpu memory pids
DelegateSubgroup={subgroup}
Restart=on-failure
RestartSec=1
# The daemon asks for more time itself while it opens a large log or drains.
TimeoutStartSec=60
TimeoutStopSec=60
# Fed while commands are answered; a disk that hangs for so long is no disk.
WatchdogSec=60
LimitNOFILE=16384
UMask=0077

[Install]
WantedBy=default.target
"""

SOCKET = """\
# ~/.config/systemd/user/moduprompt.socket
[Unit]
Description=ModuPrompt socket: the first connection starts the daemon

[Socket]
ListenStream={socket}
SocketMode=0600
DirectoryMode=0700
Backlog=512

[Install]
WantedBy=sockets.target
"""


async def print_units(call: Call) -> None:
    """Both units, one after the other; as JSON each under its file's name."""
    service, socket = service_unit(call.config), socket_unit(call.config)
    both = {"moduprompt.service": service, "moduprompt.socket": socket}
    call.show(encode(both), f"{service}\n{socket}".rstrip())


def service_unit(config: Config) -> str:
    """The service: this installation, on this data."""
    words = [str(Path(sys.executable).parent / "mpd"), "start", "--foreground"]
    words += ["--data-dir", str(config.data_dir), "--runtime-dir", str(config.runtime_dir)]
    words += ["--db", str(config.log_db)]
    words += ["--listen", config.listen] if config.listen is not None else []
    return SERVICE.format(subgroup=SUBGROUP, command=" ".join(map(_quoted, words)))


def socket_unit(config: Config) -> str:
    """The socket, where clients look for it."""
    return SOCKET.format(socket=str(config.socket).replace("%", "%%"))


def _quoted(word: str) -> str:
    """A word as systemd reads it (systemd.syntax(7)): quoted where it must be, `%` and `$` never expanded."""
    plain = word.replace("%", "%%").replace("$", "$$")
    if not any(c.isspace() or c in "\"'\\;" for c in plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
