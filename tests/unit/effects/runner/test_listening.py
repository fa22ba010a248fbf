# ruff: noqa: ARG002 - fakes have the shape of their ports, and need less
"""What programs say reaches the log while they run: each thing once, in order, whoever dies whenever."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from moduprompt.domain.decider import Command, Event
from moduprompt.domain.failures import FailureClass
from moduprompt.domain.run.commands import ReportSaid, RunReport
from moduprompt.domain.run.events import RunConversationNamed, RunStatusObserved, RunTold, RunTurnEnded
from moduprompt.domain.run.intents import KeepRun
from moduprompt.domain.run.said import SAID_MAX, PermissionAsked, PermissionOption, Said, UsageReported
from moduprompt.domain.run.state import RunState
from moduprompt.effects.agents.port import AgentRequest, Asked, Heard, Owed
from moduprompt.effects.artifacts.folder import FolderArtifacts
from moduprompt.effects.runner import listening, port
from moduprompt.effects.runner.ear import Ear, Noted
from moduprompt.effects.runner.listening import NOTES_WAITING_MAX, USAGE_WEIGHS, Listener
from moduprompt.effects.runner.speaking import Speaker
from moduprompt.keeper import recording
from moduprompt.protocol import (
    Accepted,
    Answer,
    ArtifactRef,
    Code,
    CommandId,
    RefusedAnswer,
    Rejection,
    refusal,
)
from tests.support.deadline import turns
from tests.support.domain import KERNEL, Scene
from tests.support.domain import WORKSPACE as HOME
from tests.support.fake_runner import Backend, Keeper, KilledHere, Link, QuickClock, by_its_words
from tests.support.stories import a_working_session, its_run
from tests.support.transcripts import transcripts

WORKS: Final = transcripts("claude")["good"]


class Talker(Keeper):
    """A keeper whose program prints: what is printed so far, to whoever attaches at any byte."""

    def __init__(self, output: bytes, *, piece: int = 200) -> None:
        super().__init__()
        self.output = output
        self.piece = piece
        self.breaks_at: list[int] = []  # offsets at which a link breaks, each once
        self.attached: list[int] = []
        self.printed = 0  # bytes, as far as anybody wanted to read


class TalkerLink(Link):
    """A link to it."""

    def __init__(self, keeper: Talker) -> None:
        super().__init__(keeper)
        self.talker = keeper

    async def output(
        self, from_offset: int = 0, *, answers_terminal: bool = False
    ) -> AsyncIterator[port.OutputChunk]:
        talker = self.talker
        talker.attached.append(from_offset)
        for start in range(from_offset, len(talker.output), talker.piece):
            if talker.breaks_at and start >= talker.breaks_at[0]:
                del talker.breaks_at[0]
                raise port.LinkClosedError("the keeper hung up")
            data = talker.output[start : start + talker.piece]
            talker.printed = start + len(data)
            yield port.OutputChunk(offset=start, data=data)


class TalkerBackend(Backend):
    """Where it is found."""

    async def dial(self, run_id: str) -> Link | port.Unreachable | port.Gone:
        return TalkerLink(self.found) if isinstance(self.found, Talker) else await super().dial(run_id)


class Log:
    """A kernel in small: decides, remembers keys, and dies when it is told to."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.run = its_run(self.scene, a_working_session(self.scene))
        self.answers: dict[str, Command] = {}
        self.reports: list[ReportSaid] = []
        self.dies_before: int | None = None  # of so many reports, the next is lost
        self.dies_after: int | None = None  # of so many, the next is durable, and nobody hears of it
        self.refusing = 0
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def execute(self, command: Command, *, key: str) -> Answer:
        await self.is_open.wait()
        assert isinstance(command, ReportSaid)
        self._die(self.dies_before)
        if self.refusing:
            self.refusing -= 1
            unavailable = refusal(Code.UNAVAILABLE, "the disk takes no writes")
            return RefusedAnswer(command_id=CommandId(self.run), trace_id=key, rejection=unavailable)
        assert self.answers.setdefault(key, command) == command, key
        self.reports.append(command)
        self.decide(command)
        self._die(self.dies_after)
        return Accepted(command_id=CommandId(self.run), trace_id=key, seq_global=1, events=())

    def _die(self, at: int | None) -> None:
        if at == len(self.reports):
            raise KilledHere

    def decide(self, command: RunReport) -> None:
        outcome = self.scene.when(command, actor=KERNEL)
        assert not isinstance(outcome.rejection, Rejection), outcome.rejection

    @property
    def facts(self) -> list[Event]:
        """What the program said, as the log has it."""
        return [event for event in self.scene.history if isinstance(event, RunTold)]

    def intent(self) -> KeepRun:
        state = self.scene.state(RunState, self.run)
        return KeepRun(
            name=f"run/{self.run}/keep",
            workspace_id=HOME,
            run_id=self.run,
            session_id=state.session_id,
            project_id=state.project_id,
            adapter="claude",
            argv=(),
            cwd=None,
            prompt=None,
            rows=40,
            cols=120,
            is_started=True,
            said_upto=state.said_upto,
        )


class Daemon:
    """A listener and what it stands on; another one on the same folder is the daemon after it."""

    def __init__(self, folder: Path, log: Log, keeper: Talker) -> None:
        self.log, self.keeper = log, keeper
        self.clock = QuickClock()
        self.artifacts = FolderArtifacts(folder / "artifacts")
        self.backend = TalkerBackend(folder / "runs", keeper)
        self.listener = Listener(
            self.backend,
            log,
            artifacts=self.artifacts,
            clock=self.clock,
            speaker=Speaker(self.backend),
            request=by_its_words,
        )

    async def hear_out(self) -> None:
        """To the end of the output, then what is left, as when its end is known."""
        intent = self.log.intent()
        await self.listener.follow(intent)
        self.record()
        await self.listener.rest(intent)

    def record(self, upto: int | None = None) -> None:
        """So much of its output is in its recording."""
        path = self.backend.run_dir(self.log.run) / recording.RECORDING_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        written = recording.Recording(str(path), started_us=1)
        for at in range(0, len(self.keeper.output[:upto]), 150):
            written.append(recording.OUTPUT, at, self.keeper.output[:upto][at : at + 150])
        written.close()

    @asynccontextmanager
    async def following(self) -> AsyncGenerator[asyncio.Task[None]]:
        task = asyncio.create_task(self.listener.follow(self.log.intent()))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def numbered(count: int) -> bytes:
    """As many results of turns, with usage and an end each."""
    line = b'{"type":"result","subtype":"success","usage":{"input_tokens":1}}\n'
    return line * count


async def undisturbed(folder: Path, output: bytes) -> list[Event]:
    log = Log()
    await Daemon(folder / "undisturbed", log, Talker(output)).hear_out()
    return log.facts


async def test_what_a_program_says_is_told_while_it_runs(tmp_path: Path) -> None:
    log, keeper = Log(), Talker(WORKS)
    daemon = Daemon(tmp_path, log, keeper)

    await daemon.listener.follow(log.intent())

    assert isinstance(log.facts[0], RunConversationNamed)
    assert isinstance(log.facts[-1], RunTurnEnded)
    assert log.scene.state(RunState, log.run).observed == "idle"
    assert [event.status for event in log.scene.history if isinstance(event, RunStatusObserved)][-1:] == [
        "idle"
    ]
    told = log.facts
    daemon.record()
    assert await daemon.listener.rest(log.intent()) is not None
    assert log.facts == told, "what was told while it ran is not told again at its end"


@pytest.mark.parametrize("dies", ["before", "after"])
async def test_a_daemon_that_dies_at_any_report_says_nothing_twice_and_loses_nothing(
    tmp_path: Path, dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "SAID_MAX", 2)  # many reports
    expected = await undisturbed(tmp_path, WORKS)
    assert len(expected) >= 8

    for piece in (70, 1_000, len(WORKS)):
        log = Log()
        life = 0
        for life in range(20):
            daemon = Daemon(tmp_path / f"{dies}-{piece}", log, Talker(WORKS, piece=piece))
            daemon.record(upto=life * piece)  # the recording may be before or behind what the log knows
            setattr(log, f"dies_{dies}", len(log.reports) + (dies == "after"))
            if life % 2:
                setattr(log, f"dies_{dies}", len(log.reports) + 2)
            try:
                await daemon.hear_out()
                break
            except BaseExceptionGroup as deaths:
                assert deaths.subgroup(KilledHere) is not None  # noqa: PT017 - nothing else may have ended it
            except KilledHere:
                pass
        assert log.facts == expected
        assert life > 1


async def test_reports_cut_in_another_way_by_one_that_knows_less_are_taken_once(tmp_path: Path) -> None:
    expected = await undisturbed(tmp_path, WORKS)
    log = Log()
    daemon = Daemon(tmp_path, log, Talker(WORKS))
    first = log.intent()
    await daemon.listener.follow(first)
    forgetful = Daemon(tmp_path, log, Talker(WORKS, piece=77))
    forgetful.record()

    await forgetful.listener.rest(first)

    assert log.facts == expected


async def test_a_link_that_breaks_is_dialled_again_where_it_broke(tmp_path: Path) -> None:
    log, keeper = Log(), Talker(WORKS)
    keeper.breaks_at = [0, 400, 600]

    await Daemon(tmp_path, log, keeper).listener.follow(log.intent())

    assert log.facts == await undisturbed(tmp_path, WORKS)
    assert keeper.attached == [0, 0, 400, 600]


async def test_what_was_printed_while_nobody_listened_is_read_from_the_recording(tmp_path: Path) -> None:
    log, keeper = Log(), Talker(WORKS)
    daemon = Daemon(tmp_path, log, keeper)
    daemon.record(upto=900)

    await daemon.listener.follow(log.intent())

    assert keeper.attached == [900]
    assert log.facts == await undisturbed(tmp_path, WORKS)


async def test_a_burst_is_told_in_few_reports(tmp_path: Path) -> None:
    log, keeper = Log(), Talker(numbered(1_000), piece=10_000)

    await Daemon(tmp_path, log, keeper).listener.follow(log.intent())

    assert len(log.facts) == 2_000
    assert len(log.reports) <= 2_000 / SAID_MAX * 3
    assert max(len(report.said) for report in log.reports) <= SAID_MAX


async def test_a_burst_of_usage_is_no_more_than_one_decision_can_charge(tmp_path: Path) -> None:
    log = Log()
    log.is_open.clear()
    daemon = Daemon(tmp_path, log, Talker(numbered(100)))
    async with daemon.following() as following:
        await turns(200)
        log.is_open.set()
        await following

    spent = [sum(isinstance(each, UsageReported) for each in report.said) for report in log.reports]
    assert sum(spent) == 100
    assert max(spent) <= SAID_MAX / USAGE_WEIGHS, "each is a fact of its own, and one for each budget above"


async def test_a_program_that_prints_faster_than_the_log_takes_waits_and_holds_up_nobody(
    tmp_path: Path,
) -> None:
    log, keeper = Log(), Talker(numbered(3_000), piece=5_000)
    daemon = Daemon(tmp_path, log, keeper)
    log.is_open.clear()
    async with daemon.following() as following:
        read = -1
        while read != keeper.printed:  # until it stands still
            read = keeper.printed
            await turns(200)
        line = len(numbered(1))
        assert 0 < keeper.printed <= (NOTES_WAITING_MAX + SAID_MAX) * line + 2 * keeper.piece
        log.is_open.set()
        await following
        assert len(log.facts) == 6_000


async def test_a_report_that_is_not_taken_is_made_again(tmp_path: Path) -> None:
    log, keeper = Log(), Talker(WORKS)
    log.refusing = 3
    daemon = Daemon(tmp_path, log, keeper)

    await daemon.listener.follow(log.intent())

    assert log.facts == await undisturbed(tmp_path, WORKS)
    assert daemon.clock.slept == [listening.AGAIN_S] * 3


async def test_a_machine_without_a_free_file_for_a_moment_makes_nobody_deaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, keeper = Log(), Talker(WORKS)
    daemon = Daemon(tmp_path, log, keeper)
    daemon.record()
    refusals = [errno.EMFILE, errno.ENFILE]
    opens = listening.recorded

    def refusing(ear: Ear, path: Path) -> Generator[Noted]:
        notes = opens(ear, path)
        yield next(notes)  # and is heard, though nobody is told
        if refusals:
            raise OSError(refusals.pop(), "no file is free")
        yield from notes

    monkeypatch.setattr(listening, "recorded", refusing)
    await daemon.listener.follow(log.intent())

    assert log.facts == await undisturbed(tmp_path, WORKS)


async def test_what_a_run_was_started_by_may_be_unreadable_for_a_moment_and_nobody_is_deaf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    daemon = Daemon(tmp_path, log, Talker(WORKS))
    refusals = [errno.EMFILE, errno.ENFILE]

    def refusing(intent: KeepRun) -> AgentRequest:
        if refusals:
            raise OSError(refusals.pop(), "no file is free")
        return by_its_words(intent)

    monkeypatch.setattr(daemon.listener, "_request", refusing)
    await daemon.listener.follow(log.intent())

    assert log.facts == await undisturbed(tmp_path, WORKS)
    assert daemon.clock.slept == [listening.AGAIN_S] * 2


async def test_what_no_waiting_mends_ends_the_listening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    daemon = Daemon(tmp_path, log, Talker(WORKS))
    daemon.record()

    def unreadable(ear: Ear, path: Path) -> Generator[Noted]:
        raise OSError(errno.EIO, "the disk is broken")
        yield

    monkeypatch.setattr(listening, "recorded", unreadable)
    with pytest.raises(ExceptionGroup):
        await daemon.listener.follow(log.intent())


async def test_a_program_that_tells_nothing_is_not_listened_to(tmp_path: Path) -> None:
    log, keeper = Log(), Talker(WORKS)
    daemon = Daemon(tmp_path, log, keeper)
    intent = replace(log.intent(), adapter="command")

    await daemon.listener.follow(intent)

    assert keeper.attached == []
    assert not daemon.listener.has_heard(log.run)
    assert await daemon.listener.rest(intent) is None


async def test_whoever_speaks_to_a_run_finds_how_until_the_run_is_over(tmp_path: Path) -> None:
    log = Log()
    daemon = Daemon(tmp_path, log, Talker(WORKS))
    assert not daemon.listener.has_heard(log.run)

    await daemon.listener.follow(replace(log.intent(), argv=("--turns", "many")))

    talk = daemon.listener.talk_with(log.run)
    assert talk is not None
    assert talk.has_caught_up
    assert daemon.listener.has_heard(log.run)
    daemon.listener.forget(log.run)
    assert daemon.listener.talk_with(log.run) is None


async def test_nobody_speaks_to_a_program_that_only_prints(tmp_path: Path) -> None:
    log = Log()
    daemon = Daemon(tmp_path, log, Talker(WORKS))

    await daemon.listener.follow(log.intent())

    assert daemon.listener.has_heard(log.run)
    assert daemon.listener.talk_with(log.run) is None


class Asks:
    """A reader of a program that asks for a permission, and is owed a word before."""

    def read(self, line: bytes) -> tuple[Heard, ...]:
        said = PermissionAsked(
            request_id=line.decode(),
            tool="shell",
            arguments_digest="0" * 64,
            options=(PermissionOption(id="y", kind="allow_once", label="Yes"),),
        )
        return Owed(name="hello", line=b"{}\n"), Asked(said=said, text="rm -rf build", answers={})


async def test_what_a_permission_is_asked_for_becomes_an_artifact_and_no_fact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks(_: KeepRun) -> Asks:
        return Asks()

    monkeypatch.setattr(listening, "_reader_of", asks)
    log = Log()
    daemon = Daemon(tmp_path, log, Talker(b"r1\n"))

    await daemon.listener.follow(log.intent())

    (report,) = log.reports
    (asked,) = report.said
    assert isinstance(asked, PermissionAsked)
    assert asked.detail is not None
    assert await daemon.artifacts.get(HOME, ArtifactRef(asked.detail.ref)) == b"rm -rf build"
    assert b"rm -rf" not in msgspec.json.encode(log.facts)
    assert log.scene.state(RunState, log.run).observed == "blocked_on_permission"


async def test_the_sum_of_what_was_said_is_there_for_the_verdict(tmp_path: Path) -> None:
    log = Log()
    daemon = Daemon(tmp_path, log, Talker(transcripts("claude")["unauthorised"]))
    daemon.record()

    said = await daemon.listener.rest(log.intent())

    assert said is not None
    assert said.last_trouble is not None
    assert said.last_trouble.failure is FailureClass.AUTH_REQUIRED
    assert log.facts, "nobody had listened: all of it is told at the end"
    assert not [each for each in log.reports if each.seen is not None], "it does nothing any more"


def said_of(reports: list[ReportSaid]) -> list[Said]:
    return [said for report in reports for said in report.said]


async def test_nothing_in_prose_stands_in_a_fact(tmp_path: Path) -> None:
    log = Log()
    await Daemon(tmp_path, log, Talker(WORKS)).listener.follow(log.intent())

    assert any(isinstance(each, UsageReported) for each in said_of(log.reports))
    strings = msgspec.json.encode(log.facts)
    assert b"hello.txt" in strings, "files are named"
    assert b"All done" not in strings
