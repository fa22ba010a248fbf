"""`mpctl demo`: the main job, end to end."""

import argparse

from moduprompt.cli.call import Call
from moduprompt.cli.verbs import Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repo", metavar="PATH", help="the repository to work on; it is cloned, never changed"
    )
    parser.add_argument(
        "--agent",
        metavar="NAME",
        default="scripted",
        help="default scripted; or claude, codex, gemini, opencode, pi, aider, acp -- AGENT …, or command -- PROGRAM …",
    )
    parser.add_argument(
        "--allow", action="store_true", help="say yes to whatever its agents ask before they use a tool"
    )
    parser.add_argument(
        "--prompt", metavar="TEXT", help="what its agents are told, instead of the demo's task"
    )
    parser.add_argument(
        "--allow-dirty", action="store_true", help="work on what is committed in a repository with changes"
    )


async def _run(call: Call) -> None:
    from moduprompt.cli.demo.performance import demo

    await demo(call)


VERB = Verb(
    "demo",
    _run,
    summary="three agents, one task, one question, one gate, one merge: on a clone of a real repository",
    arguments=_arguments,
)
