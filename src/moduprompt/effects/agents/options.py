"""The words that a session may give a program, beyond its prompt: declared, checked, and nothing else.

A vendor's own flags never pass through: one of them may hand the decision about permissions to a
model, and the next version may have another such flag.
"""

from collections.abc import Mapping

import msgspec


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option, written `--name value` or `--name=value`. `values`: the only ones there are; empty: any."""

    name: str
    what: str
    values: tuple[str, ...] = ()
    default: str = ""


class UnfitWords(msgspec.Struct, frozen=True, kw_only=True):
    """They are not options of this program."""

    message: str
    hint: str


def read_options(words: tuple[str, ...], options: tuple[Option, ...]) -> Mapping[str, str] | UnfitWords:
    """The value of every option: as given, else its default. The last one given counts."""
    known = {option.name: option for option in options}
    values = {option.name: option.default for option in options}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, is_joined, value = word.removeprefix("--").partition("=")
        option = known.get(name) if word.startswith("--") else None
        if option is None:
            return UnfitWords(message=f"{word[:80]} is no option of this program", hint=_hint(options))
        if not is_joined:
            if not rest:
                return UnfitWords(message=f"--{name} needs a value", hint=_hint((option,)))
            value = rest.pop(0)
        if option.values and value not in option.values:
            return UnfitWords(message=f"--{name} can't be {value[:80]}", hint=_hint((option,)))
        values[name] = value
    return values


def _hint(options: tuple[Option, ...]) -> str:
    if not options:
        return "it takes no options"
    return "there are: " + ", ".join(f"--{each.name} {'|'.join(each.values) or 'VALUE'}" for each in options)
