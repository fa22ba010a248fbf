"""Real agents of the Agent Client Protocol, each by its adapter's command and channel, without the kernel.

The library of the protocol's makers judges every line that goes to them.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import uuid_utils

from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.said import ConversationNamed, ToolEnded, TurnEnded
from moduprompt.effects.agents.port import AgentRequest, Asked
from moduprompt.effects.agents.surroundings import SYSTEM_PATH
from tests.support.conversations import Conversation, conversation, left
from tests.support.deadline import eventually
from tests.support.model_server import RunningModel, scripted
from tests.support.programs import ACP_AGENTS, PROGRAMS, Place, acp_variables, beside, need

WRITES: Final = scripted({"write": {"path": "hello.txt", "content": "hi\n"}}, {"text": "Done."})
each_agent = pytest.mark.parametrize("agent", ACP_AGENTS)


@contextmanager
def talking(
    agent: str, *, model: RunningModel, place: Place, conversation_id: str | None = None
) -> Generator[Conversation]:
    """With a fresh process of the agent, in the model's network."""
    need(agent)
    request = AgentRequest(
        words=("--turns", "many", agent, *ACP_AGENTS[agent]),
        run_id=str(uuid_utils.uuid7()),
        cwd=str(place.repository),
        home=str(place.configuration),
        conversation_id=conversation_id,
        variables=acp_variables(model),
    )
    node = shutil.which("node")
    environment = {
        "PATH": f"{PROGRAMS}:{Path(node or '/').parent}:{SYSTEM_PATH}",
        "HOME": str(place.home),
        "LANG": "C.UTF-8",
    }
    with conversation("acp", request, environment=environment, start=beside(model)) as talk:
        talk.until(ConversationNamed)
        yield talk


@each_agent
def test_a_turn_writes_what_was_allowed_and_another_follows_in_the_same_process(
    agent: str, model: RunningModel, place: Place
) -> None:
    with talking(agent, model=model, place=place) as talk:
        first = talk.turn(WRITES)
        second = talk.turn(scripted({"bash": "echo 2 > two.txt"}, {"text": "Two."}))
        assert talk.leave() == 0
        eventually(lambda: not left(talk.run_id))

    assert first == second == TurnEnded(how="done")
    assert (place.text("hello.txt"), place.text("two.txt")) == ("hi\n", "2\n")
    assert [each for each in talk.heard if isinstance(each, Asked)], "nobody was asked"


@each_agent
def test_what_was_answered_no_is_not_done_and_told_as_refused(
    agent: str, model: RunningModel, place: Place
) -> None:
    with talking(agent, model=model, place=place) as talk:
        talk.turn(WRITES, allow="reject_once")

    assert place.text("hello.txt") is None
    assert [each.how for each in talk.heard if isinstance(each, ToolEnded)] == ["refused"]


@each_agent
def test_a_turn_is_cancelled_while_it_waits_and_the_agent_takes_another(
    agent: str, model: RunningModel, place: Place
) -> None:
    with talking(agent, model=model, place=place) as talk:
        talk.say(WRITES)
        talk.until(Asked)
        talk.interrupt()
        ended = talk.until(TurnEnded)
        after = talk.turn(scripted({"text": "Here I am."}))

    assert (ended.how, after.how) == ("interrupted", "done")
    assert place.text("hello.txt") is None


@each_agent
def test_a_refused_key_fails_the_turn_with_its_class(agent: str, model: RunningModel, place: Place) -> None:
    with talking(agent, model=model, place=place) as talk:
        ended = talk.turn(scripted({"status": 401}))

    assert ended == TurnEnded(how="failed", failure=FailureClass.AUTH_REQUIRED)


@pytest.mark.parametrize("agent", [each for each in ACP_AGENTS if each != "gemini"])  # which finds none again
def test_a_conversation_is_carried_on_by_another_process(
    agent: str, model: RunningModel, place: Place
) -> None:
    with talking(agent, model=model, place=place) as talk:
        talk.turn(scripted({"text": "One."}))
        (named,) = (each.conversation_id for each in talk.heard if isinstance(each, ConversationNamed))
        # What it keeps is written behind its answers: who ends it before finds nothing again.
        kept = f"*{named}*.jsonl"
        eventually(lambda: any(b"One." in file.read_bytes() for file in place.configuration.rglob(kept)))
    before = len(model.asked())
    with talking(agent, model=model, place=place, conversation_id=named) as again:
        ended = again.turn(scripted({"text": "Two."}))

    assert ended == TurnEnded(how="done")
    assert len(model.asked()) > before
