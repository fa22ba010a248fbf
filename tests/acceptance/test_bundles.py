"""A workspace moves to another machine through the installed commands, and a log is proved without a daemon."""

from collections.abc import Iterator

import pytest

from tests.support.daemon import Place, daemon_place

FROZEN_EXIT, BROKEN_EXIT, MISSING_EXIT = 8, 1, 5  # validation_failed, unknown, not_found


@pytest.fixture
def elsewhere() -> Iterator[Place]:
    """Another machine."""
    with daemon_place() as own:
        yield own


def test_a_workspace_moves_is_frozen_and_goes_on_when_it_is_adopted(place: Place, elsewhere: Place) -> None:
    file = place.root / "core.tar"
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint")
    head = place.ok("log", "export", str(file), "--json").json["verified"]
    assert file.stat().st_mode & 0o777 == 0o600

    taken = elsewhere.ok("log", "import", str(file), "--json").json

    assert [(taken["head_hash"], taken["state_hash"])] == [
        (each["head_hash"], each["state_hash"]) for each in head
    ]
    assert taken["is_frozen"] is True
    refused = elsewhere.mpctl("project", "create", "more")
    assert (refused.status, "mpctl workspace adopt" in refused.err) == (FROZEN_EXIT, True)
    elsewhere.ok("workspace", "adopt", "core")
    elsewhere.made("project", "create", "more")
    assert "the log holds" in elsewhere.ok("log", "verify").out


def test_a_log_is_proved_from_its_file_alone(place: Place) -> None:
    file, log = place.root / "core.tar", place.data / "state" / "log.sqlite"
    place.made("workspace", "create", "core")
    place.ok("log", "export", str(file))
    place.ok("daemon", "stop")

    for words in ((str(file),), (str(log),), ("--db", str(log))):
        assert "the log holds" in place.ok("log", "verify", *words).out
    assert place.mpctl("daemon", "status", "--no-start").status != 0, "a proof started a daemon"
    file.write_bytes(file.read_bytes().replace(b'"name":"core"', b'"name":"cure"'))
    assert place.mpctl("log", "verify", str(file)).status == BROKEN_EXIT
    log.write_bytes(log.read_bytes().replace(b'"name":"core"', b'"name":"cure"'))
    broken = place.mpctl("log", "verify", str(log))
    assert (broken.status, "Traceback" in broken.err) == (BROKEN_EXIT, False)
    assert place.mpctl("log", "verify", "no such file").status == MISSING_EXIT


def test_stored_bytes_are_shown_as_they_are_or_for_people(place: Place) -> None:
    place.made("workspace", "create", "core")

    plain, pretty = place.ok("log", "show").out, place.ok("log", "show", "--pretty").out

    assert plain.count("\n") == 1
    assert '\n  "event_type": "workspace.created"' in pretty


def test_what_can_not_be_written_or_read_is_said_in_one_line(place: Place) -> None:
    place.made("workspace", "create", "core")
    nowhere = str(place.root / "no" / "such" / "folder.tar")

    for words in (
        ("export", nowhere),
        ("import", nowhere),
        ("import", str(place.data / "state" / "log.sqlite")),
    ):
        told = place.mpctl("log", *words)
        assert told.status in (FROZEN_EXIT, MISSING_EXIT), told
        assert "hint:" in told.err
        assert "Traceback" not in told.err
