"""`mpctl`: speaks to the daemon for people, scripts and agents.

A call is a fresh interpreter, so what it imports is what people wait for: this file knows
the nouns by name only, and loads the one that was typed.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from moduprompt import __version__
from moduprompt.cli.printing import open_closed_streams
from moduprompt.cli.verbs import Parser, Verb, add_flags, add_lone_verb, add_verbs
from moduprompt.cli.words import Misused, Program


class Noun(NamedTuple):
    """A noun, and the module whose VERBS, or lone VERB, it has."""

    name: str
    module: str
    summary: str


NOUNS: Final = (
    Noun("daemon", "moduprompt.cli.nouns.daemon", "start, stop and look at the daemon"),
    Noun(
        "workspace",
        "moduprompt.cli.nouns.workspace",
        "projects, sessions and tasks that belong together, in one log",
    ),
    Noun("project", "moduprompt.cli.nouns.project", "a unit of work over git repositories"),
    Noun("session", "moduprompt.cli.nouns.session", "one agent's line of work"),
    Noun("run", "moduprompt.cli.nouns.run", "one start of an agent program, with its terminal"),
    Noun("agents", "moduprompt.cli.nouns.agents", "the agent programs: which are here, what they can do"),
    Noun("worktree", "moduprompt.cli.nouns.worktree", "a git worktree: many readers, one writer"),
    Noun("task", "moduprompt.cli.nouns.task", "a tracked piece of work that moves through stages"),
    Noun("gate", "moduprompt.cli.nouns.gate", "a condition that blocks a stage"),
    Noun(
        "approval",
        "moduprompt.cli.nouns.approval",
        "a person's yes or no: at a gate, or to what an agent asks",
    ),
    Noun("capsule", "moduprompt.cli.nouns.capsule", "a session's short account of itself"),
    Noun("artifact", "moduprompt.cli.nouns.artifact", "a stored text or recording, until it is erased"),
    Noun("board", "moduprompt.cli.nouns.board", "sessions, tasks and what waits, as one picture"),
    Noun("usage", "moduprompt.cli.nouns.usage", "tokens and cost: of sessions, tasks, lineages, days"),
    Noun("search", "moduprompt.cli.nouns.search", "find by words of names, titles and reasons"),
    Noun("events", "moduprompt.cli.nouns.events", "what happened, as it happens or page by page"),
    Noun("log", "moduprompt.cli.nouns.log", "the stored bytes of the log, and the proof that they are whole"),
    Noun("views", "moduprompt.cli.nouns.views", "the read models, and making them again"),
    Noun("recovery", "moduprompt.cli.nouns.recovery", "what the daemon found when it started"),
    Noun("demo", "moduprompt.cli.nouns.demo", "the main job, end to end, on a real repository"),
)

EPILOG: Final = """\
exit status: 0 done, 2 usage or schema, 3 version conflict, 4 not authorized, 5 not found,
6 denied, 7 unavailable, 8 not possible now, 124 time-out, 130 interrupted, 1 anything else.

Inside a run mpctl acts as the run's session. Ids may be shortened to a unique beginning
or end of four characters or more; a unique name does as well. Where a run is wanted, a session's
name means its newest one. To look around first: mpctl demo.
"""

INTERRUPTED: Final = 130  # EXIT_INTERRUPT of the protocol, which is not loaded yet
PROGRAM_VERBS: Final = frozenset({"spawn", "fork", "demo"})


def build_parser(argv: Sequence[str]) -> Parser:
    """The parser for this call: only nouns that occur in it are loaded."""
    parser = Parser(
        prog="mpctl",
        usage="mpctl [flags] NOUN VERB …",
        description="Agents, their work and who may let it pass: the daemon's command line.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"mpctl {__version__}")
    add_flags(parser)
    below = parser.add_subparsers(
        dest="noun", metavar="NOUN", required=True, title="nouns", parser_class=Parser
    )
    for noun in NOUNS:
        own = below.add_parser(
            noun.name,
            prog=f"mpctl {noun.name}",
            help=noun.summary,
            usage=f"mpctl {noun.name} [flags] VERB …",
            description=f"{noun.name}: {noun.summary}.",
        )
        if noun.name in argv:
            _load(own, noun)
    return parser


def split_program(argv: Sequence[str]) -> tuple[Sequence[str], Program]:
    """What stands behind `--` is a program's command line, for the verbs that take one."""
    cut = argv.index("--") if "--" in argv else len(argv)
    if PROGRAM_VERBS.isdisjoint(argv[:cut]):
        return argv, Program(())
    return argv[:cut], Program(tuple(argv[cut + 1 :]))


def main(argv: Sequence[str] | None = None) -> int:
    """The call; gives its exit status."""
    open_closed_streams()
    words = sys.argv[1:] if argv is None else argv
    own, program = split_program(words)
    try:
        given = build_parser(own).parse_args(own, argparse.Namespace(program=program))
        from moduprompt.cli.ending import carry_out

        return carry_out(given)
    except Misused as fault:
        from moduprompt.cli.faults import tell_misuse

        return tell_misuse(fault, is_json="--json" in own)
    except KeyboardInterrupt:  # while we were still loading
        return INTERRUPTED


def _load(parser: argparse.ArgumentParser, noun: Noun) -> None:
    module = importlib.import_module(noun.module)
    lone: Verb | None = getattr(module, "VERB", None)
    if lone is not None:
        parser.usage = None
        add_lone_verb(parser, lone)
        return
    verbs: tuple[Verb, ...] = module.VERBS
    add_verbs(parser, verbs)


if __name__ == "__main__":
    raise SystemExit(main())
