"""The help of every noun and verb, as golden files: what a person can type is a promise."""

import contextlib
import importlib
import io
from collections.abc import Iterator, Sequence

import pytest

from moduprompt.cli import mpctl, mpd
from moduprompt.cli.nouns import daemon
from moduprompt.cli.verbs import Parser


def helps() -> dict[str, bytes]:
    """One file a noun, with the help of all its verbs."""
    files = {
        "mpctl.txt": [_help(mpctl.build_parser([]))],
        "mpd.txt": [
            _help(mpd.build_parser()),
            *(_help(mpd.build_parser(), verb.name) for verb in daemon.VERBS),
        ],
    }
    for noun in mpctl.NOUNS:
        calls = [(noun.name,), *((noun.name, verb) for verb in _verbs(noun))]
        files[f"mpctl-{noun.name}.txt"] = [_help(mpctl.build_parser(words), *words) for words in calls]
    return {name: "\n".join(texts).encode() for name, texts in files.items()}


def _verbs(noun: mpctl.Noun) -> Iterator[str]:
    for verb in getattr(importlib.import_module(noun.module), "VERBS", ()):
        yield str(verb.name)


def _help(parser: Parser, *words: str) -> str:
    said = io.StringIO()
    asked: Sequence[str] = (*words, "--help")
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        parser.parse_args(asked)
    return said.getvalue()
