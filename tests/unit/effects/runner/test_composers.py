"""Who types, and where a draft stands: known from the keys alone, and careful."""

import pytest

from moduprompt.effects.runner.composers import Composers
from moduprompt.effects.runner.port import Author

ADA, BEN = Author(kind="user", id="ada"), Author(kind="user", id="ben")
RUN = "run"


def test_one_seat_types_until_it_is_left() -> None:
    composers, first, second = Composers(), object(), object()

    assert composers.take(RUN, first, ADA) is None
    assert composers.take(RUN, first, ADA) is None
    assert composers.take(RUN, second, BEN) == ADA
    composers.let_go(RUN, second)
    assert composers.take(RUN, second, BEN) == ADA
    composers.let_go(RUN, first)
    composers.let_go(RUN, first)
    assert composers.take(RUN, second, BEN) is None
    assert composers.take("another", first, ADA) is None


@pytest.mark.parametrize(
    ("keys", "has_draft"),
    [
        ([b"h"], True),
        ([b"hello", b" you\r"], False),
        ([b"one\rtwo"], True),
        ([b"oops\x03"], False),
        ([b"oops\x15"], False),
        ([b"\x1b[A", b"\x1bOB", b"\x1b"], False),
        ([b"\x1b[?62c\x1b[1;1R\x1b]11;rgb:0000/0000/0000\x07"], False),
        ([b"\x1b[200~a paste\r\nof two lines\x1b[201~"], True),
        ([b"\x1b[200~a paste\x1b[201~", b"\r"], False),
        ([b"h", b"\x7f"], True),
    ],
)
def test_a_draft_is_what_was_typed_and_not_sent(keys: list[bytes], has_draft: bool) -> None:
    composers = Composers()
    for each in keys:
        composers.typed(RUN, each, ADA)

    assert composers.draft_by(RUN) == (ADA.id if has_draft else None)
    assert composers.draft_by("another") is None


def test_a_draft_stays_when_its_author_goes_and_ends_with_the_run() -> None:
    composers, seat = Composers(), object()
    composers.take(RUN, seat, ADA)
    composers.typed(RUN, b"half", ADA)
    composers.let_go(RUN, seat)
    assert composers.draft_by(RUN) == ADA.id
    composers.forget(RUN)
    assert composers.draft_by(RUN) is None


def test_who_wants_to_know_is_told_of_each_key() -> None:
    composers, told = Composers(), list[str]()
    composers.typed(RUN, b"a", ADA)
    composers.tell(told.append)
    composers.typed(RUN, b"b", ADA)
    assert told == [RUN]
