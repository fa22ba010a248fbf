"""Commits what an agent left uncommitted, and tells what is new in a worktree.

Whoever made the commits: the facts are what lies between the head that was last
reported and the head there is now. Asked again, nothing is uncommitted any more, and
the same `since` gives the same facts.
"""

from moduprompt.effects.git.identity import commit_identity
from moduprompt.effects.git.nested import untracked_repositories, without
from moduprompt.effects.git.parse import StatusReport, names, shown_files
from moduprompt.effects.git.place import find_worktree
from moduprompt.effects.git.port import CommitFacts, CommitSpec, Home
from moduprompt.effects.git.process import GitProcess, refuse
from moduprompt.effects.git.reading import read_status, require_commit
from moduprompt.effects.git.standing import require_onward

COMMITS_NAMED_MAX = 1000  # an event stays under 64 kB; more comes from fetching, not from working


async def commit_worktree(git: GitProcess, spec: CommitSpec) -> CommitFacts:
    """The caller holds the worktree's lock."""
    place = await find_worktree(git, spec.path)
    since = await require_commit(git, spec.since, at=place.top)
    before = await read_status(git, at=place.top)
    _require_no_conflict(before, top=place.top)
    if spec.branch is not None and before.branch != spec.branch:
        home = Home(path=place.top, branch=spec.branch)
        await require_onward(git, home, has_work=not before.is_clean)
    left_out: tuple[bytes, ...] = ()
    if not before.is_clean:
        left_out = await untracked_repositories(git, top=place.top)
        await git.run("add", "--all", "--", *without(left_out), at=place.top)
        await _commit_index(git, spec, top=place.top)
    after = await read_status(git, at=place.top)
    return await _facts(git, top=place.top, since=since, after=after, left_out=left_out)


def _require_no_conflict(report: StatusReport, *, top: str) -> None:
    if not report.conflicted:
        return
    files = shown_files(report.conflicted)
    message = f"{top} is in the middle of a merge with conflicts in {', '.join(files)}"
    raise refuse("merge_conflict", message, path=top, hint="resolve the conflicts there", files=files)


async def _commit_index(git: GitProcess, spec: CommitSpec, *, top: str) -> None:
    staged = await git.run("diff", "--cached", "--quiet", at=top, accept=(0, 1))
    merging = await git.run("rev-parse", "--verify", "--quiet", "MERGE_HEAD", at=top, accept=(0, 1))
    if staged.code == 0 and merging.code == 1:
        return  # nothing but repositories inside: nothing that can be committed
    identity = await commit_identity(
        git, at=top, author_name=spec.author_name, author_email=spec.author_email
    )
    message = spec.message.replace("\0", "").strip() or "Work of an agent"
    options = ("--quiet", "--no-verify", "--no-gpg-sign", "--cleanup=whitespace")
    await git.run("commit", *options, f"--message={message}", at=top, extra=identity)


async def _facts(
    git: GitProcess, *, top: str, since: str, after: StatusReport, left_out: tuple[bytes, ...]
) -> CommitFacts:
    if after.head is None:
        message = f"{top} stands on a branch without a commit"
        raise refuse("worktree_conflict", message, path=top, hint=f"git -C {top} switch, to where it was")
    between = f"{since}..{after.head}"
    total = await git.run("rev-list", "--count", between, at=top)
    # Git limits before it reverses, so these are the newest ones, oldest first.
    listed = await git.run(
        "rev-list", "--topo-order", "--reverse", f"--max-count={COMMITS_NAMED_MAX}", between, at=top
    )
    changed = await git.run(
        "diff-tree", "-r", "-z", "--no-renames", "--name-only", "--no-ext-diff", since, after.head, at=top
    )
    return CommitFacts(
        head=after.head,
        branch=after.branch,
        commits=tuple(listed.stdout.decode("ascii").split()),
        commits_total=int(total.line),
        files_changed=len(names(changed.stdout)),
        clean=after.is_clean,
        left_out=shown_files(left_out),
    )
