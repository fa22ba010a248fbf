"""What a noun's file says about its verbs, and how that becomes a parser.

A verb names its words and the coroutine that carries it out. Flags that hold for every
call may stand before the noun or behind the verb.
"""

import argparse
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from moduprompt.cli.call import Call

WIDTH: Final = 100  # of help texts: the same on every terminal, so that they can be compared


class Parser(argparse.ArgumentParser):
    """A parser whose complaints look like every other error of ours."""

    def error(self, message: str) -> NoReturn:
        """Exit status 2, with where to read on."""
        self.exit(2, f"error: {message}\nhint: {self.prog} --help\n")


Arguments = Callable[[argparse.ArgumentParser], None]
Run = Callable[["Call"], Awaitable[None]]


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """For verbs that need no words."""


class Verb:
    """One verb of a noun. Its summary is a sentence that begins with the verb, in lower case."""

    def __init__(
        self, name: str, run: Run, *, summary: str, arguments: Arguments = no_arguments, more: str = ""
    ) -> None:
        self.name = name
        self.run = run
        self.summary = summary
        self.arguments = arguments
        self.more = more


def add_verbs(
    parser: argparse.ArgumentParser,
    verbs: Iterable[Verb],
    *,
    everywhere: Parser,
    also: Mapping[str, Arguments] = MappingProxyType({}),
) -> None:
    """A noun with verbs: one of them must follow. `also` gives some of them further words."""
    below = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, title="verbs", parser_class=Parser
    )
    for verb in verbs:
        own = below.add_parser(
            verb.name,
            help=verb.summary,
            description=f"{verb.summary[0].upper()}{verb.summary[1:]}. {verb.more}".strip(),
            parents=[everywhere],
            formatter_class=Layout,
        )
        verb.arguments(own)
        also.get(verb.name, no_arguments)(own)
        own.set_defaults(carry_out=verb.run)


def add_lone_verb(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """A noun that is its own verb: `mpctl board`."""
    verb.arguments(parser)
    parser.set_defaults(carry_out=verb.run)


class Layout(argparse.HelpFormatter):
    """Help in one width, whatever the terminal: it is compared with what was promised."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=WIDTH)


def positive(text: str) -> float:
    """A number of seconds, or a factor. For `type=`."""
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return value


def whole(text: str) -> int:
    """A whole number from zero on. For `type=`."""
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)
