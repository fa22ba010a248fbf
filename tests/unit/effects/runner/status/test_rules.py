"""Rules are data that is read strictly: what is not understood is refused as a whole, and says why."""

from __future__ import annotations

from importlib import resources

import pytest
from msgspec.structs import replace

from moduprompt.effects.runner.status.engine import CALM, observe
from moduprompt.effects.runner.status.facts import BRACKETED_PASTE, CURSOR_SHOWN, Look, Sight
from moduprompt.effects.runner.status.rules import (
    CONDITIONS_MAX,
    GENERIC,
    PATTERN_CHARS_MAX,
    RULES_BYTES_MAX,
    RULES_MAX,
    RulesRefused,
    read_rules,
    rules_for,
)

SHIPPED = sorted(
    each.name.removesuffix(".toml")
    for each in (resources.files("moduprompt.effects.runner.status") / "rules").iterdir()
)


def a_file(*rules: str, head: str = 'version = 1\nprogram = "it"\n') -> bytes:
    return (head + "\n".join(rules)).encode()


def a_rule(name: str = "one", status: str = "working", when: str = '[{ has = "x" }]', more: str = "") -> str:
    return f'[[rules]]\nname = "{name}"\nstatus = "{status}"\nwhy = "because"\nwhen = {when}\n{more}\n'


def test_a_file_is_read_in_its_order() -> None:
    found = read_rules(
        a_file(a_rule("b"), a_rule("a", when='[{ in = "title", hasnt = "y" }, { has = "z" }]'))
    )

    assert [each.name for each in found.rules] == ["b", "a"]
    assert found.rules[1].when[0].region == "title"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        pytest.param(b"\xff", "codec", id="no text"),
        pytest.param(b"= 1", "Invalid", id="no TOML"),
        pytest.param(a_file(), "rules", id="without a rule"),
        pytest.param(a_file(*(a_rule(f"r{n}") for n in range(RULES_MAX + 1))), "length", id="too many rules"),
        pytest.param(a_file(a_rule(), head='version = 0\nprogram = "it"\n'), "version", id="version 0"),
        pytest.param(a_file(a_rule(), a_rule()), "two rules", id="a name twice"),
        pytest.param(a_file(a_rule(more="surprise = 1")), "surprise", id="an unknown field"),
        pytest.param(a_file(a_rule(status="idle")), "idle", id="what no screen can say"),
        pytest.param(a_file(a_rule(when="[]")), "length", id="without a condition"),
        pytest.param(a_file(a_rule(when='[{ hasnt = "x" }]')), "absent", id="only what is absent"),
        pytest.param(
            a_file(a_rule(when='[{ hasnt = "x" }]', more="quiet_ms_min = 9000")), "absent", id="only silence"
        ),
        pytest.param(a_file(a_rule(when='[{ has = "x", hasnt = "y" }]')), "one of", id="has and hasnt"),
        pytest.param(a_file(a_rule(when='[{ lines = 3, has = "x" }, {}]')), "one of", id="neither"),
        pytest.param(a_file(a_rule(when='[{ has = "" }]')), "characters", id="an empty pattern"),
        pytest.param(
            a_file(a_rule(when=f'[{{ has = "{"x" * (PATTERN_CHARS_MAX + 1)}" }}]')), "characters", id="long"
        ),
        pytest.param(a_file(a_rule(when='[{ has = "(" }]')), "no pattern", id="no pattern"),
        pytest.param(
            a_file(a_rule(when="[" + '{ has = "x" },' * (CONDITIONS_MAX + 1) + "]")), "length", id="many"
        ),
        pytest.param(b"#" * (RULES_BYTES_MAX + 1), "bytes", id="a long file"),
    ],
)
def test_what_is_no_file_of_rules_is_refused_and_says_why(raw: bytes, why: str) -> None:
    with pytest.raises(RulesRefused, match=why):
        read_rules(raw)


@pytest.mark.parametrize("program", SHIPPED)
def test_the_rules_that_come_with_us_are_read_under_their_programs_name(program: str) -> None:
    assert rules_for(program).program == program


def test_a_program_without_rules_of_its_own_gets_the_generic_ones() -> None:
    assert rules_for("nobody-has-heard-of-it") is not None
    assert rules_for("nobody-has-heard-of-it").program == GENERIC


@pytest.mark.parametrize(
    ("line", "is_hint"),
    [
        ("⠋ Working... (esc to interrupt)", True),
        ("⠼ thinking (esc to cancel, 5s)", True),
        ("• Working (3s • esc to interrupt)", True),
        ("  esc interrupt   ctrl+t variants", True),
        ("✻ Baking… (12s · ↓ 10 tokens · esc to interrupt)", True),
        ("│ esc again to stop │", True),
        ("esc to interrupt? [y/n]", False),
        ("❯ esc to interrupt", False),
        ("> say esc to interrupt", False),
        ("You can press esc to interrupt.", False),
        ("press Ctrl+C to stop the server", False),
        ("Hold esc to cancel it. Then go on", False),
    ],
)
def test_a_hint_how_to_interrupt_stands_by_itself_and_words_of_a_conversation_are_none(
    line: str, *, is_hint: bool
) -> None:
    sight = Sight(lines=("hello", line, "", "> "), cursor=(3, 2), modes=frozenset({BRACKETED_PASTE}))
    seen = observe(Look(reply=CALM, sight=sight), rules_for(GENERIC))

    assert seen is not None
    assert seen.status == ("working" if is_hint else "waiting_input")


EDITING = frozenset({BRACKETED_PASTE, CURSOR_SHOWN})  # as the line editor of a shell has it
PLAIN = frozenset({CURSOR_SHOWN})


@pytest.mark.parametrize(
    ("line", "modes", "is_prompt"),
    [
        ("ada@host:~/hello$ ", EDITING, True),
        ("root@host:/# ", EDITING, True),
        ("host% ", EDITING, True),
        ("hello on main ❯ ", EDITING, True),
        ("ada@host:~/hello$ ", PLAIN, False),  # its editor is off: a command runs
        ("ada@host:~/hello$ rm -r half a li", EDITING, False),
        ("loaded 40%", EDITING, False),
        ("Password for ada:", EDITING, False),
        (">>> ", PLAIN, True),
        ("In [12]: ", PLAIN, True),
        ("sqlite> ", PLAIN, True),
        (">>> print(", PLAIN, False),
        ("... ", PLAIN, False),  # the middle of something
        ("> ", PLAIN, False),  # of anything
        (">>> ", frozenset[int](), False),
    ],
)
def test_a_shell_and_an_interpreter_wait_where_their_prompt_stands_with_nothing_behind_it(
    line: str, modes: frozenset[int], *, is_prompt: bool
) -> None:
    sight = Sight(lines=("what it printed", line, ""), cursor=(1, len(line)), modes=modes)
    seen = observe(Look(reply=CALM, sight=sight), rules_for(GENERIC))

    assert seen is not None
    assert seen.status == ("waiting_input" if is_prompt else "unknown")


def test_a_prompt_that_something_was_just_printed_behind_is_not_believed_yet() -> None:
    sight = Sight(lines=("ada@host:~$ ",), cursor=(0, 12), modes=EDITING)
    seen = observe(Look(reply=replace(CALM, quiet_ms=100), sight=sight), rules_for(GENERIC))

    assert seen is not None
    assert seen.status == "unknown"
