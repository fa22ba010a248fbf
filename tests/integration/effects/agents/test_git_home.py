"""Who commits, and what is ignored, where aider and opencode stand: asked of git itself, in the environment that they get."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.agents.port import AgentCommand, AgentRequest
from moduprompt.effects.git.identity import FALLBACK_EMAIL, FALLBACK_NAME
from tests.support.git_repository import git_environment, make_repository
from tests.support.transcripts import adapter_of

ADA = "[user]\n\tname = Ada\n\temail = ada@example.org\n"
each_program = pytest.mark.parametrize("program", ["aider", "opencode"])


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A user's home, a session's, and a repository without an identity."""

    user: Path
    session: Path
    repository: Path

    def write(self, name: str, text: str) -> None:
        """A file in the user's home."""
        path = self.user / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, program: str, *words: str, user_home: str | None = None) -> str:
        """What git says to this program; nothing where it refuses."""
        request = AgentRequest(
            words=("--model", "m"),
            home=str(self.session),
            user_home=str(self.user) if user_home is None else user_home,
        )
        command = adapter_of(program).command(request)
        assert isinstance(command, AgentCommand)
        for file in command.files:
            path = self.session / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        asked = subprocess.run(
            ["git", *words],
            cwd=self.repository,
            env={**git_environment(self.user), **command.env},
            capture_output=True,
            text=True,
            check=False,
        )
        return asked.stdout.strip()

    def identity(self, program: str, *, user_home: str | None = None) -> tuple[str, str]:
        """As aider asks for it itself."""
        name, email = (
            self.git(program, "config", "--get", f"user.{each}", user_home=user_home)
            for each in ("name", "email")
        )
        return name, email


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    user, session = tmp_path / 'of "a" user', tmp_path / "session"
    user.mkdir()
    return Scene(
        user=user, session=session, repository=make_repository(tmp_path / "repository", home=session).path
    )


@each_program
@pytest.mark.parametrize("file", [".gitconfig", ".config/git/config"])
def test_its_user_is_found(scene: Scene, program: str, file: str) -> None:
    scene.write(file, ADA)

    assert scene.identity(program) == ("Ada", "ada@example.org")


@each_program
def test_what_its_repository_says_goes_before_its_user(scene: Scene, program: str) -> None:
    scene.write(".gitconfig", ADA)
    with (scene.repository / ".git" / "config").open("a") as own:
        own.write("[user]\n\temail = ada@work.example.org\n")

    assert scene.identity(program) == ("Ada", "ada@work.example.org")


@each_program
def test_what_its_user_ignores_everywhere_is_ignored(scene: Scene, program: str) -> None:
    scene.write(".config/git/ignore", "secrets.txt\n")

    assert scene.git(program, "check-ignore", "secrets.txt") == "secrets.txt"


@each_program
def test_so_is_what_stands_where_its_user_says(scene: Scene, program: str) -> None:
    everywhere = scene.session.parent / "everywhere"
    everywhere.write_text("secrets.txt\n")
    scene.write(".gitconfig", f"[core]\n\texcludesFile = {everywhere}\n")

    assert scene.git(program, "check-ignore", "secrets.txt") == "secrets.txt"


@pytest.mark.parametrize("is_known", [True, False])
def test_to_aider_somebody_is_named_where_nobody_is_so_that_it_names_nobody_in_the_repository(
    scene: Scene, is_known: bool
) -> None:
    user_home = None if is_known else ""

    assert scene.identity("aider", user_home=user_home) == (FALLBACK_NAME, FALLBACK_EMAIL)


def test_of_opencode_git_asks_for_a_name_as_it_does_of_its_user(scene: Scene) -> None:
    assert scene.identity("opencode") == ("", "")
