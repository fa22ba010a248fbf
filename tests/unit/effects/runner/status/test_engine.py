"""What one look at a run tells: never more than was seen."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from moduprompt.effects.runner.port import StatusReply
from moduprompt.effects.runner.status.engine import ANSWER_MS_MAX, QUIET_MS, observe
from moduprompt.effects.runner.status.facts import Look, Seen, Sight
from moduprompt.effects.runner.status.rules import read_rules, rules_for
from tests.support.fake_runner import WAITING, WORKING


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (WORKING, "working"),
        (replace(WORKING, quiet_ms=3_600_000), "working"),  # silence is normal
        (WAITING, "waiting_input"),
        (replace(WAITING, quiet_ms=QUIET_MS), "waiting_input"),
        (replace(WAITING, quiet_ms=QUIET_MS - 1), None),  # it may still be printing its question
        (replace(WAITING, input_waiting_bytes=1), None),  # it has not read what was typed
        (replace(WAITING, canonical=False), "working"),  # a full-screen program always reads
        (replace(WORKING, state="stopping"), None),
        (replace(WAITING, state="exited"), None),
        (replace(WORKING, state="start_failed"), None),
    ],
)
def test_a_look_tells_what_is_seen(reply: StatusReply, status: str | None) -> None:
    seen = observe(Look(reply=reply))

    assert (seen.status if seen else None) == status


def test_an_observation_names_its_rule_and_its_evidence() -> None:
    seen = observe(Look(reply=WAITING))

    assert seen is not None
    assert (seen.rule, seen.rule_version, seen.evidence) == ("tty_read", 1, "blocked in read")


RAW = replace(WAITING, canonical=False, echo=False)
RULES = read_rules(
    b"""
version = 7
program = "it"
[[rules]]
name = "dialog"
status = "blocked_on_permission"
why = "it asks"
when = [{ lines = 2, has = 'May I .+\\?' }, { in = "title", hasnt = "busy" }]
[[rules]]
name = "limit"
status = "rate_limited"
why = "it says so"
when = [{ in = "screen", has = 'again in (?P<retry_s>\\d+) s' }]
[[rules]]
name = "prompt"
status = "waiting_input"
why = "its prompt stands where the cursor is"
when = [{ in = "cursor", lines = 1, has = '^> ' }]
bracketed_paste = true
quiet_ms_min = 500
"""
)


def sight(*lines: str, title: str = "", cursor: int = 0, modes: frozenset[int] = frozenset()) -> Sight:
    return Sight(lines=lines, cursor=(cursor, 0), title=title, modes=modes)


def judged(of: Sight, reply: StatusReply = RAW) -> Seen:
    seen = observe(Look(reply=reply, sight=of), RULES)
    assert seen is not None
    return seen


@pytest.mark.parametrize(
    ("of", "status"),
    [
        (sight("May I go?", "", "", "  yes"), "blocked_on_permission"),  # blank lines don't count
        (sight("May I go?", "1", "2"), "unknown"),  # no more among the last two
        (sight("May I go?", title="busy"), "unknown"),
        (sight("try again in 17 s", "1", "2", "3"), "rate_limited"),
        (sight("> ", modes=frozenset({2004})), "waiting_input"),
        (sight("> "), "unknown"),  # its line editor is not on
        (sight("> ", "", "", "x", cursor=3, modes=frozenset({2004})), "unknown"),  # the cursor is elsewhere
        (sight("nothing known"), "unknown"),
    ],
)
def test_a_screen_is_what_the_first_rule_says_whose_conditions_all_hold(of: Sight, status: str) -> None:
    assert judged(of).status == status


def test_quiet_supports_a_rule_and_says_nothing_alone() -> None:
    at_its_prompt = sight("> ", modes=frozenset({2004}))

    assert judged(at_its_prompt, replace(RAW, quiet_ms=499)).status == "unknown"
    assert judged(at_its_prompt, replace(RAW, quiet_ms=500)).status == "waiting_input"
    assert judged(sight("hm"), replace(RAW, quiet_ms=3_600_000)).status == "unknown"


def test_a_screens_observation_names_rule_and_version_and_repeats_nothing_that_was_printed() -> None:
    seen = judged(sight("  May I go?   with the password hunter2", "  yes"))

    assert (seen.rule, seen.rule_version, seen.evidence) == ("it/dialog", 7, "it asks")


def test_no_rule_of_ours_carries_a_line_of_the_screen_into_an_observation() -> None:
    secret = "the password is hunter2"
    lines = (f"❯ 1. Yes, {secret}", f"  2. No, {secret}", f"> {secret}", f"✻ Retrying in 7 s: {secret}")
    for program in ("claude", "codex", "gemini", "any other"):
        for shown in (*((each,) for each in lines), lines):
            seen = observe(Look(reply=RAW, sight=sight(*shown, title=f"⠐ {secret}")), rules_for(program))

            assert seen is not None
            assert "hunter2" not in seen.evidence


def test_the_time_of_the_next_try_is_read() -> None:
    assert judged(sight("again in 17 s")).retry_after_s == 17
    assert judged(sight(f"again in {'9' * 50} s")).retry_after_s is None


def test_line_mode_is_the_systems_to_tell_whatever_stands_on_the_screen() -> None:
    seen = observe(Look(reply=WAITING, sight=sight("May I go?")), RULES)

    assert seen is not None
    assert seen.rule == "tty_read"


def test_a_screen_that_is_not_drawn_leaves_the_keepers_facts() -> None:
    seen = observe(Look(reply=RAW), RULES)

    assert seen is not None
    assert (seen.status, seen.rule) == ("working", "process_alive")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("Overwrite it? [y/N] ",), "blocked_on_permission"),
        (("Proceed (yes/no)?",), "blocked_on_permission"),
        (("continue connecting (yes/no/[fingerprint])? ",), "blocked_on_permission"),
        (("(Y)es/(N)o [Yes]:", ""), "waiting_input"),
        (("Add it to the chat? (Y)es/(N)o:",), "blocked_on_permission"),
        (("Overwrite it? [y/N] y", "> "), "waiting_input"),
        (("it said [y/n] once", "> "), "waiting_input"),
        (("> ",), "waiting_input"),
    ],
)
def test_a_question_that_stands_last_in_line_mode_wants_an_answer_and_no_prompt(
    lines: tuple[str, ...], status: str
) -> None:
    seen = observe(Look(reply=WAITING, sight=sight(*lines, cursor=len(lines) - 1)), RULES)

    assert seen is not None
    assert seen.status == status


def test_who_waits_for_a_line_with_the_echo_off_asks_for_a_secret() -> None:
    seen = observe(Look(reply=replace(WAITING, echo=False)))

    assert seen is not None
    assert (seen.status, seen.rule) == ("blocked_on_permission", "tty_secret")


@pytest.mark.parametrize(
    ("reply", "is_told"),
    [
        (RAW, True),  # a keeper of before
        (replace(RAW, since_typed_ms=1, printed_since_typed=1), True),
        (replace(RAW, since_typed_ms=1, printed_since_typed=0), False),
        (replace(RAW, since_typed_ms=ANSWER_MS_MAX, printed_since_typed=0), True),
        (replace(RAW, since_typed_ms=ANSWER_MS_MAX, printed_since_typed=0, unread_bytes=1), False),
    ],
)
def test_a_screen_from_before_the_last_key_tells_nothing(reply: StatusReply, *, is_told: bool) -> None:
    assert (observe(Look(reply=reply, sight=sight("May I go?")), RULES) is not None) is is_told
