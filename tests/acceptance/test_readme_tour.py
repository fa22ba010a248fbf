"""The tour of the README, typed word by word in an empty home: it prints what the page shows."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.console import Step, ids_in_place, matched, steps_of
from tests.support.daemon import Place, daemon_place
from tests.support.deadline import eventually

ROOT = Path(__file__).parents[2]
TOUR = tuple(steps_of(ROOT / "README.md", heading="## Five minutes"))
LOOKS = ("mpctl session explain", "mpctl board", "git -C", "cat ")
PATIENCE_S = 60  # the agent of the tour runs a real check; a busy machine gets the benefit of the doubt


class Reader:
    """Somebody who types what the page says, with ids and folders of their own."""

    def __init__(self, place: Place) -> None:
        # As a newcomer has it: a home, and no variable that says where anything lies.
        self.environ = {name: value for name, value in place.environ.items() if not name.startswith("MP_")}
        self.names = {str(place.home): "~"}  # as the page says
        self.cwd = place.root / "moduprompt"  # on a branch, whatever this tree stands at
        place.call("git", "clone", "--quiet", str(ROOT), str(self.cwd))
        place.call("git", "checkout", "--quiet", "-B", "main", cwd=self.cwd)
        self.ids: dict[str, str] = {}  # of the page, and ours in their places

    def take(self, step: Step) -> None:
        """Type it and see what the page shows. What only looks is typed until it shows it."""
        printed: list[str] = []

        def agrees() -> bool:
            printed[:] = self.watched(step) if step.is_interrupted else self.printed_by(step)
            return self.is_as_shown(step, printed)

        try:
            eventually(agrees, within_s=PATIENCE_S if step.command.startswith(LOOKS) else 0)
        except AssertionError:
            shown = "\n".join(step.shown)
            real = "\n".join(printed)
            pytest.fail(f"README.md:{step.line}: $ {step.command}\n{real}\n--- but the page shows\n{shown}")

    def is_as_shown(self, step: Step, printed: list[str]) -> bool:
        """Whether the page shows this; if so its ids are known from now on."""
        pairs = matched(step.shown, printed, names=self.names)
        self.ids |= ids_in_place(pairs or [])
        return pairs is not None

    def printed_by(self, step: Step) -> list[str]:
        """What the command prints to its end, without empty lines."""
        is_export = step.command.startswith("export ")
        done = subprocess.run(
            ["bash", "-ec", self.own(step.command) + ("\nenv" if is_export else "")],
            cwd=self.cwd,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode != 0 and not step.command.startswith(LOOKS):  # who looks too early looks again
            pytest.fail(f"README.md:{step.line}: $ {step.command}\n{done.stdout}")
        if is_export:
            pairs = (line.partition("=") for line in done.stdout.splitlines())
            self.environ = {name: value for name, _, value in pairs}
            return []
        return [line for line in done.stdout.splitlines() if line.strip()]

    def watched(self, step: Step) -> list[str]:
        """What a command that would go on prints until all is there that the page shows."""
        printed: list[str] = []
        with subprocess.Popen(
            ["bash", "-c", f"exec {self.own(step.command)}"],
            cwd=self.cwd,
            env={**self.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as watching:
            assert watching.stdout is not None
            for line in watching.stdout:
                printed.append(line.rstrip("\n"))
                if matched(step.shown, printed, names=self.names) is not None:
                    break
            watching.send_signal(signal.SIGINT)
            assert watching.wait(PATIENCE_S) == 130
        return printed

    def own(self, command: str) -> str:
        """The command with this reader's ids."""
        for shown, mine in self.ids.items():
            command = command.replace(shown, mine)
        return command


def test_a_hash_that_is_of_letters_alone_stands_for_a_hash() -> None:
    line, page = "cacbcec Greet Ada", "dd1fb5b Greet Ada"
    assert matched((page,), [line], names={}) == [(page, line)]


@pytest.mark.timeout(300)
def test_the_tour_of_the_readme_prints_what_the_readme_shows() -> None:
    assert len(TOUR) > 10, "the README has lost its tour"
    with daemon_place() as place:
        reader = Reader(place)
        for step in TOUR:
            reader.take(step)
