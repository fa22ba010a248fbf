"""One program in a real terminal under a real keeper, with the real typist before it, and nothing else of the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from moduprompt.effects.runner import port
from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.local import LocalBackend
from moduprompt.effects.runner.reports import Kept, to_report
from moduprompt.effects.runner.status.onlooker import Onlooker
from moduprompt.effects.runner.typist import Typist
from tests.support.kill_wave import later
from tests.support.runs import dialled
from tests.support.zoo.post import Post, Prompt

AGAIN_S = 0.02  # until the hand is sent again: the daemon's first pauses are longer
PATIENCE_S = 120.0  # with one prompt; only a hang takes so long


class Cage:
    """One run, its prompts, and who hands them in."""

    def __init__(self, backend: LocalBackend, link: port.RunLink, *, post: Post) -> None:
        self.backend = backend
        self.link = link
        self.post = post
        self.composers = Composers()
        self.typist = self._new_typist()

    def new_daemon(self) -> None:
        """Another one, which knows nothing but the log and the keeper."""
        self.composers = Composers()
        self.typist = self._new_typist()

    def _new_typist(self) -> Typist:
        return Typist(
            self.backend,
            self.post,
            artifacts=self.post,
            typed=lambda _: None,
            composers=self.composers,
        )

    async def deliver(self, text: bytes, *, within_s: float = PATIENCE_S) -> Prompt:
        """One prompt, until it is known what became of it."""
        prompt = self.post.accept(text)
        try:
            async with asyncio.timeout(within_s):
                await self.go_on(prompt)
        except TimeoutError as late:
            late.add_note(f"{prompt}\n{await self.picture()}")
            raise
        return prompt

    async def picture(self) -> str:
        """What stands in the terminal, and what it is taken for."""
        run_dir = self.backend.run_dir(self.link.welcome.run_id)
        with closing(Onlooker(self.link, run_dir=run_dir, program=Path(self.post.argv[0]).name)) as onlooker:
            look = await onlooker.glance()
            lines = look.sight.lines if look.sight else ()
            return "\n".join(
                (*lines, f"{look.reply}", f"{look.sight and look.sight.modes} {onlooker.meaning(look)}")
            )

    async def go_on(self, prompt: Prompt) -> None:
        """The hand is sent again and again, as long as the prompt waits."""
        while not prompt.outcome:
            done = await self.typist.carry_out(self.post.intent(prompt))
            if done and not prompt.outcome:
                return  # it waits for the next run
            if not done:
                await later(AGAIN_S)


@asynccontextmanager
async def caged(backend: LocalBackend, spec: port.LaunchSpec) -> AsyncGenerator[Cage]:
    """The program runs, and what its keeper tells is heard and acknowledged, as by a daemon."""
    assert await backend.start(spec) == port.Kept(run_id=spec.run_id)
    cage = Cage(backend, await dialled(backend, spec.run_id), post=Post(spec.run_id, argv=spec.argv))
    listening = asyncio.create_task(_listen(cage))
    try:
        yield cage
    finally:
        with suppress(port.LinkClosedError):
            await cage.link.stop(reason="the show is over")
        with suppress(TimeoutError):
            await asyncio.wait_for(listening, 20)
        await cage.link.close()
        await backend.sweep(spec.run_id)


async def _listen(cage: Cage) -> None:
    """Until the end is told, or the keeper is gone."""
    with suppress(port.LinkClosedError):
        async for entry in cage.link.entries():
            await hear(cage.post, entry)
            await cage.link.ack(entry.number)
            if isinstance(entry.report, (port.Exited, port.StartFailed)):
                return


async def hear(post: Post, entry: port.Entry) -> None:
    """What the hand of runs makes of an entry that is about a prompt."""
    if isinstance(entry.report, (port.InputApplied, port.InputFailed)):
        reported = to_report(post.keep, entry, kept=Kept())
        if reported is not None:
            await post.execute(reported.command, key=reported.key)
