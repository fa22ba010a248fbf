"""Our channel and an agent that the protocol's makers' library speaks for, line by line over real pipes."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uuid_utils

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import (
    ConversationNamed,
    OptionKind,
    ToolEnded,
    TroubleSeen,
    TurnBegan,
    TurnEnded,
)
from moduprompt.effects.agents.port import AgentRequest, Asked, InputOver
from tests.support.conversations import Conversation, conversation
from tests.support.source_tree import ROOT


@contextmanager
def fake(
    place: Path, *words: str, turns: str = "many", key: str = "", **request: Any
) -> Generator[Conversation]:
    """A fresh process of the fake agent, in this directory; signed in by a key where it has one."""
    command = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.support.acp_agent", *words)
    asked = AgentRequest(
        words=("--turns", turns, *command),
        run_id=str(uuid_utils.uuid7()),
        cwd=str(place),
        home=str(place),
        **request,
    )
    environment = {"PATH": "/usr/bin:/bin"} | ({"FAKE_KEY": key} if key else {})
    with conversation("acp", asked, environment=environment) as talk:
        yield talk


@pytest.mark.parametrize(
    ("kind", "is_written"),
    [("allow_once", True), ("allow_always", True), ("reject_once", False), ("reject_always", False)],
)
def test_each_of_the_four_answers_arrives(kind: OptionKind, is_written: bool, tmp_path: Path) -> None:
    with fake(tmp_path) as talk:
        talk.until(ConversationNamed)
        ended = talk.turn("write", allow=kind)

    assert ended == TurnEnded(how="done")
    assert (tmp_path / "written.txt").exists() == is_written
    assert [each.how for each in talk.heard if isinstance(each, ToolEnded)] == [
        "done" if is_written else "refused"
    ]


def test_a_run_for_one_turn_says_its_prompt_and_ends(tmp_path: Path) -> None:
    with fake(tmp_path, turns="one", prompt="hello") as talk:
        talk.until(InputOver)
        code = talk.leave()

    assert [type(each) for each in talk.heard if isinstance(each, TurnBegan | TurnEnded)] == [
        TurnBegan,
        TurnEnded,
    ]
    assert code == 0


def test_a_turn_is_cancelled_whether_it_works_or_waits_for_an_answer(tmp_path: Path) -> None:
    with fake(tmp_path) as talk:
        talk.until(ConversationNamed)
        talk.say("wait")
        talk.until(TurnBegan)
        talk.interrupt()
        working = talk.until(TurnEnded)
        talk.say("write")
        talk.until(Asked)
        talk.interrupt()
        asking = talk.until(TurnEnded)

    assert working == asking == TurnEnded(how="interrupted")
    assert not (tmp_path / "written.txt").exists()


def test_a_client_that_offers_no_files_is_asked_in_vain(tmp_path: Path) -> None:
    with fake(tmp_path) as talk:
        talk.until(ConversationNamed)
        ended = talk.turn("files")

    assert ended == TurnEnded(how="done")
    assert b"refused with -32601" in talk.output
    assert not (tmp_path / "through.txt").exists()


def test_a_conversation_is_carried_on_by_another_process_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    with fake(tmp_path) as talk:
        named = talk.until(ConversationNamed).conversation_id
        talk.turn("hello")
    with fake(tmp_path, conversation_id=named) as again:
        again.until(ConversationNamed)
        ended = again.turn("hello")
    with fake(tmp_path, conversation_id="gone") as gone:
        gone.until(InputOver)

    assert ended == TurnEnded(how="done")
    assert b"I did hello." in again.output
    assert [type(each) for each in again.heard if isinstance(each, TurnBegan | TurnEnded)] == [
        TurnBegan,
        TurnEnded,
    ]
    assert [each.is_final for each in gone.heard if isinstance(each, TroubleSeen)] == [True]


def test_who_must_be_signed_in_is_by_its_variable(tmp_path: Path) -> None:
    with fake(tmp_path, "--locked", key="none", variables={"FAKE_KEY": "none"}) as talk:
        talk.until(ConversationNamed)
        assert talk.turn("hello") == TurnEnded(how="done")
    with fake(
        tmp_path, "--locked", key="none"
    ) as elsewhere:  # the daemon no longer has what the agent was given
        elsewhere.until(ConversationNamed)
    with fake(tmp_path, "--locked") as locked:
        locked.until(InputOver)

    assert [each.failure for each in locked.heard if isinstance(each, TroubleSeen)] == [
        FailureClass.AUTH_REQUIRED
    ]


def test_turns_that_fail_do_so_in_their_class(tmp_path: Path) -> None:
    with fake(tmp_path) as talk:
        talk.until(ConversationNamed)
        ends = [talk.turn(word) for word in ("tired", "key", "hello")]

    assert [(each.how, each.failure) for each in ends] == [
        ("failed", FailureClass.INVALID_OUTPUT),
        ("failed", FailureClass.AUTH_REQUIRED),
        ("done", None),
    ]
