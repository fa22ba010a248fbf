"""`--as-of` on the installed commands: the pictures and lists of then, each saying that it is the past."""

from tests.support.daemon import Place


def test_what_was_there_then_is_shown_and_called_the_past(place: Place) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint")
    seq = place.ok("project", "list", "--json").json["seq_global"]
    then = place.ok("project", "list", "--json").json
    board = place.ok("board", "--json").json
    place.made("task", "create", "Choose a colour", "-p", "paint")
    place.ok("project", "rename", "paint", "brush")

    assert place.ok("project", "list", "--as-of", str(seq), "--json").json == then
    assert place.ok("board", "--as-of", str(seq), "--json").json == board
    assert place.ok("project", "show", "paint", "--as-of", str(seq), "--json").json == then["items"][0]
    for verb in (
        ("project", "list"),
        ("project", "show", "paint"),
        ("board",),
        ("session", "tree"),
        ("events", "list"),
    ):
        shown = place.ok(*verb, "--as-of", str(seq)).out
        assert shown.startswith(f"the past: as of event {seq}, 20"), verb
        assert "brush" not in shown
    assert "brush" in place.ok("project", "list", "--as-of", "0s").out
    assert "core" in place.ok("workspace", "list", "--as-of", "0s").out


def test_a_moment_that_is_not_there_is_refused(place: Place) -> None:
    place.made("workspace", "create", "core")

    assert place.mpctl("board", "--as-of", "99").status == 8
    assert place.mpctl("board", "--as-of", "2001-01-01").status == 8
    assert place.mpctl("board", "--as-of", "0").status == 2
    assert place.mpctl("board", "--as-of", "soon").status == 2
    assert place.mpctl("board", "--watch", "--as-of", "1").status == 2
    assert place.mpctl("workspace", "list", "--as-of", "1").status == 2
    assert "no such" not in place.ok("log", "show", "--as-of", "1").out
