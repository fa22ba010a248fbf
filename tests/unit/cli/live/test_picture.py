"""The picture: the same events draw the same pictures, and no text in them can do harm."""

from pathlib import Path

import pytest

from moduprompt.cli.live.picture import Size, draw
from moduprompt.cli.live.player import play, told
from moduprompt.cli.live.spans import line_cells, to_ascii, to_plain
from moduprompt.cli.live.story import Scene, Story
from moduprompt.cli.live.text import cells
from moduprompt.domain.run.events import RunRequested, RunStarted, RunStatusObserved
from moduprompt.domain.session.commands import Agent
from moduprompt.domain.session.events import SessionForked, SessionRenamed, SessionSpawned
from moduprompt.protocol import ProjectId, RunId, SessionId, decode_event, encode
from moduprompt.protocol.framing.frames import StreamBroken
from tests.support.demo_history import DemoHistory, demo_history
from tests.support.histories import History
from tests.support.live_pictures import histories, pictures

GOLDEN = Path(__file__).parents[3] / "golden"
SAVED = (GOLDEN / "histories" / "demo.ndjson").read_bytes()
SIZE = Size(columns=100, rows=30)


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("name", sorted(pictures()))
def test_a_saved_history_draws_the_pictures_that_were_kept(name: str) -> None:
    assert pictures()[name].decode() == (GOLDEN / "pictures" / name).read_text("utf-8")


def test_the_saved_history_is_the_one_that_the_builder_writes() -> None:
    assert histories()["demo.ndjson"] == SAVED


@pytest.mark.parametrize("size", [1, 7, 1_000, len(SAVED)])
def test_how_the_bytes_were_cut_changes_no_picture(size: int) -> None:
    assert list(play(in_pieces(SAVED, size), SIZE)) == list(play(SAVED.splitlines(keepends=True), SIZE))


@pytest.mark.parametrize("every", [1, 2, 5, 67])
def test_pictures_that_were_skipped_change_none_that_is_drawn(every: int) -> None:
    frames = {frame.seq: frame.lines for frame in play([SAVED], SIZE)}
    story = Story()
    for envelope in demo_history().envelopes:
        story.tell(envelope)
        if story.seq % every == 0:
            assert draw(story.scene(), SIZE) == frames[story.seq]


def test_an_event_that_comes_twice_is_told_once() -> None:
    lines = SAVED.splitlines(keepends=True)
    stuttering = [line for pair in zip(lines, lines, strict=True) for line in pair]

    assert list(play(stuttering, SIZE)) == list(play(lines, SIZE))


def test_positions_and_the_end_of_a_stream_draw_nothing() -> None:
    spaced = SAVED.replace(b"\n", b'\n{"position":3}\n') + b'{"end":"draining"}\n'

    assert list(play([spaced], SIZE)) == list(play([SAVED], SIZE))


def test_what_is_no_stream_is_said_to_be_none() -> None:
    with pytest.raises(StreamBroken):
        list(play([b"<html>\n"], SIZE))


@pytest.mark.parametrize("columns", [1, 10, 20, 33, 40, 60, 79, 80, 120, 200])
@pytest.mark.parametrize("rows", [1, 4, 10, 24, 60])
def test_a_picture_never_outgrows_its_terminal(columns: int, rows: int) -> None:
    for frame in play([SAVED], Size(columns=columns, rows=rows)):
        assert len(frame.lines) <= rows
        assert max(map(line_cells, frame.lines)) <= columns


def test_a_forest_of_sessions_leaves_room_for_what_waits() -> None:
    scene = many_sessions(40)
    drawn = [to_plain(line) for line in draw(scene, Size(columns=80, rows=24))]

    assert len(drawn) <= 24
    assert any("more sessions" in line for line in drawn)
    assert any("waiting" in line for line in drawn)
    assert any("mpctl session prompt" in line for line in drawn)


def test_a_forest_without_a_limit_is_drawn_whole() -> None:
    drawn = [to_plain(line) for line in draw(many_sessions(40), Size(columns=80))]

    assert sum("worker-" in line and "mp/worker-" in line and "─ ◆" in line for line in drawn) == 40


def test_a_fork_stands_right_after_its_source_however_long_the_chain() -> None:
    log, ids = History(), [SessionId(f"01935450-0000-7000-8000-{number:012x}") for number in range(2_000)]
    agent = Agent(adapter="scripted")
    for number, id_ in enumerate(ids):
        log.add(
            SessionForked(
                session_id=id_, project_id=ProjectId(log.new_id()), name=f"f{number}", agent=agent, may=(),
                root_session_id=id_, path=(id_,), place="none", fork_of=ids[max(0, number - 1)], mode="default",
            )
            if number
            else SessionSpawned(
                session_id=id_, project_id=ProjectId(log.new_id()), name="f0", agent=agent, may=(),
                root_session_id=id_, path=(id_,), place="none",
            )
        )  # fmt: skip
    story = Story()
    for envelope in log.envelopes:
        story.tell(envelope)
    drawn = [to_plain(line) for line in draw(story.scene(), Size(columns=60))]

    assert [line.split()[2].rstrip(",") for line in drawn[1:2_001]] == [f"f{n}" for n in range(2_000)]


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J\x1b[31mred",
        "two\nlines",
        "bell\x07",
        "c1\x9b2J",
        "over\u202eride",
        "nul\x00",
        "zero\u200bwidth",
    ],
)
def test_text_from_programs_can_only_be_read(hostile: str) -> None:
    demo = DemoHistory()
    log = demo.write()
    log.add(
        RunStatusObserved(
            run_id=demo.runs[demo.planner], status="waiting_input", rule="r", rule_version=1, evidence=hostile
        ),
        SessionRenamed(session_id=demo.planner, name=hostile),
    )
    frames = list(play([log.to_ndjson()], Size(columns=200)))

    assert all(char.isprintable() for char in frames[-1].text() if char != "\n")
    assert "\u202e" not in frames[-1].text()
    assert frames[-1].change.sentence.isprintable()


def test_wide_characters_take_their_columns() -> None:
    demo = DemoHistory()
    log = demo.write()
    log.add(SessionRenamed(session_id=demo.planner, name="計画者🚀e\u0301"))
    frame = list(play([log.to_ndjson()], SIZE))[-1]
    rows = [line for line in frame.lines if "mp/" in to_plain(line) and "exited" in to_plain(line)]
    starts = {line_cells(line) - line_cells(line[len(line) - 3 :]) for line in rows}

    assert len(rows) == 3
    assert len(starts) == 1


def test_an_unknown_type_of_event_is_told_and_counted() -> None:
    envelope = decode_event(SAVED.splitlines()[0])
    later = encode(envelope).replace(b'"workspace.created"', b'"workspace.painted"')
    story = Story()

    (change,) = told([later + b"\n"], story)

    assert "does not know" in change.sentence
    assert story.scene().board.counts == {"workspace.painted": 1}


def test_a_refused_command_is_told_and_counted() -> None:
    frames = list(play([SAVED], SIZE))
    story = Story()
    list(told([SAVED], story))

    assert any("approval.grant and was refused" in frame.change.sentence for frame in frames)
    assert story.scene().board.counts["command.rejected"] == 1
    assert sum(story.scene().board.counts.values()) == len(frames)


def test_ascii_keeps_every_column() -> None:
    for frame in play([SAVED], SIZE):
        for line in frame.lines:
            text = to_plain(line)
            assert to_ascii(text).isascii()
            assert len(to_ascii(text)) == cells(text)


def many_sessions(count: int) -> Scene:
    """Roots without a worktree, each with a question."""
    log, story = History(), Story()
    agent = Agent(adapter="scripted")
    for number in range(count):
        session_id, run_id = SessionId(log.new_id()), RunId(log.new_id())
        log.add(
            SessionSpawned(
                session_id=session_id, project_id=ProjectId(log.new_id()), name=f"worker-{number}", agent=agent,
                may=(), root_session_id=session_id, path=(session_id,), place="none",
                branch=f"mp/worker-{number}",
            ),
            RunRequested(
                run_id=run_id, session_id=session_id, project_id=ProjectId(log.new_id()), agent=agent, ordinal=1,
                token_sha256="0" * 64, rows=24, cols=80,
            ),
            RunStarted(run_id=run_id, pid=1, start_time=1),
            RunStatusObserved(
                run_id=run_id, status="waiting_input", rule="r", rule_version=1, evidence="it asks"
            ),
        )  # fmt: skip
    for envelope in log.envelopes:
        story.tell(envelope)
    return story.scene()
