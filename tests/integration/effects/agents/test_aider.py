"""What aider's HOME says of git's identity, asked of git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from moduprompt.effects.agents.aider import AiderAdapter
from moduprompt.effects.agents.port import AgentCommand, AgentRequest
from moduprompt.effects.git.identity import FALLBACK_EMAIL, FALLBACK_NAME
from tests.support.git_repository import git_environment, make_repository


class Homes(msgspec.Struct, frozen=True, kw_only=True):
    """A user's home, a session's, and a repository without an identity."""

    user: Path
    session: Path
    repository: Path


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    user, session = tmp_path / 'of "a" user', tmp_path / "session"
    session.mkdir()
    return Homes(
        user=user, session=session, repository=make_repository(tmp_path / "repository", home=session).path
    )


def identity(homes: Homes, *, user_home: str) -> tuple[str, str]:
    """Who commits where aider stands, as it asks for that itself."""
    request = AgentRequest(words=("--model", "m"), home=str(homes.session), user_home=user_home)
    command = AiderAdapter().command(request)
    assert isinstance(command, AgentCommand)
    for file in command.files:
        path = homes.session / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    name, email = (
        subprocess.run(
            ["git", "config", "--get", f"user.{each}"],
            cwd=homes.repository,
            env=git_environment(homes.session),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for each in ("name", "email")
    )
    return name, email


@pytest.mark.parametrize("file", [".gitconfig", ".config/git/config"])
def test_its_user_is_found(homes: Homes, file: str) -> None:
    place = homes.user / file
    place.parent.mkdir(parents=True)
    place.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")

    assert identity(homes, user_home=str(homes.user)) == ("Ada", "ada@example.org")


def test_what_its_repository_says_goes_before_its_user(homes: Homes) -> None:
    homes.user.mkdir()
    (homes.user / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    with (homes.repository / ".git" / "config").open("a") as own:
        own.write("[user]\n\temail = ada@work.example.org\n")

    assert identity(homes, user_home=str(homes.user)) == ("Ada", "ada@work.example.org")


@pytest.mark.parametrize("is_known", [True, False])
def test_somebody_is_named_where_nobody_is_so_that_it_names_nobody_in_the_repository(
    homes: Homes, is_known: bool
) -> None:
    user_home = str(homes.user) if is_known else ""

    assert identity(homes, user_home=user_home) == (FALLBACK_NAME, FALLBACK_EMAIL)
