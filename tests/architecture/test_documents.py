"""What the documents name exists: tests, files, verbs. Links are checked by `make smoke`."""

import importlib
import re
from pathlib import Path

from moduprompt.cli.mpctl import NOUNS, Noun
from moduprompt.cli.verbs import Verb
from tests.support.console import steps_of

ROOT = Path(__file__).parents[2]
PAGES = tuple(
    page for pattern in ("*.md", "docs/**/*.md", "changes/*.md") for page in sorted(ROOT.glob(pattern))
)
TEST = re.compile(r"`(test_\w+)`")
PLACE = re.compile(r"`((?:tests|src|scripts|docs)/[\w./-]+)`")
EXAMPLES = {"test_a_claimed_task_refuses_to_be_snoozed"}  # of how to name a test, in CONTRIBUTING.md


def named(pattern: re.Pattern[str]) -> dict[str, Path]:
    """What the pages name, each with a page that does."""
    return {name: page for page in PAGES for name in pattern.findall(page.read_text("utf-8"))}


def calls_of(noun: Noun) -> set[str]:
    """A noun's calls as they are typed after `mpctl`."""
    verbs: tuple[Verb, ...] = getattr(importlib.import_module(noun.module), "VERBS", ())
    return {f"{noun.name} {verb.name}" for verb in verbs} or {noun.name}


def test_every_test_that_a_page_names_exists() -> None:
    tests = "\n".join(path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    mentioned = {name: page for name, page in named(TEST).items() if name not in EXAMPLES}

    assert len(mentioned) > 40, "the crash matrix has lost its tests"
    assert [f"{page.name}: {name}" for name, page in mentioned.items() if f"def {name}(" not in tests] == []


def test_every_place_that_a_page_names_exists() -> None:
    gone = [f"{page.name}: {place}" for place, page in named(PLACE).items() if not (ROOT / place).exists()]

    assert gone == []


def test_the_page_of_the_command_line_lists_every_verb_and_no_other() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `mpctl ([a-z]+(?: [a-z-]+)?)[` ]", text, re.MULTILINE))

    assert listed == {call for noun in NOUNS for call in calls_of(noun)}


def test_the_tour_names_no_verb_that_is_gone() -> None:
    words = [step.command.split() for step in steps_of(ROOT / "README.md", heading="## Five minutes")]

    assert {each[1] for each in words if each[0] == "mpctl"} <= {noun.name for noun in NOUNS}
