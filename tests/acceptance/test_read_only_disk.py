"""A disk that becomes read-only under the installed daemon: it is said, nothing is lost, and it goes on.

A file system can't be remounted read-only while a daemon has its log open: the system refuses (`EBUSY`). What
happens instead is that it fails and turns read-only by itself, that a folder of it is made read-only by a
mount above it, or that it is read-only before the daemon starts.
"""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.daemon import Place, Said
from tests.support.own_mounts import OwnMounts, own_mounts

UNAVAILABLE_EXIT = 7
SMALL_MB = 24  # enough for a log, a journal and some recordings
MENDED = 1  # what e2fsck says when it found something and put it right


@pytest.fixture
def mounts() -> Generator[OwnMounts]:
    with own_mounts() as opened:
        yield opened


def start(place: Place, mounts: OwnMounts) -> Said:
    """The daemon sees the mounts; its clients reach it by its socket, which lies elsewhere."""
    return place.call(*mounts.enter, "mpd", "start")


def a_small_disk(place: Place, mounts: OwnMounts) -> None:
    place.data.mkdir()
    mounts.ok_or_skip("mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", str(place.data))


def a_disk_that_can_fail(place: Place, mounts: OwnMounts) -> Path:
    place.data.mkdir()
    image = place.root / "disk"
    with image.open("wb") as file:
        file.truncate(SMALL_MB * 1024 * 1024)
    mounts.ok_or_skip("mkfs.ext4", "-q", str(image))
    mounts.ok_or_skip("mount", "-o", "loop", str(image), str(place.data))
    return image


def project_names(place: Place) -> set[str]:
    return {each["name"] for each in place.ok("project", "list", "--json").json["items"]}


def test_a_disk_that_turns_read_only_takes_no_order_and_loses_none(place: Place, mounts: OwnMounts) -> None:
    image = a_disk_that_can_fail(place, mounts)
    assert start(place, mounts).status == 0
    place.made("workspace", "create", "core")
    place.made("project", "create", "before")
    assert project_names(place) == {"before"}, "a view keeps up within a moment, or when it is read"
    mounts.ok_or_skip("mount", "-o", "remount,abort", str(place.data))
    assert mounts.lies_read_only(place.data)

    read = project_names(place)
    refused = place.mpctl("project", "create", "lost", "--json")
    status = place.ok("daemon", "status")
    stopped = place.call("mpd", "stop")

    assert read == {"before"}, "what was read before is read still"
    assert (refused.status, refused.json["code"]) == (UNAVAILABLE_EXIT, "unavailable"), refused
    assert refused.json["message"] == "the disk takes no writes"
    assert "writable" in refused.json["hint"]
    assert "the disk takes no writes" in status.out
    assert stopped.status == 0
    mounts.ok("umount", str(place.data))
    assert mounts.call("e2fsck", "-p", str(image)).returncode <= MENDED
    mounts.ok("mount", "-o", "loop", str(image), str(place.data))
    assert start(place, mounts).status == 0
    assert project_names(place) == {"before"}
    place.made("project", "create", "after")
    assert "the log holds" in place.ok("log", "verify").out


def test_a_folder_that_is_read_only_for_a_while_needs_no_restart(place: Place, mounts: OwnMounts) -> None:
    a_small_disk(place, mounts)
    assert start(place, mounts).status == 0
    place.made("workspace", "create", "core")
    project = place.made("project", "create", "paint")
    task = ("task", "create", "-p", project, "--description", "all of the walls", "walls")
    place.made("task", "create", "-p", project, "--description", "all of the doors", "doors")
    pid, data = place.pid, str(place.data)
    mounts.ok_or_skip("mount", "--bind", data, data)
    mounts.ok_or_skip("mount", "-o", "remount,bind,ro", data)
    assert mounts.lies_read_only(place.data)

    refused = place.mpctl(*task, "--json")  # its text would be a new file
    read = place.ok("task", "list", "--json").json["items"]
    mounts.ok("umount", data)
    place.made(*task)

    assert (refused.status, refused.json["code"]) == (UNAVAILABLE_EXIT, "unavailable"), refused
    assert refused.json["message"] == "the disk takes no writes"
    assert [each["title"] for each in read] == ["doors"]
    assert [each["title"] for each in place.ok("task", "list", "--json").json["items"]] == ["doors", "walls"]
    assert place.pid == pid, "without a restart"
    assert "the log holds" in place.ok("log", "verify").out


def test_a_disk_that_is_read_only_at_the_start_is_said_and_changes_nothing(
    place: Place, mounts: OwnMounts
) -> None:
    a_small_disk(place, mounts)
    assert start(place, mounts).status == 0
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint")
    assert place.call("mpd", "stop").status == 0
    mounts.ok_or_skip("mount", "-o", "remount,ro", str(place.data))

    refused = start(place, mounts)
    mounts.ok("mount", "-o", "remount,rw", str(place.data))

    assert refused.status != 0
    assert "Read-only file system" in refused.err
    assert "Traceback" not in refused.err
    assert start(place, mounts).status == 0
    assert project_names(place) == {"paint"}
    assert "the log holds" in place.ok("log", "verify").out
