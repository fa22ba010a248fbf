"""Whether a conversation goes on is chosen by its adapter and the disk; nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from moduprompt.domain.run.conversations import Earlier
from moduprompt.effects.agents.catalogue import adapter_named
from moduprompt.effects.agents.claude import folder_of
from moduprompt.effects.runner.conversations import Chosen, Ground, choose
from moduprompt.effects.runner.homes import Homes
from moduprompt.protocol import RunId, SessionId

RUN = RunId("00000000-0000-7000-8000-0000000000c1")
SESSION = SessionId("00000000-0000-7000-8000-0000000000c2")
TALK = b'{"said": "one"}\n{"said": "two"}\n'
THERE, ELSEWHERE = "/srv/trees/there", "/srv/trees/elsewhere"


def earlier(adapter: str, *, name: str | None = "talk-1") -> Earlier:
    return Earlier(
        run_id=RUN, session_id=SESSION, adapter=adapter, conversation_id=name, cwd=THERE, capsules=()
    )


def kept(home: Path, path: str, content: bytes = TALK) -> Path:
    """A conversation as its program left it."""
    place = home / path
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    return place


def chosen(adapter: str, own: Earlier, *, here: Ground, there: Ground) -> Chosen:
    known = adapter_named(adapter)
    assert known is not None
    return choose(known, own, here=here, there=there)


def at_home(folder: Path, adapter: str, own: Earlier) -> Chosen:
    """In the same home and the same directory."""
    ground = Ground(home=folder, cwd=THERE)
    return chosen(adapter, own, here=ground, there=ground)


KEPT = {
    "claude": f"{folder_of(THERE)}/talk-1.jsonl",
    "codex": "sessions/2026/11/23/rollout-2026-11-23T01-41-51-talk-1.jsonl",
    "gemini": ".gemini/tmp/there/chats/session-2026-11-23T01-41-talk-1.jsonl",
    "pi": "sessions/--srv-trees-there--/2026-11-23T01-41-53-776Z_talk-1.jsonl",
}


@pytest.mark.parametrize("adapter", KEPT)
def test_a_conversation_that_is_there_goes_on(adapter: str, tmp_path: Path) -> None:
    kept(tmp_path, KEPT[adapter])

    found = at_home(tmp_path, adapter, earlier(adapter))

    assert (found.begun, found.conversation_id) == ("carried_on", "talk-1")


@pytest.mark.parametrize("adapter", KEPT)
def test_one_of_which_nothing_was_saved_begins_fresh(adapter: str, tmp_path: Path) -> None:
    assert at_home(tmp_path, adapter, earlier(adapter)).begun == "fresh"


def test_a_name_that_we_chose_is_known_though_the_program_never_said_it(tmp_path: Path) -> None:
    """It was killed before its first word."""
    kept(tmp_path, f"{folder_of(THERE)}/{RUN}.jsonl")

    assert at_home(tmp_path, "claude", earlier("claude", name=None)).conversation_id == RUN


def test_a_name_that_its_program_never_said_is_not_guessed(tmp_path: Path) -> None:
    kept(tmp_path, KEPT["codex"])

    assert at_home(tmp_path, "codex", earlier("codex", name=None)).why == "its program never named it"


@pytest.mark.parametrize("name", ["--help", "../../x", "a/b", "", "*", "a\nb"])
def test_a_name_that_would_be_an_option_or_lead_elsewhere_is_not_used(name: str, tmp_path: Path) -> None:
    kept(tmp_path, KEPT["claude"])

    assert at_home(tmp_path, "claude", earlier("claude", name=name)).begun == "fresh"


def test_another_programs_conversation_is_not_carried_on(tmp_path: Path) -> None:
    found = at_home(tmp_path, "claude", earlier("codex"))

    assert (found.begun, found.why) == ("fresh", "it was held by codex")


@pytest.mark.parametrize("adapter", ["command", "scripted"])
def test_a_program_that_remembers_nothing_begins_fresh(adapter: str, tmp_path: Path) -> None:
    assert at_home(tmp_path, adapter, earlier(adapter)).begun == "fresh"


@pytest.mark.parametrize(("adapter", "begun"), [("opencode", "carried_on")])
def test_what_nobody_can_look_into_goes_on_where_it_was(adapter: str, begun: str, tmp_path: Path) -> None:
    assert at_home(tmp_path, adapter, earlier(adapter)).begun == begun
    elsewhere = Ground(home=tmp_path, cwd=ELSEWHERE)
    found = chosen(adapter, earlier(adapter), here=elsewhere, there=Ground(home=tmp_path, cwd=THERE))
    assert found.begun == "fresh"


@pytest.mark.parametrize("adapter", ["pi", "gemini"])
def test_a_program_of_one_directory_begins_fresh_in_another(adapter: str, tmp_path: Path) -> None:
    kept(tmp_path / "there", KEPT[adapter])
    here = Ground(home=tmp_path / "here", cwd=ELSEWHERE)

    found = chosen(adapter, earlier(adapter), here=here, there=Ground(home=tmp_path / "there", cwd=THERE))

    assert (found.begun, found.why) == ("fresh", f"{adapter} carries on in the same directory only")


@pytest.mark.parametrize(
    ("adapter", "place"),
    [("claude", f"{folder_of(ELSEWHERE)}/talk-1.jsonl"), ("codex", KEPT["codex"])],
)
def test_a_copy_goes_on_in_another_home_and_directory(adapter: str, place: str, tmp_path: Path) -> None:
    source = kept(tmp_path / "there", KEPT[adapter])
    here = Ground(home=tmp_path / "here", cwd=ELSEWHERE)

    found = chosen(adapter, earlier(adapter), here=here, there=Ground(home=tmp_path / "there", cwd=THERE))

    assert (found.begun, found.conversation_id) == ("carried_on", "talk-1")
    assert (here.home / place).read_bytes() == source.read_bytes() == TALK


def test_of_a_conversation_that_is_being_written_whole_lines_are_copied(tmp_path: Path) -> None:
    kept(tmp_path / "there", KEPT["codex"], TALK + b'{"sai')
    here = Ground(home=tmp_path / "here", cwd=ELSEWHERE)

    chosen("codex", earlier("codex"), here=here, there=Ground(home=tmp_path / "there", cwd=THERE))

    assert (here.home / KEPT["codex"]).read_bytes() == TALK


def test_long_outputs_come_along(tmp_path: Path) -> None:
    source = kept(tmp_path / "there", KEPT["claude"])
    beside = source.with_suffix("") / "tool-results" / "one.txt"
    beside.parent.mkdir(parents=True)
    beside.write_text("long")
    here = Ground(home=tmp_path / "here", cwd=ELSEWHERE)

    chosen("claude", earlier("claude"), here=here, there=Ground(home=tmp_path / "there", cwd=THERE))

    assert (here.home / f"{folder_of(ELSEWHERE)}/talk-1/tool-results/one.txt").read_text() == "long"


def test_a_directory_of_too_long_a_name_begins_fresh(tmp_path: Path) -> None:
    kept(tmp_path, KEPT["claude"])
    far = Ground(home=tmp_path, cwd="/srv/" + "deep/" * 60)

    assert chosen("claude", earlier("claude"), here=far, there=Ground(home=tmp_path, cwd=THERE)).begun == (
        "fresh"
    )


def test_what_is_erased_is_gone_and_stays_gone(tmp_path: Path) -> None:
    homes = Homes(tmp_path)
    kept(homes.home(SESSION), KEPT["claude"])
    homes.make_scratch(SESSION)

    homes.erase(SESSION)
    homes.erase(SESSION)

    assert not homes.home(SESSION).exists()
    assert not homes.scratch(SESSION).exists()
