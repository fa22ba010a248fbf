"""What the three agents of the demo do, as scripts for the scripted agent."""

from typing import Final

import msgspec

from moduprompt.cli.demo.repository import Ground

ANSWER: Final = "A page for newcomers"
QUESTION: Final = "What shall the page be called?"

Step = dict[str, "str | list[str] | dict[str, str]"]


def builder(ground: Ground, *, task_id: str) -> bytes:
    """Plans, asks a person, implements, checks, commits, and proposes the next stage."""
    link = "\n[{title}](" + ground.page + ") was written by an agent.\n"
    page = "# {title}\n\nWritten by session {session}, on the word of a person.\n"
    steps: list[Step] = [
        {"say": "planning: {prompt}"},
        *_reads(ground),
        {"run": ["mpctl", "task", "advance", task_id, "--to", "implement"]},
        {"ask": QUESTION, "name": "title"},
        {"write": {"path": ground.page, "text": page}},
        *([{"append": {"path": ground.readme, "text": link}}] if ground.readme else []),
        {"run": list(ground.check)},
        {"commit": "Add a page for newcomers"},
        {"run": ["mpctl", "task", "advance", task_id, "--to", "test"]},
    ]
    return _script(steps)


def tester(ground: Ground, *, task_id: str) -> bytes:
    """Builds on the builder's branch: reads, runs the repository's own check, reports."""
    steps: list[Step] = [
        {"say": "testing what {env:MP_SESSION} was given"},
        {"read": ground.page},
        {"run": list(ground.check)},
        {"append": {"path": ground.page, "text": f"\nChecked with `{' '.join(ground.check)}`.\n"}},
        {"commit": "Note that the page was checked"},
        {"run": ["mpctl", "task", "advance", task_id, "--to", "review"]},
    ]
    return _script(steps)


def rival(ground: Ground) -> bytes:
    """The alternative: the same page in other words, on a branch of its own."""
    steps: list[Step] = [
        {"say": "trying it another way"},
        {"read": ground.page},
        {"write": {"path": ground.page, "text": "# Welcome\n\nShorter, and perhaps better.\n"}},
        {"run": list(ground.check)},
        {"commit": "Say it in fewer words"},
    ]
    return _script(steps)


def _reads(ground: Ground) -> list[Step]:
    return [{"read": ground.readme}] if ground.readme else [{"run": ["git", "ls-files"]}]


def _script(steps: list[Step]) -> bytes:
    """TOML. A JSON string is a TOML basic string, and a JSON list of them a TOML array."""
    lines: list[bytes] = [b"# Made by mpctl demo; docs/scripted-agent.md describes the language."]
    for step in steps:
        lines.append(b"\n[[step]]")
        lines += [_pair(key, value) for key, value in step.items()]
    return b"\n".join(lines) + b"\n"


def _pair(key: str, value: str | list[str] | dict[str, str]) -> bytes:
    if isinstance(value, dict):
        inner = ", ".join(_pair(name, text).decode() for name, text in value.items())
        return f"{key} = {{ {inner} }}".encode()
    return key.encode() + b" = " + msgspec.json.encode(value)
