"""From typed words to a call: flags anywhere, programs behind `--`, complaints with a hint."""

import json
import subprocess
import sys

import pytest

from moduprompt.cli import mpctl, mpd
from moduprompt.cli.words import Program, Words


def parsed(*argv: str) -> Words:
    return Words(mpctl.build_parser(argv).parse_args(argv))


def test_flags_of_every_call_may_stand_before_the_noun_or_behind_the_verb() -> None:
    before = parsed("--json", "-w", "core", "--timeout", "2.5", "run", "list")
    behind = parsed("run", "list", "--json", "-w", "core", "--timeout", "2.5")

    for words in (before, behind):
        assert words.is_set("json")
        assert words.maybe("workspace") == "core"
        assert words.real("timeout") == 2.5
    assert not parsed("run", "list").is_set("json")


def test_what_stands_behind_two_dashes_is_the_programs_own() -> None:
    own, program = mpctl.split_program(["session", "spawn", "a", "-p", "b", "--", "sh", "-c", "x", "--json"])

    assert own == ["session", "spawn", "a", "-p", "b"]
    assert program.words == ("sh", "-c", "x", "--json")


def test_elsewhere_two_dashes_end_the_flags() -> None:
    argv = ["session", "prompt", "a", "--", "-yes"]

    assert mpctl.split_program(argv) == (argv, Program(()))
    assert parsed(*argv).text("text") == "-yes"


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("nothing",),
        ("session",),
        ("session", "nothing"),
        ("session", "spawn"),
        ("session", "spawn", "a"),
        ("--time", "3", "run", "list"),
        ("--timeout", "0", "run", "list"),
        ("--timeout", "nan", "run", "list"),
        ("run", "resize", "r", "x", "1"),
        ("run", "resize", "r", "0", "1"),
        ("run", "output", "r", "--from", "-1"),
        ("task", "create", "t", "-p", "p", "--priority", "10"),
        ("task", "fail", "t", "--failure", "bad_luck"),
        ("events", "watch", "--transport", "pigeon"),
    ],
)
def test_what_does_not_parse_is_a_usage_error_with_a_hint(
    argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert mpctl.main(argv) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "\nhint: mpctl " in said.err


def test_a_usage_error_is_json_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert mpctl.main(["session", "spawn", "--json"]) == 2
    assert mpd.main(["start", "--nonsense", "--json"]) == 2

    said = capsys.readouterr()
    first, second = [json.loads(line) for line in said.out.splitlines()]
    assert first["code"] == second["code"] == "validation_failed"
    assert first["details"] == {"reason": "usage"}
    assert said.err == ""


def test_the_version_needs_nothing_that_takes_time() -> None:
    program = "import sys; from moduprompt.cli.mpctl import main; sys.argv = ['mpctl', '--version']\ntry: main()\nexcept SystemExit: print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert {"msgspec", "asyncio", "h11", "moduprompt.protocol"}.isdisjoint(loaded)
    assert "moduprompt.cli.verbs" in loaded


def test_a_word_that_no_parser_defines_is_a_bug() -> None:
    words = parsed("run", "list")

    with pytest.raises(KeyError):
        words.text("nonsense")
    with pytest.raises(AssertionError, match="BUG"):
        parsed("run", "resize", "r", "1", "2").text("rows")
