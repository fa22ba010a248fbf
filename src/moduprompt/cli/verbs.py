"""What a noun's file says about its verbs, and how that becomes a parser.

A verb names its words and the coroutine that carries it out. Flags that hold for every
call may stand before the noun or behind the verb.
"""

import argparse
import re
import textwrap
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from moduprompt.cli.words import Misused

if TYPE_CHECKING:
    from moduprompt.cli.call import Call

WIDTH: Final = 100  # of help texts: the same on every terminal, so that they can be compared
AS_OF: Final = "as it was then: a sequence, a time, or how long ago (2h)"
OPTIONAL_FLAG: Final = re.compile(r" \[-[^\]]*\]")  # in argparse's usage
HELP_COLUMN: Final = 30  # where explanations begin


class Layout(argparse.RawDescriptionHelpFormatter):
    """Help in one layout, whatever the terminal and the version of Python."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=HELP_COLUMN, width=WIDTH)

    def add_argument(self, action: argparse.Action) -> None:
        """Make room for it, and for its verbs where they stand: before Python 3.13 their indent was forgotten."""
        super().add_argument(action)
        for verb in self._iter_indented_subactions(action):
            length = len(self._format_action_invocation(verb)) + self._current_indent
            self._action_max_length = max(self._action_max_length, length)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, (action.dest or "").upper())
        return f"{', '.join(action.option_strings)} {value}"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints look like every other error of ours, and that guesses no flags."""

    def __init__(self, **how: object) -> None:
        super().__init__(**{"formatter_class": Layout, "allow_abbrev": False, **how})  # type: ignore[arg-type]  # argparse's own keywords

    def error(self, message: str) -> NoReturn:
        """Raises Misused."""
        raise Misused(message, where=self.prog)


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


def from_one(text: str) -> int:
    """A whole number from one on. For `type=`."""
    if (number := whole(text)) == 0:
        raise argparse.ArgumentTypeError("0 is none; at least 1")
    return number


class Flag(NamedTuple):
    """A flag of every call; without a `metavar` it is a switch."""

    names: tuple[str, ...]
    what: str
    metavar: str | None = None
    kind: Callable[[str], str | float] = str


FLAGS: Final = (
    Flag(("--json",), "print the daemon's JSON and nothing else"),
    Flag(("--timeout",), "give up after so many seconds: exit status 124", "S", positive),
    Flag(("-w", "--workspace"), "id or name; else MP_WORKSPACE, or the only one", "WORKSPACE"),
    Flag(("--no-start",), "start no daemon when none answers"),
    Flag(("--data-dir",), "where the daemon's data lie (MP_DATA_DIR)", "DIR"),
    Flag(("--runtime-dir",), "where its socket and daemon.json lie (MP_RUNTIME_DIR)", "DIR"),
    Flag(("--db",), "the log's file; its siblings lie beside it (MP_DB)", "FILE"),
)

Arguments = Callable[[argparse.ArgumentParser], None]
Run = Callable[["Call"], Awaitable[None]]


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """For verbs that need no words."""


class Verb:
    """One verb of a noun. Its summary is a sentence that begins with the verb, in lower case."""

    def __init__(
        self,
        name: str,
        run: Run,
        *,
        summary: str,
        arguments: Arguments = no_arguments,
        more: str = "",
        takes_program: bool = False,
        shows_past: bool = False,
    ) -> None:
        self.name = name
        self.run = run
        self.summary = summary
        self.arguments = arguments
        self.more = more
        self.takes_program = takes_program
        self.shows_past = shows_past


def add_verbs(
    parser: argparse.ArgumentParser,
    verbs: Iterable[Verb],
    *,
    also: Mapping[str, Arguments] = MappingProxyType({}),
) -> None:
    """A noun with verbs: one of them must follow. `also` gives some of them further words."""
    below = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, title="verbs", parser_class=Parser
    )
    for verb in verbs:
        prog = f"{parser.prog} {verb.name}"
        own = below.add_parser(verb.name, prog=prog, help=verb.summary, description=_described(verb))
        _give(own, verb, also.get(verb.name, no_arguments))


def add_lone_verb(parser: argparse.ArgumentParser, verb: Verb) -> None:
    """A noun that is its own verb: `mpctl board`."""
    parser.description = _described(verb)
    _give(parser, verb, no_arguments)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every call, with their help."""
    group = parser.add_argument_group("flags of every call")
    for flag in FLAGS:
        _add_flag(group.add_argument, flag, what=flag.what)


def take_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every call, without a word: the help of a verb is about the verb."""
    for flag in FLAGS:
        _add_flag(parser.add_argument, flag, what=argparse.SUPPRESS)
    parser.epilog = f"Flags of every call, as --json and --workspace: {parser.prog.split()[0]} --help"


def _add_flag(add: Callable[..., object], flag: Flag, *, what: str) -> None:
    """Without a default: what stands behind a verb must not undo what stands before it."""
    if flag.metavar is None:
        add(*flag.names, action="store_true", default=argparse.SUPPRESS, help=what)
        return
    add(*flag.names, metavar=flag.metavar, type=flag.kind, default=argparse.SUPPRESS, help=what)


def _give(parser: argparse.ArgumentParser, verb: Verb, also: Arguments) -> None:
    """The verb's own words make the usage; what may be left out is one word in it."""
    verb.arguments(parser)
    if verb.shows_past:
        parser.add_argument("--as-of", metavar="WHEN", help=AS_OF)
    also(parser)
    needed = OPTIONAL_FLAG.sub("", " ".join(parser.format_usage().split()[1:])).removeprefix(parser.prog)
    program = " [-- PROGRAM [WORD …]]" if verb.takes_program else ""
    parser.usage = f"{parser.prog} [flags]{needed}{program}"
    take_flags(parser)
    parser.set_defaults(carry_out=verb.run)


def _described(verb: Verb) -> str:
    text = f"{verb.summary[0].upper()}{verb.summary[1:]}. {verb.more}".strip()
    return textwrap.fill(text, WIDTH)
