"""Reads what git prints: pure functions from bytes to values.

Only the NUL-separated porcelain formats are read for names, because a path may
hold any byte but NUL; sentences of git are read only to word a refusal.
"""

import re

import msgspec

FILES_NAMED_MAX = 50  # a person reads no more; events and answers stay small
MESSAGE_CHARS_MAX = 500  # git's own sentences are shorter; a hostile hook's or filter's need not be

_HALF_MADE = re.compile(rb"fatal: failed to read .*worktrees/[^/]+/(?:commondir|gitdir|HEAD)\b")
_LOCK = re.compile(rb"[Uu]nable to create '(.+?\.lock)': File exists", re.DOTALL)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_LOUD = ("fatal:", "error:")


class Garbled(Exception):
    """Git said something that is not in its own format."""


class WorktreeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One worktree as the repository has it registered; the first is the main one."""

    path: str
    head: str | None = None
    branch: str | None = None  # short name; None when detached or bare
    is_bare: bool = False
    is_prunable: bool = False  # its folder is gone
    locked: str | None = None  # the reason, "" when none was given


class StatusReport(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of `git status --porcelain=v2 --branch -z`."""

    head: str | None
    branch: str | None
    staged: tuple[bytes, ...]
    unstaged: tuple[bytes, ...]
    untracked: tuple[bytes, ...]
    conflicted: tuple[bytes, ...]

    @property
    def is_clean(self) -> bool:
        return not (self.staged or self.unstaged or self.untracked or self.conflicted)


def shown(raw: bytes) -> str:
    """A name for people: bytes that are no UTF-8 appear as \\xNN."""
    return raw.decode("utf-8", "backslashreplace")


def names(raw: bytes) -> tuple[bytes, ...]:
    """The entries of a NUL-terminated list."""
    return tuple(name for name in raw.split(b"\0") if name)


def is_hidden(tag: bytes) -> bool:
    """Whether `ls-files -v` marks a file so: in small letters, or S."""
    return tag.islower() or tag == b"S"


def shown_files(raw: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(shown(name) for name in sorted(raw)[:FILES_NAMED_MAX])


def parse_worktrees(raw: bytes, *, separator: bytes = b"\0") -> tuple[WorktreeEntry, ...]:
    """`git worktree list --porcelain [-z]`: attributes, an empty one between worktrees.

    A path that is no UTF-8 keeps its bytes as surrogates: it equals no path of ours. Raises Garbled.
    """
    blocks = raw.split(separator * 2)
    return tuple(_worktree(block.split(separator)) for block in blocks if block.strip(separator))


def _worktree(lines: list[bytes]) -> WorktreeEntry:
    fields: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(b" ")
        fields[key.decode("ascii", "replace")] = value.decode("utf-8", "surrogateescape")
    branch = fields.get("branch")
    if "worktree" not in fields:
        raise Garbled("a worktree without its path")
    return WorktreeEntry(
        path=fields["worktree"],
        head=fields.get("HEAD"),
        branch=branch.removeprefix("refs/heads/") if branch is not None else None,
        is_bare="bare" in fields,
        is_prunable="prunable" in fields,
        locked=fields.get("locked"),
    )


def parse_status(raw: bytes) -> StatusReport:
    """Sort the entries of porcelain v2 by what they mean. A renamed path carries its origin as a further entry.

    Raises Garbled.
    """
    head: str | None = None
    branch: str | None = None
    sides: dict[str, list[bytes]] = {"staged": [], "unstaged": [], "untracked": [], "conflicted": []}
    entries = iter(raw.split(b"\0"))
    for entry in entries:
        kind = entry[:2]
        if entry.startswith(b"# branch.oid "):
            oid = shown(entry.removeprefix(b"# branch.oid "))
            head = None if oid == "(initial)" else oid
        elif entry.startswith(b"# branch.head "):
            name = entry.removeprefix(b"# branch.head ").decode("utf-8", "backslashreplace")
            branch = None if name == "(detached)" else name
        elif kind == b"? ":
            sides["untracked"].append(entry[2:])
        elif kind == b"u ":
            sides["conflicted"].append(_path_after(10, entry))
        elif kind in {b"1 ", b"2 "}:
            _sort_change(entry, sides)
            if kind == b"2 ":
                next(entries, b"")
    return StatusReport(head=head, branch=branch, **{side: tuple(found) for side, found in sides.items()})


def _sort_change(entry: bytes, sides: dict[str, list[bytes]]) -> None:
    """`1 XY …7 fields… path` and `2 XY …8 fields… path`: X is the index, Y the working tree."""
    path = _path_after(8 if entry[:1] == b"1" else 9, entry)
    if entry[2:3] != b".":
        sides["staged"].append(path)
    if entry[3:4] != b".":
        sides["unstaged"].append(path)


def _path_after(fields: int, entry: bytes) -> bytes:
    parts = entry.split(b" ", fields)
    if len(parts) <= fields:
        raise Garbled("an entry of a status without its path")
    return parts[fields]


def met_half_made_worktree(stderr: bytes) -> bool:
    """Whether git gave up on a worktree that another git was just making: its files are there, and empty."""
    return _HALF_MADE.search(stderr) is not None


def lock_in_the_way(stderr: bytes) -> str | None:
    """The lock file another git left or holds, if that is what git complains about."""
    found = _LOCK.search(stderr)
    return found.group(1).decode("utf-8", "surrogateescape") if found else None


def complaint(stderr: bytes) -> str:
    """Git's own words, at most MESSAGE_CHARS_MAX of them, without credentials that stand in an address."""
    text = _CREDENTIALS.sub("***@", shown(stderr)).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    loud = [line for line in lines if line.startswith(_LOUD)]
    return " ".join(loud or lines[-1:])[:MESSAGE_CHARS_MAX] or "git failed without a word"
