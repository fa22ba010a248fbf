"""`mpd`: the daemon's own command. `start --foreground` is the daemon; the rest talks to one."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from moduprompt import __version__
from moduprompt.cli.printing import open_closed_streams
from moduprompt.cli.verbs import Parser, Verb, add_flags, add_verbs
from moduprompt.cli.words import Misused

if TYPE_CHECKING:
    from moduprompt.cli.call import Call


async def _serve_stdio(call: "Call") -> None:
    from moduprompt.cli.stdio import serve_stdio  # what it needs is loaded for it alone

    await serve_stdio(call)


async def _backup(call: "Call") -> None:
    from moduprompt.cli.keeping import backup

    await backup(call)


async def _restore(call: "Call") -> None:
    from moduprompt.cli.keeping import restore

    await restore(call)


def _target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="the folder to make; else one under the data, named by the time",
    )


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="the folder that mpd backup made")
    parser.add_argument("--replace", action="store_true", help="put what is there aside; nothing is deleted")


async def _systemd(call: "Call") -> None:
    from moduprompt.cli.units import print_units

    await print_units(call)


BACKUP: Final = Verb(
    "backup",
    _backup,
    summary="copy log, artifacts and secret, with a running daemon or without one",
    arguments=_target,
    more="The copy is of one moment and checked to its last event. docs/operations.md says what is in it.",
)
RESTORE: Final = Verb(
    "restore",
    _restore,
    summary="put a backup in the place of the data",
    arguments=_source,
    more="It is checked before anything is touched. A running daemon is stopped and started again.",
)
SYSTEMD: Final = Verb(
    "systemd",
    _systemd,
    summary="print units for systemd: a service, and a socket that starts it",
    more="docs/systemd.md says where they go.",
)
SERVE_STDIO: Final = Verb(
    "serve-stdio",
    _serve_stdio,
    summary="speak with the daemon in frames on standard input and output",
    more="One JSON object a line; the first one is auth. docs/contract.md has the requests.",
)


def build_parser() -> Parser:
    """The parser; `start` alone has a flag of its own."""
    from moduprompt.cli.nouns.daemon import VERBS

    parser = Parser(
        prog="mpd",
        usage="mpd [flags] VERB …",
        description="The daemon: it owns the log, the sessions' state and every write.",
    )
    parser.add_argument("--version", action="version", version=f"mpd {__version__}")
    add_flags(parser)
    add_verbs(parser, (*VERBS, BACKUP, RESTORE, SERVE_STDIO, SYSTEMD), also={"start": _foreground})
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The call; gives its exit status."""
    open_closed_streams()
    words = sys.argv[1:] if argv is None else argv
    try:
        given = build_parser().parse_args(words)
    except Misused as fault:
        from moduprompt.cli.faults import tell_misuse

        return tell_misuse(fault, is_json="--json" in words)
    if getattr(given, "foreground", False):
        return _serve(given)
    from moduprompt.cli.ending import carry_out

    return carry_out(given)


def _foreground(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--foreground", action="store_true", help="be the daemon, here, until SIGTERM")


def _serve(given: argparse.Namespace) -> int:
    from moduprompt.cli.call import to_choices
    from moduprompt.cli.ending import refused_config
    from moduprompt.cli.faults import write_error
    from moduprompt.cli.words import Words
    from moduprompt.config import ConfigRefused, load_config
    from moduprompt.daemon import serve
    from moduprompt.protocol import EXIT_STATUS

    try:
        config = load_config(to_choices(Words(given)), os.environ)
    except ConfigRefused as refused:
        error = refused_config(refused)
        write_error(error, sys.stderr)
        return EXIT_STATUS[error.code]
    return serve(config, os.environ)


if __name__ == "__main__":
    raise SystemExit(main())
