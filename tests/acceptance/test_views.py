"""`mpctl views`: read models are listed, and made again from the first event to exactly what they were."""

from tests.support.daemon import Place

MISUSE_EXIT, NOT_FOUND_EXIT = 2, 5


def rows(place: Place) -> list[object]:
    return [place.ok(noun, "list", "--json").json["items"] for noun in ("project", "task", "session")]


def test_views_are_listed_and_rebuilt_to_what_they_were(place: Place) -> None:
    place.made("workspace", "create", "core")
    place.made("project", "create", "paint")
    for number in range(5):
        place.made("task", "create", f"task {number}", "-p", "paint")
    before = rows(place)

    listed = place.ok("views", "list", "--json").json["items"]
    rebuilt = place.ok("views", "rebuild", "tasks", "board", "--json").json["items"]
    everything = place.ok("views", "rebuild", "--all").out.splitlines()

    names = {view["name"] for view in listed}
    assert {"tasks", "board", "search", "sessions"} <= names
    assert all(view["state"] == "live" and view["position"] == view["head"] for view in listed), listed
    assert {view["name"]: view["rows"] for view in rebuilt}["tasks"] == 5
    assert {line.partition(":")[0] for line in everything} == names
    assert rows(place) == before
    assert "tasks" in place.ok("views", "list").out


def test_a_rebuild_says_what_it_can_not_do(place: Place) -> None:
    place.made("workspace", "create", "core")

    for words in (("views", "rebuild"), ("views", "rebuild", "tasks", "--all")):
        refused = place.call("mpctl", *words)
        assert (refused.status, "--all" in refused.err) == (MISUSE_EXIT, True)
    unknown = place.call("mpctl", "views", "rebuild", "nonsense")
    assert (unknown.status, "nonsense" in unknown.err) == (NOT_FOUND_EXIT, True)
