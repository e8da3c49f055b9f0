"""What engines say of an error, without the values of rows."""

from __future__ import annotations

import io

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.engine_errors import RAISED, duckdb_text, error_text, without_values
from penstock.errors import MASK, DestinationError
from penstock.sql import literal
from tests.support.examples import examples

SECRET = "zqxann"
"""Begins and ends what must not be seen; no engine's word has it."""

odd = st.lists(
    st.one_of(
        st.sampled_from("\"'()[]{}=:;,.\n\t ^\\%$@-+/*#|<>~`"),
        st.sampled_from(["column ", ' column "', "' to INT32 when casting from source column ", ")=(", "\n\nLINE 1: "]),
        st.sampled_from(["DETAIL:  ", 'ERROR:  relation "', "é", "ß", "🦆", "Key (", ") already exists."]),
        st.characters(exclude_characters="\0", codec="utf-8"),
    ),
    max_size=6,
).map("".join)
values = st.builds(lambda a, b: f"{SECRET}{a}{SECRET}{b}{SECRET}", odd, odd)
like_names = st.builds(
    lambda head, noun, form, end: head + noun + form.format(SECRET) + end,
    st.sampled_from(
        [
            "",
            "[",
            "(",
            "'",
            '"',
            "Binder Error: ",
            "Constraint Error: ",
            "IO Error: ",
            "Duplicate key ",
            "duplicate key value violates unique ",
            "NOT NULL constraint failed: ",
            "CHECK constraint failed on table ",
            'Violates foreign key constraint because key "',
            '{"exception_message":"',
        ]
    ),
    st.sampled_from(
        ["", "table ", "constraint ", "column ", "type ", "on table ", "schema ", "relation ", "role ", "enum "]
    ),
    st.sampled_from(
        ["{0}", '"{0}"', "'{0}'", "{0}.{0}", '"{0}: {0}"', '"{0}" with expression CHECK(', "({0})", "[{0}", '"{0}"}}']
    ),
    odd.map(lambda text: f" {text}{SECRET}"),
)
"""Values that read like what engines say of a name."""

STATEMENTS = {
    "duckdb": [
        ("select cast(email as integer) from person", "INT32"),
        ("select cast(email as date) from person", "date"),
        ("select cast(email as timestamptz) from person", "timestamp"),
        ("select cast(email as decimal(9, 2)) from person", "DECIMAL(9,2)"),
        ("select cast(email as uuid) from person", "UUID"),
        ("select cast(email as json) from person", "JSON"),
        ("select cast(email as integer[]) from person", "INTEGER[]"),
        ("select cast(to_json({{'a': email}}) as integer) from person", "cast"),
        ("select strptime(email, '%Y') from person", "parse string"),
        ("select date_part(email, date '2026-01-01') from person", "specifier"),
        ("select error('bad ' || email) from person", "Invalid Input"),
        ("select error(email) from person", "Invalid Input"),
        ("select regexp_matches('x', '[' || replace(email, ']', '')) from person", "Invalid Input"),
        ("insert into person select email from person", "email"),
        ("insert into person values ({value})", "email"),
        ("select cast({value} as integer)", "INT32"),
        ("select {value} || nothing from person", "nothing"),
        ("select {value} from nowhere", "nowhere"),
        ("select a b c {value}", "syntax"),
    ],
    "postgres": [
        ("select cast(email as integer) from person", "type integer"),
        ("select cast(email as date) from person", "date"),
        ("select cast(email as timestamptz) from person", "timestamp"),
        ("select cast(email as numeric(9, 2)) from person", "type numeric"),
        ("select cast(email as uuid) from person", "type uuid"),
        ("select cast(email as jsonb) from person", "type json"),
        ("select cast(email as integer[]) from person", "array literal"),
        ("select to_date(email, 'YYYY') from person", "value"),
        ("select date_part(email, date '2026-01-01') from person", "unit"),
        ("insert into person select email from person", "Key (email)"),
        ("insert into person (email, n) values ({value} || 'other', null)", 'column "n" of relation "person"'),
        ("insert into person values ({value} || 'other', -1)", 'check constraint "person_n_check"'),
        ("select cast({value} as integer)", "type integer"),
        ("select {value} || nothing from person", 'column "nothing"'),
        ("select {value} from nowhere", 'relation "nowhere"'),
        ("select a b c {value}", "syntax"),
        ("do $do$ begin raise exception 'bad %', (select email from person); end $do$", "trigger"),
        ("do $do$ declare n int; begin select email into n from person; end $do$", "type integer"),
    ],
}


@pytest.fixture(scope="module")
def server(postgres_server: str) -> psycopg.Connection[object]:
    """A connection that keeps nothing."""
    return psycopg.connect(postgres_server)


@settings(max_examples=examples(50), deadline=None)
@given(value=values | like_names)
@example(value=f"table {SECRET}")
@example(value=f'constraint "{SECRET}"')
@example(value=f"NOT NULL constraint failed: {SECRET}")
@example(value=f'Duplicate key "{SECRET}: x" violates unique constraint')
@example(value=f"{SECRET}' to INT32 when casting from source column {SECRET}")
@example(value=f'{SECRET}" of relation "{SECRET}" column "{SECRET}"')
@example(value=f"{SECRET}\nLINE 1: {SECRET}\n  ^")
@example(value=f"{SECRET}) already exists.\nDETAIL:  Key (email)=({SECRET}")
def test_duckdb(value: str) -> None:
    """Whatever a value holds, DuckDB's errors do not show it, and still name types, columns and tables."""
    with duckdb.connect() as connection:
        connection.execute("create table person (email varchar unique)")
        connection.execute("insert into person values (?)", [value])
        for statement, kept in STATEMENTS["duckdb"]:
            with pytest.raises((duckdb.Error, UnicodeDecodeError)) as caught:
                connection.execute(statement.format(value=literal(value))).fetchall()
            text = error_text(caught.value)
            assert SECRET not in text, (statement, text)
            assert kept.lower() in text.lower(), (statement, text)


@settings(max_examples=examples(25), deadline=None)
@given(value=values | like_names)
@example(value=f"table {SECRET}")
@example(value=f'{SECRET}" of relation "{SECRET}" column "{SECRET}"')
@example(value=f"{SECRET}) already exists.\nDETAIL:  Key (email)=({SECRET}")
@example(value=f"{SECRET}\nLINE 1: {SECRET}\n  ^")
def test_postgres(server: psycopg.Connection[object], value: str) -> None:
    """Whatever a value holds, PostgreSQL's errors do not show it, and still name types, columns and tables."""
    with server.transaction(force_rollback=True):
        server.execute("create temp table person (email text unique, n int not null default 1 check (n > 0))")
        server.execute("insert into person values (%s)", [value])
        for statement, kept in STATEMENTS["postgres"]:
            sql = statement.format(value="'" + value.replace("'", "''") + "'")
            with pytest.raises(psycopg.Error) as caught, server.transaction():
                server.execute(sql)
            text = error_text(caught.value)
            assert SECRET not in text, (statement, text)
            assert kept.lower() in text.lower(), (statement, text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('invalid input syntax for type integer: "a@b.c"', f"invalid input syntax for type integer: {MASK}"),
        ('value "99999999999" is out of range for type integer', f"value {MASK} is out of range for type integer"),
        (
            'duplicate key value violates unique constraint "c"\nDETAIL:  Key (a, b)=(1, x) already exists.',
            f'duplicate key value violates unique constraint "c"\nDETAIL:  Key (a, b)=({MASK}) already exists.',
        ),
        (
            "Type INT64 with value 4930123 can't be cast because the value is out of range for type INT8",
            f"Type INT64 with value {MASK} can't be cast because the value is out of range for type INT8",
        ),
        ("value too long for type character varying(10)", "value too long for type character varying(10)"),
    ],
)
def test_words(text: str, shown: str) -> None:
    """What is left is a sentence that helps."""
    assert without_values(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Constraint Error: NOT NULL constraint failed: t.email", None),
        (
            'Constraint Error: CHECK constraint failed on table "p q" with expression CHECK((n > 0))',
            f'Constraint Error: CHECK constraint failed on table "p q" with expression {MASK}',
        ),
        (
            'Constraint Error: Duplicate key "email: a@b.c" violates unique constraint.',
            f'Constraint Error: Duplicate key "email: {MASK}" violates unique constraint.',
        ),
        (
            'IO Error: Could not write file "/data/w.duckdb": No space left on device',
            f"IO Error: Could not write file {MASK}: No space left on device",
        ),
        (
            'IO Error: Async write failed for range [offset=0, size=1]: {"exception_type":"IO","exception_message":'
            '"Could not write file \\"/data/x\\": No space left on device","errno":"28"}',
            f"IO Error: Could not write file {MASK}: No space left on device",
        ),
        (
            'TransactionContext Error: Failed to commit: Could not write file "/data/x": No space left on device',
            f"TransactionContext Error: Failed to commit: Could not write file {MASK}: No space left on device",
        ),
    ],
)
def test_duckdb_words(text: str, shown: str | None) -> None:
    """Names of constraints, and what the operating system says, can still be read."""
    assert duckdb_text(text) == (shown or text)


def test_others() -> None:
    """Our own errors stay as they are, and those of the machine; what a function of the database says does not."""
    ours = DestinationError("the column 'email' is gone", where="raw.people", fix="put it back")
    assert error_text(ours) == str(ours)
    assert error_text(OSError(28, "No space left on device", "/data/x")) == str(
        OSError(28, "No space left on device", "/data/x")
    )
    assert "anna" not in error_text(ValueError("invalid literal for int(): 'anna'"))
    assert "trigger" in RAISED


def test_arrow() -> None:
    """Arrow's errors show no cell of a CSV, and what is wrong with a file's structure as it is."""
    table = pa_csv.ReadOptions(column_names=["a", "b"])
    with pytest.raises(pa.ArrowInvalid) as width:
        pa_csv.read_csv(io.BytesIO(b"1,2\nanna,b,c\n"), table)
    assert "Expected 2 columns, got 3" in error_text(width.value) and "anna" not in error_text(width.value)
    with pytest.raises(pa.ArrowInvalid) as value:
        pa_csv.read_csv(
            io.BytesIO(b"1,anna\n"), table, convert_options=pa_csv.ConvertOptions(column_types={"b": pa.int8()})
        )
    assert "int8" in error_text(value.value) and "anna" not in error_text(value.value)
    broken = pa.ArrowInvalid("Parquet magic bytes not found in footer.")
    assert error_text(broken) == "Parquet magic bytes not found in footer."
