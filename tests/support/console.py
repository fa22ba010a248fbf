"""A page's ```console blocks as something to run: what is typed, and what a reader is told to expect.

`$ ` begins a command, `> ` goes on with it after a backslash, `^C` is an interrupt after what was shown,
and a line that is only `…` stands for any number of lines. What differs from machine to machine and from
run to run (ids, hashes, times, process ids, counts of files) is compared by its form; an id that the page
shows is the one that was seen in its place, so that a later command of the page can use it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
HEX = r"\b[0-9a-f]{7,64}\b"  # by chance some of them are letters alone; the pages have no such word
ID = re.compile(f"{UUID}|{HEX}")
ANY_LINES = "…"
INTERRUPT = "^C"

# In this order: a later form may be part of an earlier one.
FORMS = (
    (re.compile(r"\x1b\[[0-9;]*m"), ""),  # colours of a replayed terminal
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\d\d:\d\d:\d\d(\.\d+)?"), "TIME"),
    (ID, "ID"),
    (re.compile(r"(process|pid|/dev/pts/|seq) ?\d+"), r"\1 N"),
    (re.compile(r"\d+(\.\d+)? s\b"), "N s"),
    (re.compile(r"\d+ (files|bytes|events)\b"), r"N \1"),
    (re.compile(r"^TIME +\d+ "), "TIME N "),  # a sequence: what happens at once may swap places
    (re.compile(r"─{2,}"), "─"),
    (re.compile(r"\s+"), " "),
)


class Step(NamedTuple):
    """One command of a page, and the lines that it is said to print."""

    line: int
    command: str
    shown: tuple[str, ...]
    is_interrupted: bool


def steps_of(page: Path, *, heading: str) -> Iterator[Step]:
    """The commands below a heading, in order."""
    command: list[str] = []
    shown: list[str] = []
    start = 0
    for number, line in _console_lines(page, heading):
        if line.startswith("$ "):
            yield from _step(start, command, shown)
            start, command, shown = number, [line[2:]], []
        elif line.startswith("> ") and not shown and command[-1].endswith("\\"):
            command.append(line[2:])
        else:
            shown.append(line)
    yield from _step(start, command, shown)


def _console_lines(page: Path, heading: str) -> Iterator[tuple[int, str]]:
    is_below = is_console = False
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.startswith("## "):
            is_below = line == heading
        elif line.startswith("```"):
            is_console = line == "```console"
        elif is_below and is_console:
            yield number, line


def _step(line: int, command: list[str], shown: list[str]) -> Iterator[Step]:
    if command:
        is_interrupted = bool(shown) and shown[-1] == INTERRUPT
        kept = [each for each in shown if each.strip() and each != INTERRUPT]
        yield Step(line, "\n".join(command), tuple(kept), is_interrupted)


def form_of(line: str, names: Mapping[str, str]) -> str:
    """The line without what may differ. `names` puts a page's name in the place of this machine's."""
    for mine, theirs in names.items():
        line = line.replace(mine, theirs)
    for pattern, replacement in FORMS:
        line = pattern.sub(replacement, line)
    return line.strip()


def matched(
    shown: tuple[str, ...], printed: list[str], *, names: Mapping[str, str]
) -> list[tuple[str, str]] | None:
    """Each line of the page with the printed line in its place; None when the two don't agree."""
    if not shown:
        return None if printed else []
    if shown[0] == ANY_LINES:
        for skipped in range(len(printed) + 1):
            rest = matched(shown[1:], printed[skipped:], names=names)
            if rest is not None:
                return rest
        return None
    if not printed or form_of(shown[0], {}) != form_of(printed[0], names):
        return None
    rest = matched(shown[1:], printed[1:], names=names)
    return None if rest is None else [(shown[0], printed[0]), *rest]


def ids_in_place(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The ids of the page, and those that stood in their places."""
    found: dict[str, str] = {}
    for page, real in pairs:
        for shown, mine in zip(ID.findall(page), ID.findall(real), strict=True):
            # People type the end of an id; so may the page.
            found |= {shown: mine, shown[-8:]: mine[-8:]}
    return found
