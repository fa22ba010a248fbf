"""The hand that keeps runs asks what lies there before it has a conversation carried on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from msgspec.structs import replace

from moduprompt.domain.run.commands import ReportConversation, ReportSaid
from moduprompt.domain.run.conversations import CapsuleText, Earlier
from moduprompt.domain.run.intents import KeepRun
from moduprompt.domain.run.said import ConversationNamed, Said, ToolCalled, ToolEnded
from moduprompt.effects.runner.homes import Homes
from moduprompt.effects.runner.launching import PROMPT_NAME
from moduprompt.effects.runner.telling import GO_ON
from moduprompt.protocol import RunId, TextRef
from tests.support.fake_runner import EXITED, RUN, STARTED, WORKSPACE, Keeper, gone
from tests.unit.effects.runner.test_run_hand import KEEP, PROMPT, Scene, record

EARLIER = Earlier(
    run_id=RunId(PROMPT),
    session_id=KEEP.session_id,
    adapter="codex",
    conversation_id="talk",
    cwd="/srv/tree",
    capsules=(),
)
CARRYING_ON = replace(KEEP, adapter="codex", argv=(), earlier=EARLIER)


def a_talk(scene: Scene) -> None:
    """The conversation lies in the session's home."""
    home = Homes(scene.backend.run_dir(RUN).parent).home(KEEP.session_id)
    place = home / "sessions" / "rollout-1-talk.jsonl"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"{}\n")


def conversations(scene: Scene) -> list[ReportConversation]:
    return [each for each in scene.reports.commands if isinstance(each, ReportConversation)]


async def test_a_conversation_that_goes_on_is_told_before_the_program_starts(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())
    a_talk(scene)

    await scene.hand.carry_out(CARRYING_ON)

    (told,) = conversations(scene)
    assert (told.begun, told.conversation_id) == ("carried_on", "talk")
    assert scene.reports.commands.index(told) == 0
    assert scene.backend.starts[0].argv[-3:] == ("resume", "talk", "-")
    assert (scene.backend.run_dir(RUN) / PROMPT_NAME).read_text() == GO_ON


async def test_a_conversation_that_is_not_there_begins_fresh_with_the_account(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())
    account = await scene.artifacts.put(WORKSPACE, b"half done")
    task = await scene.artifacts.put(WORKSPACE, b"paint it")
    written = CapsuleText(kind="status", text=TextRef(ref=account, chars=9))

    await scene.hand.carry_out(
        replace(
            CARRYING_ON,
            prompt=TextRef(ref=task, chars=8),
            earlier=replace(EARLIER, capsules=(written,)),
        )
    )

    (told,) = conversations(scene)
    assert (told.begun, told.why, told.capsules) == ("fresh", "nothing of it was saved", 1)
    assert "resume" not in scene.backend.starts[0].argv
    prompt = (scene.backend.run_dir(RUN) / PROMPT_NAME).read_text()
    assert prompt.index("half done") < prompt.index("paint it")


async def test_what_was_told_already_is_done_and_not_told_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gone())

    await scene.hand.carry_out(replace(CARRYING_ON, earlier=replace(EARLIER, chosen="carried_on")))

    assert conversations(scene) == []
    assert scene.backend.starts[0].argv[-3:] == ("resume", "talk", "-")


Message: TypeAlias = Mapping[str, object]

# What an agent of the protocol printed while a daemon before this one listened.
GREETS: Message = {
    "id": "initialize",
    "result": {
        "protocolVersion": 1,
        "agentCapabilities": {"loadSession": True},
        "authMethods": [{"id": "key", "type": "env_var", "vars": [{"name": "OPENAI_API_KEY"}]}],
    },
}
WANTS_A_KEY: Message = {"id": "session/new", "error": {"code": -32000, "message": "sign in first"}}
SIGNED_IN: Message = {"id": "authenticate", "result": {}}
OPENED: Message = {"id": "session/new", "result": {"sessionId": "talk"}}
LOADED: Message = {"id": "session/load", "result": {}}
REFUSED_CALL: tuple[Message, ...] = (
    {"sessionUpdate": "tool_call", "toolCallId": "c", "kind": "edit", "rawInput": {"path": "a"}},
    {"sessionUpdate": "tool_call_update", "toolCallId": "c", "status": "failed"},
)


def printed(*messages: Message) -> bytes:
    told = ({"method": "session/update", "params": {"update": each}} for each in REFUSED_CALL)
    return b"".join(json.dumps(each).encode() + b"\n" for each in (*messages, *told))


async def heard_afterwards(scene: Scene, keep: KeepRun, output: bytes) -> list[Said]:
    """What a daemon that begins anew makes of a run that lives."""
    record(scene, output)
    assert await scene.hand.carry_out(replace(keep, adapter="acp", is_started=True)) is True
    return [said for each in scene.reports.commands if isinstance(each, ReportSaid) for said in each.said]


async def test_an_agent_that_signed_in_by_a_variable_is_not_taken_for_one_that_could_not(
    tmp_path: Path,
) -> None:
    keeper = Keeper(STARTED, EXITED)
    scene = Scene(tmp_path, keeper, variables={"OPENAI_API_KEY": "k"})
    output = printed(GREETS, WANTS_A_KEY, SIGNED_IN, OPENED)

    said = await heard_afterwards(scene, replace(KEEP, argv=("codex-acp",)), output)

    assert [type(each) for each in said][:1] == [ConversationNamed]
    assert {ToolCalled, ToolEnded} <= {type(each) for each in said}
    assert "close input" not in keeper.asked


async def test_a_run_that_carried_on_is_known_by_its_conversation_after_a_restart(tmp_path: Path) -> None:
    keeper = Keeper(STARTED, EXITED)
    scene = Scene(tmp_path, keeper)

    said = await heard_afterwards(
        scene, replace(KEEP, argv=("agent",), carries_on="talk"), printed(GREETS, LOADED)
    )

    assert said[0] == ConversationNamed(conversation_id="talk")
    assert {ToolCalled, ToolEnded} <= {type(each) for each in said}
    assert "owed/session/new" not in keeper.typed


async def told(tmp_path: Path, *, has_heard: bool) -> str:
    """What a run is told first that goes on with another one's work, in a conversation that is there."""
    scene = Scene(tmp_path, gone())
    a_talk(scene)
    words = await scene.artifacts.put(WORKSPACE, b"do Y")
    earlier = replace(EARLIER, has_heard=has_heard)
    await scene.hand.carry_out(
        replace(CARRYING_ON, run_prompt=TextRef(ref=words, chars=4), earlier=earlier),
    )
    return (scene.backend.run_dir(RUN) / PROMPT_NAME).read_text()


async def test_a_conversation_hears_the_same_once(tmp_path: Path) -> None:
    assert await told(tmp_path / "new", has_heard=False) == "do Y"
    assert await told(tmp_path / "known", has_heard=True) == GO_ON
