"""The headers of questions: what they say, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import UsageError
from penstock.report.questions import Question, chosen, read_questions

GOOD = """-- question: How many orders are there?
-- show: bar
-- about: >
--   Of all shops,
--   on all days.
-- y: [orders, returns]

-- a comment of the SQL's
select day, orders, returns from {{ ref('orders') }} order by 1;
"""


def read(folder: Path, text: str | bytes, name: str = "01_orders.sql") -> Question:
    """The one question of a folder."""
    (folder / "questions").mkdir(exist_ok=True)
    path = folder / "questions" / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_questions(folder)[0]


def test_reads_header_and_sql(tmp_path: Path) -> None:
    """The header is YAML over several lines; the SQL is the rest, its end without a semicolon."""
    found = read(tmp_path, GOOD)
    assert found.problem is None
    assert (found.name, found.header.question, found.header.show) == ("orders", "How many orders are there?", "bar")
    assert found.header.about == "Of all shops, on all days."
    assert found.header.y == ("orders", "returns")
    assert found.sql.startswith("-- a comment of the SQL's\nselect")
    assert found.sql.endswith("order by 1")


def test_windows_line_ends_and_marks(tmp_path: Path) -> None:
    """A file from another editor reads the same."""
    assert read(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()).header == read(tmp_path, GOOD).header


@pytest.mark.parametrize(
    ("header", "line", "what", "fix"),
    [
        ("select 1", 1, "there is no header", "-- question:"),
        ("", 1, "there is no header", "-- question:"),
        ("-- just words\nselect 1", 1, "the header has no settings", "-- question:"),
        ("-- show: bar\nselect 1", 1, "`question` is missing", "-- question: How many …?"),
        ("-- question: Why?\nselect 1", 1, "`show` is missing", "show: table|bar|line|area|pie|pyramid|big number"),
        ("-- question: Why?\n-- show: bars\nselect 1", 2, "`show` is 'bars'", "did you mean bar?"),
        ("-- question: Why?\n-- show: 7\nselect 1", 2, "`show` is 7", "one of table, bar"),
        (
            "-- question: Why?\n-- show: bar\n-- colour: red\nselect 1",
            3,
            "`colour` is no setting",
            "there are question",
        ),
        ("-- question: Why?\n-- show: bar\n-- eahc: x\nselect 1", 3, "`eahc` is no setting", "did you mean `each`?"),
        ("-- question: Who: and why?\n-- show: bar\nselect 1", 1, "the header is no YAML", "into quotes"),
        ("-- question: Why?\n-- show: bar\n-- y: [a, b\nselect 1", 3, "the header is no YAML", "into quotes"),
        ("-- question: ''\n-- show: bar\nselect 1", 1, "`question`: String should have at least 1", "write a text"),
        (
            "-- question: Why?\n-- show: bar\n-- unit: 5\nselect 1",
            3,
            "`unit`: Input should be a valid string",
            "-- unit:",
        ),
        ("-- question: Why?\n-- show: pyramid\nselect 1", 1, "a pyramid needs `by`", "docs/questions.md"),
        (
            "-- question: Why?\n-- show: table\n-- by: x\nselect 1",
            1,
            "`by` does nothing for 'table'",
            "docs/questions.md",
        ),
        (
            "-- question: Why?\n-- show: bar\n-- by: x\n-- y: [a, b]\nselect 1",
            1,
            "`by` splits one column",
            "questions.md",
        ),
        ("-- question: Why?\n-- show: bar\n", 2, "the header is not followed by SQL", "select"),
    ],
)
def test_a_wrong_header_is_named_by_file_and_line(tmp_path: Path, header: str, line: int, what: str, fix: str) -> None:
    """With what is wrong, and how to mend it."""
    problem = read(tmp_path, header).problem
    assert isinstance(problem, UsageError)
    assert problem.where == f"questions/01_orders.sql:{line}"
    assert what in problem.what
    assert fix in problem.fix


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are one question's problem."""
    problem = read(tmp_path, b"-- question: \xff\n").problem
    assert problem is not None
    assert (problem.where, problem.fix) == ("questions/01_orders.sql", "save it as UTF-8")


def test_numbers_are_for_the_order(tmp_path: Path) -> None:
    """Two files of one name keep their numbers, and a name finds its question with and without the suffix."""
    for name in ("02_a.sql", "10_b.sql", "11_b.sql", "01_c.sql"):
        read(tmp_path, GOOD, name)
    found = read_questions(tmp_path)
    assert [q.name for q in found] == ["c", "a", "10_b", "11_b"]
    assert [q.name for q in chosen(found, ["11_b.sql", "c"])] == ["11_b", "c"]
    assert chosen(found, []) == found


def test_an_unknown_name_has_a_neighbour(tmp_path: Path) -> None:
    """The error says what was probably meant."""
    read(tmp_path, GOOD)
    with pytest.raises(UsageError, match="did you mean orders"):
        chosen(read_questions(tmp_path), ["ordesr"])


def test_no_folder_no_questions(tmp_path: Path) -> None:
    """A project need not have any."""
    assert read_questions(tmp_path) == []
