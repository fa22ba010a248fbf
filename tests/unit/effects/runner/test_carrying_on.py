"""The hand that keeps runs asks what lies there before it has a conversation carried on."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from moduprompt.domain.run.commands import ReportConversation
from moduprompt.domain.run.conversations import CapsuleText, Earlier
from moduprompt.effects.runner.hand import PROMPT_NAME
from moduprompt.effects.runner.homes import Homes
from moduprompt.effects.runner.telling import GO_ON
from moduprompt.protocol import RunId, TextRef
from tests.support.fake_runner import RUN, WORKSPACE, gone
from tests.unit.effects.runner.test_run_hand import KEEP, PROMPT, Scene

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
