"""Who commits and who is named as author.

The author is whom the caller names (the agent's session, a person). The committer is the
identity that the user configured for git; where there is none, a declared one of ours, so
that a fresh machine works and nobody is impersonated by a guess from the host name.
"""

from moduprompt.effects.git.process import GitProcess

FALLBACK_NAME = "ModuPrompt"
FALLBACK_EMAIL = "moduprompt@localhost"  # reaches nobody, and looks like it
_CRUD = str.maketrans("", "", "<>\n\r\0")  # what git's ident line can't hold


async def commit_identity(git: GitProcess, *, at: str, author_name: str, author_email: str) -> dict[str, str]:
    """The environment that makes git write these two down."""
    name = author_name.translate(_CRUD).strip(" .,:;\"'\\")
    email = author_email.translate(_CRUD).strip()
    author = {
        "GIT_AUTHOR_NAME": name or FALLBACK_NAME,
        "GIT_AUTHOR_EMAIL": email or FALLBACK_EMAIL,
    }
    known = await git.run(
        "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT", at=at, accept=(0, 1, 128)
    )
    if known.code == 0:
        return author
    return author | {"GIT_COMMITTER_NAME": FALLBACK_NAME, "GIT_COMMITTER_EMAIL": FALLBACK_EMAIL}
