"""Turns an order of the script into a call of a tool that the request offers, found by its name and its schema.

    {"write": …}   Write{file_path,content}, write_file, write{filePath,…}, …; else a patch; else the shell
    {"bash": …}    Bash{command}, exec_command{cmd}, run_shell_command, shell{command: [...]}, run_commands{commands: [...]}
    {"read": …}    Read{file_path}, read_file, …; else the shell

Whatever else the chosen tool requires is filled in from its schema.
"""

import re
import shlex
from typing import NamedTuple

from moduprompt.scripted_model import loose
from moduprompt.scripted_model.script import Bash, Order, Read, Tool, Write

DEPTH_MAX = 20  # of a schema that is filled in: deeper ones refer to themselves

PATHS = ("file_path", "filePath", "path", "absolute_path", "filename")
CONTENTS = ("content", "contents", "file_text", "text")
COMMANDS = ("command", "cmd", "commands")

WRITERS = ("write", "writefile", "createfile", "writetofile")
READERS = ("read", "readfile", "viewfile")
SHELLS = ("bash", "shell", "execcommand", "runshellcommand", "runcommands", "shellcommand", "executecommand")
PATCHES = ("applypatch",)


class Offer(NamedTuple):
    """A tool of the request. `is_freeform`: it takes a text, not JSON."""

    name: str
    schema: dict[str, object]
    is_freeform: bool = False


class Chosen(NamedTuple):
    """A call: `arguments` is a table, or the text of a freeform tool."""

    name: str
    arguments: dict[str, object] | str


class NoTool(Exception):
    """The request offers nothing that could do what the step says."""


def choose(order: Order, offers: tuple[Offer, ...]) -> Chosen:
    """The call, or `NoTool` with what was wanted and what was offered."""
    found = _chosen(order, offers)
    if found is None:
        wanted = order.name if isinstance(order, Tool) else type(order).__name__.lower()
        raise NoTool(f"no tool for {wanted!r}; offered: {', '.join(each.name for each in offers)}")
    return found


def _chosen(order: Order, offers: tuple[Offer, ...]) -> Chosen | None:
    match order:
        case Tool(name, arguments):
            return Chosen(name, arguments) if any(each.name == name for each in offers) else None
        case Bash(command):
            return _by_shell(command, offers)
        case Read(path):
            return _by_keys(READERS, offers, given=((PATHS, path),)) or _by_shell(
                f"cat {shlex.quote(path)}", offers
            )
        case Write(path, content):
            return (
                _by_keys(WRITERS, offers, given=((PATHS, path), (CONTENTS, content)))
                or _by_patch(order, offers)
                or _by_shell(_writing(order), offers)
            )


def _by_keys(
    names: tuple[str, ...], offers: tuple[Offer, ...], *, given: tuple[tuple[tuple[str, ...], str], ...]
) -> Chosen | None:
    """A tool of such a name that has one key of each kind."""
    for offer in offers:
        properties = loose.table(offer.schema.get("properties"))
        keys = [next((key for key in kinds if key in properties), None) for kinds, _ in given]
        if _bare(offer.name) in names and None not in keys:
            values: dict[str, object] = {
                key: value for key, (_, value) in zip(keys, given, strict=True) if key is not None
            }
            return Chosen(offer.name, _completed(values, offer.schema))
    return None


def _by_shell(command: str, offers: tuple[Offer, ...]) -> Chosen | None:
    for offer in offers:
        properties = loose.table(offer.schema.get("properties"))
        key = next((key for key in COMMANDS if key in properties), None)
        if _bare(offer.name) in SHELLS and key is not None:
            is_list = loose.table(properties[key]).get("type") == "array"
            words: object = ["bash", "-c", command] if key == "command" else [command]
            return Chosen(offer.name, _completed({key: words if is_list else command}, offer.schema))
    return None


def _by_patch(order: Write, offers: tuple[Offer, ...]) -> Chosen | None:
    lines = "".join(f"+{line}\n" for line in order.content.splitlines())
    patch = f"*** Begin Patch\n*** Add File: {order.path}\n{lines}*** End Patch\n"
    for offer in offers:
        if _bare(offer.name) in PATCHES:
            return Chosen(
                offer.name, patch if offer.is_freeform else _completed({"input": patch}, offer.schema)
            )
    return None


def _writing(order: Write) -> str:
    path = shlex.quote(order.path)
    return f'mkdir -p "$(dirname {path})" && printf %s {shlex.quote(order.content)} > {path}'


def _bare(name: str) -> str:
    """`mcp__acp__Write` and `write_file` as they are compared: the last part, small, letters only."""
    return re.sub(r"[^a-z]", "", name.rpartition("__")[2].lower())


def _completed(values: dict[str, object], schema: dict[str, object]) -> dict[str, object]:
    """With whatever else the tool requires."""
    properties = loose.table(schema.get("properties"))
    required = schema.get("required")
    missing = (
        [key for key in required if isinstance(key, str) and key not in values]
        if loose.is_list(required)
        else []
    )
    return values | {key: example(properties.get(key)) for key in missing}


def example(schema: object, *, depth: int = 0) -> object:
    """A small value that fits a JSON Schema, as far as it says anything simple."""
    fields = loose.table(schema)
    choices = fields.get("enum")
    if "const" in fields:
        return fields["const"]
    if loose.is_list(choices) and choices:
        return choices[0]
    for key in ("anyOf", "oneOf", "allOf"):
        if (options := loose.tables(fields.get(key))) and depth < DEPTH_MAX:
            return example(options[0], depth=depth + 1)
    kinds = fields.get("type")
    kind = loose.text(kinds[0] if loose.is_list(kinds) and kinds else kinds).lower()
    if kind == "object" and depth < DEPTH_MAX:
        properties = loose.table(fields.get("properties"))
        return {key: example(inner, depth=depth + 1) for key, inner in properties.items()}
    plain: dict[str, object] = {
        "object": {},
        "array": [],
        "integer": 1,
        "number": 1,
        "boolean": False,
        "null": None,
    }
    return plain.get(kind, "scripted")
