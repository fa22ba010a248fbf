"""A program that remembers is told what is new; one that doesn't is told all of it."""

from __future__ import annotations

from moduprompt.effects.runner.telling import ACCOUNT, GO_ON, Account, told_afresh, told_going_on


def test_who_goes_on_hears_what_is_new_or_to_go_on() -> None:
    assert told_going_on("now the tests") == "now the tests"
    assert told_going_on("another way", "now the tests") == "another way\n\nnow the tests"
    assert told_going_on(None, None) == GO_ON


def test_who_begins_hears_the_account_then_the_task_then_what_is_new() -> None:
    accounts = [Account(kind="status", text="half done\n"), Account(kind="plan", text="the rest")]

    told = told_afresh("paint it", "in blue", accounts=accounts)

    assert told == (
        f"{ACCOUNT}\n\n## status\n\nhalf done\n\n## plan\n\nthe rest\n\n---\n\npaint it\n\n---\n\nin blue"
    )


def test_without_an_account_the_task_stands_alone() -> None:
    assert told_afresh("paint it", None) == "paint it"
    assert told_afresh(None, None) is None
