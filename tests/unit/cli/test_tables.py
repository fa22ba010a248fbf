"""Tables for people: aligned by what is seen, safe whatever a cell holds."""

from moduprompt.cli.tables import CELL_MAX, to_paragraph, to_table


def test_columns_are_aligned_also_where_characters_are_wide() -> None:
    rows = [("a", 1), ("日本", 22), ("", None)]

    assert to_table(rows, [("NAME", lambda row: row[0]), ("NO", lambda row: row[1])]).splitlines() == [
        "NAME  NO",
        "a     1",
        "日本  22",
        "-     -",
    ]


def test_what_acts_on_a_terminal_is_no_part_of_a_cell() -> None:
    table = to_table(["a\x1b[2Jb\nc\u202ed"], [("X", lambda row: row)])

    assert table.count("\n") == 1
    assert "\x1b" not in table
    assert "\u202e" not in table


def test_a_long_cell_is_cut_and_says_so() -> None:
    line = to_table(["x" * 500], [("X", lambda row: row)]).splitlines()[1]

    assert len(line) == CELL_MAX
    assert line.endswith("…")


def test_a_paragraph_leaves_out_what_is_not_known() -> None:
    text = to_paragraph("title", [("id", "1"), ("none", None), ("empty", ""), ("longer", 0)])

    assert text == "title\n  id      1\n  longer  0"
