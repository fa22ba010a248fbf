"""What git prints is read as it is meant, whatever bytes a name holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.effects.git.parse import (
    FILES_NAMED_MAX,
    MESSAGE_CHARS_MAX,
    complaint,
    lock_in_the_way,
    met_half_made_worktree,
    parse_status,
    parse_worktrees,
    shown_files,
)

OID = "3f786850e387550fdab836ed7e6dc881de23001b"


def test_worktrees_are_told_apart_by_what_git_says_of_them() -> None:
    raw = "\0".join(
        [
            "worktree /r", f"HEAD {OID}", "branch refs/heads/main", "",
            "worktree /t/a b\nc", f"HEAD {OID}", "detached", "locked in use", "",
            "worktree /t/gone", f"HEAD {OID}", "branch refs/heads/x/y", "prunable gitdir file points nowhere", "",
            "worktree /t/locked", f"HEAD {OID}", "detached", "locked", "",
            "",
        ]
    ).encode()  # fmt: skip
    main, odd, gone, locked = parse_worktrees(raw)
    assert (main.path, main.head, main.branch, main.locked, main.is_prunable) == (
        "/r", OID, "main", None, False,
    )  # fmt: skip
    assert (odd.path, odd.branch, odd.locked) == ("/t/a b\nc", None, "in use")
    assert (gone.branch, gone.is_prunable) == ("x/y", True)
    assert locked.locked == ""


def test_an_older_gits_list_is_separated_by_lines() -> None:
    raw = f"worktree /r\nHEAD {OID}\nbranch refs/heads/main\n\nworktree /bare\nbare\n\n".encode()
    first, second = parse_worktrees(raw, separator=b"\n")
    assert (first.path, first.branch) == ("/r", "main")
    assert (second.path, second.is_bare, second.head) == ("/bare", True, None)


def test_each_entry_of_a_status_goes_to_its_side() -> None:
    modes = b"N... 100644 100644 100644 " + f"{OID} {OID}".encode()
    raw = b"\0".join(
        [
            f"# branch.oid {OID}".encode(),
            b"# branch.head topic",
            b"1 M. " + modes + b" staged only",
            b"1 .M " + modes + b" changed only",
            b"1 MM " + modes + b" both",
            b"2 R. " + modes + b" R100 new name\0? old name that looks like an entry",
            b"u UU N... 100644 100644 100644 100644 " + f"{OID} {OID} {OID}".encode() + b" torn apart",
            b"? un\ntracked",
            b"? folder/",
            b"",
        ]
    )
    report = parse_status(raw)
    assert (report.head, report.branch) == (OID, "topic")
    assert report.staged == (b"staged only", b"both", b"new name")
    assert report.unstaged == (b"changed only", b"both")
    assert report.untracked == (b"un\ntracked", b"folder/")
    assert report.conflicted == (b"torn apart",)
    assert not report.is_clean


def test_a_repository_without_commit_or_branch_has_none() -> None:
    assert parse_status(b"# branch.oid (initial)\0# branch.head main\0").head is None
    assert parse_status(f"# branch.oid {OID}\0# branch.head (detached)\0".encode()).branch is None
    assert parse_status(b"").is_clean


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\0" not in name), max_size=5))
def test_untracked_names_of_any_bytes_come_back_unchanged(found: list[bytes]) -> None:
    raw = b"".join(b"? " + name + b"\0" for name in found)
    assert parse_status(raw).untracked == tuple(found)


def test_names_for_people_are_text_in_order_and_bounded() -> None:
    assert shown_files((b"b", b"a\xff")) == ("a\\xff", "b")
    many = tuple(f"{number:04}".encode() for number in range(FILES_NAMED_MAX + 1))
    assert len(shown_files(many)) == FILES_NAMED_MAX


@pytest.mark.parametrize(
    ("stderr", "lock"),
    [
        (b"fatal: Unable to create '/r/.git/index.lock': File exists.\n\nAnother git", "/r/.git/index.lock"),
        (
            b"fatal: cannot lock ref 'x': Unable to create '/a 'quoted'\npath/.git/refs/heads/x.lock': File exists.",
            "/a 'quoted'\npath/.git/refs/heads/x.lock",
        ),
        (b"fatal: Unable to create '/r/.git/index.lock': Permission denied", None),
        (b"", None),
    ],
)
def test_a_lock_in_the_way_is_recognised(stderr: bytes, lock: str | None) -> None:
    assert lock_in_the_way(stderr) == lock


def test_a_complaint_is_what_git_calls_fatal_or_its_last_word() -> None:
    assert complaint(b"warning: x\nfatal: broken\nhint: try\n") == "fatal: broken"
    assert complaint(b"one\ntwo\n") == "two"
    assert complaint(b"") == "git failed without a word"
    assert len(complaint(b"fatal: " + b"x" * 10_000)) == MESSAGE_CHARS_MAX


def test_a_complaint_never_repeats_a_password() -> None:
    words = complaint(b"fatal: unable to access 'https://me:secret@host/r.git/': no")
    assert "secret" not in words
    assert "host/r.git" in words


@pytest.mark.parametrize(
    ("stderr", "met"),
    [
        (b"fatal: failed to read .git/worktrees/merge-0/commondir: Success\n", True),
        (b"fatal: failed to read /srv/a b/.git/worktrees/x/gitdir: Success\n", True),
        (b"fatal: failed to read /srv/r/.git/worktrees/x/HEAD: Success\n", True),
        (b"fatal: failed to read .git/index: Input/output error\n", False),
        (b"", False),
    ],
)
def test_a_worktree_that_another_git_is_making_is_recognised(stderr: bytes, *, met: bool) -> None:
    assert met_half_made_worktree(stderr) is met
