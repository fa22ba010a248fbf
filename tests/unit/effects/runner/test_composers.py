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
        ([b"h", b"\x7f"], False),
        ([b"h\xc3\xa9", b"\x7f"], True),
        ([b"h\xc3\xa9", b"\x7f", b"\x08"], False),
        ([b"\x7f", b"h"], True),
        ([b"ab", b"\x1b[D", b"\x7f\x7f"], True),
        ([b"\x1b[Da", b"\x7f"], False),
        ([b"one\ntwo", b"\n"], True),
        ([b"one", b"\x1b\r"], True),
        ([b"one\\", b"\r"], True),
        ([b"one\\", b"\r", b"\r"], False),
        ([b"one\x04"], True),
        ([b"\x1b[200~one\r", b"two\r", b"\x1b[201~"], True),
        ([b"\x1b[200~one\r", b"two\x1b[201~\r"], False),
        ([b"\x1b[200~one\r", b"\x03"], True),
        ([b"one\r\x1b[201~"], True),
        ([b"\x1b[A"], True),
        ([b"\x1b[A\x1b[A", b"\x1b[B"], True),
        ([b"\x1b[A\x1b[A", b"\x1b[B", b"\x1b[B"], False),
        ([b"\x1bOA", b"\r"], False),
        ([b"\x1bOA", b"\x7f"], True),
        ([b"\x1b[I", b"\x1b[O\x1b[<0;1;1M"], False),
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
