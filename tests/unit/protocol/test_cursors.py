"""Cursors come back as they went out, and nothing else is taken for one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moduprompt.protocol import CURSOR_MAX, Code, Rejection, from_cursor, to_cursor

ID = "00000000-0000-7000-8000-000000000001"


@given(st.text(alphabet=st.characters(exclude_characters="|", exclude_categories=["Cs"]), max_size=60))
def test_a_cursor_comes_back(last_id: str) -> None:
    assert from_cursor("tasks", to_cursor("tasks", last_id)) == last_id


def test_a_cursor_is_safe_in_a_query() -> None:
    assert to_cursor("tasks", ID + "??>>").replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "!!!!",
        "é",
        "\ud800",
        "=" * 8,
        to_cursor("tasks", ID)[:-6],
        to_cursor("tasks", ID) + "AAAA",
        "A" + to_cursor("tasks", ID),
        to_cursor("runs", ID),
        to_cursor("tasks|x", ID),
        base64.urlsafe_b64encode(b"v2|tasks|" + ID.encode()).decode(),
        base64.urlsafe_b64encode(b"v1|tasks").decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        "A" * (CURSOR_MAX + 1),
    ],
)
def test_what_is_no_cursor_of_this_collection_is_refused(cursor: str) -> None:
    refused = from_cursor("tasks", cursor)

    assert isinstance(refused, Rejection)
    assert refused.code is Code.INVALID_SCHEMA


@given(st.text())
def test_no_text_makes_a_cursor_raise(cursor: str) -> None:
    assert isinstance(from_cursor("tasks", cursor), str | Rejection)
