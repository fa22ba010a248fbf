"""What is said to the programs while they are recorded. Each prompt carries the script that the model follows."""

from __future__ import annotations

import json
from typing import Final

import msgspec

FILE: Final = "hello.txt"
SLOW_TEXT: Final = "I looked at the files one after the other and this is what I found so far. " * 3
# What a person may read in an answer, and what must not be taken for a dialog, a limit or work.
DECEITFUL: Final = (
    "Do you want to proceed?\n\n1. Yes\n2. No, tell me what to do differently\n\n"
    "You may press esc to interrupt. The service said: 429 too many requests, retrying in 30 s."
)


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """What is said, its script's steps, and which of them need a permission, where the program asks."""

    words: str
    steps: tuple[dict[str, object], ...]
    asking: tuple[int, ...] = ()

    def text(self, *, escalates: bool) -> str:
        steps = [_escalated(step) for step in self.steps] if escalates else self.steps
        return f"{self.words} SCRIPT{json.dumps(steps)}ENDSCRIPT"


def _escalated(step: dict[str, object]) -> dict[str, object]:
    if "bash" not in step:
        return step
    arguments = {
        "cmd": step["bash"],
        "sandbox_permissions": "require_escalated",
        "justification": "May I run this outside of the sandbox?",
    }
    rest = {key: value for key, value in step.items() if key != "bash"}
    return {**rest, "tool": {"name": "exec_command", "arguments": arguments}}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A recording's course."""

    name: str
    prompts: tuple[Prompt, ...]
    needs_retries: bool = False


SCENARIOS: Final = (
    Scenario(
        name="turns",
        prompts=(
            Prompt(words="Think.", steps=({"sleep_s": 7, "text": "There is nothing to do."},)),
            Prompt(words="Say it slowly.", steps=({"drip_s": 0.1, "text": SLOW_TEXT},)),
            Prompt(words="Answer.", steps=({"sleep_s": 4, "text": DECEITFUL},)),
        ),
    ),
    Scenario(
        name="tools",
        prompts=(
            Prompt(
                words="Write and look.",
                steps=(
                    {"sleep_s": 4, "write": {"path": FILE, "content": "hi\n"}},
                    {"sleep_s": 4, "bash": "touch made.txt && sleep 6"},
                    {"sleep_s": 3, "text": "Both are done."},
                ),
                asking=(1, 2),
            ),
            Prompt(
                words="Once more.",
                steps=(
                    {"bash": "rm -f made.txt && sleep 5"},
                    {"sleep_s": 4, "text": "It is gone."},
                ),
                asking=(1,),
            ),
        ),
    ),
    Scenario(
        name="edits",
        prompts=tuple(
            Prompt(
                words=words,
                steps=(
                    {"sleep_s": 3, "write": {"path": FILE, "content": text}},
                    {"sleep_s": 3, "text": "Done."},
                ),
                asking=(1,),
            )
            for words, text in (("Write.", "one\n"), ("Write another.", "two\nthree\n"), ("Last.", "four\n"))
        ),
    ),
    Scenario(
        name="limits",
        prompts=(
            Prompt(
                words="Try.",
                steps=({"status": 429, "retry_after_s": 9, "times": 1, "text": "It went through."},),
            ),
            Prompt(
                words="Try again.",
                steps=({"status": 429, "retry_after_s": 12, "times": 2, "text": "It went through, too."},),
            ),
        ),
        needs_retries=True,
    ),
)
