"""What is shown of a warehouse is what is stored in it, whether Python has such values or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock.cli.app import app
from penstock.errors import DestinationError
from penstock.ports import Destination
from penstock.stored import Stored

SAME = {
    "timestamptz '9999-12-31 23:59:59-05'": "10000-01-01 04:59:59+00:00",
    "timestamp '294246-12-31 23:59:59.123456'": "294246-12-31 23:59:59.123456",
    "date '12345-01-01'": "12345-01-01",
    "timestamptz '0001-01-01 00:00:00+02'": "0001-12-31 22:00:00+00:00 BC",
    "cast('infinity' as timestamptz)": "infinity",
    "cast('-infinity' as timestamp)": "-infinity",
    "cast('infinity' as date)": "infinity",
    "time '24:00:00'": "24:00:00",
    "timestamptz '2026-01-01 00:00:00+00'": "2026-01-01 00:00:00+00:00",
    "cast('nan' as double precision)": "nan",
    "cast(12345678901234567890.5 as decimal(38, 10))": "12345678901234567890.5000000000",
}
"""Expressions, and how each value is spelt."""

BY_ENGINE = {
    "duckdb": {
        "interval '1 month 2 days'": "1 month 2 days",
        "timestamp_ns '2026-01-01 00:00:00.123456789'": "2026-01-01 00:00:00.123456789",
        "170141183460469231731687303715884105727::hugeint": "170141183460469231731687303715884105727",
        "cast('{\"a\":59.913868800000000123}' as json)": '{"a":59.913868800000000123}',
    },
    "postgres": {
        "interval '1 month 2 days'": "1 mon 2 days",
        "array[timestamp '12345-01-01']": "['12345-01-01 00:00:00']",
        "cast('{\"a\":59.913868800000000123}' as jsonb)": '{"a": 59.913868800000000123}',
        "numeric 'NaN'": "NaN",
    },
}


def test_values_are_as_stored(destination: Destination) -> None:
    """On both engines, in and out of a read-only transaction; several in a row, in their order."""
    values = SAME | BY_ENGINE[destination.kind]
    sql = f"select {', '.join(f'{expression} as c' for expression in values)}"
    for read_only in (False, True):
        rows = destination.query(sql, read_only=read_only)
        assert [str(v) for v in rows.rows[0]] == list(values.values())
        assert list(rows.columns) == ["c"] * len(values)
    many = destination.query(
        "select * from (values (3, timestamp '12345-01-01'), (1, timestamp '2026-01-01'), (2, null)) t(n, v) order by n"
    )
    assert [row[0] for row in many.rows] == [1, 2, 3]
    assert isinstance(many.rows[2][1], Stored)


@pytest.mark.parametrize("sql", ["select 1; select 2", "select 1; drop table if exists penstock.loads"])
def test_one_statement(destination: Destination, sql: str) -> None:
    """Several are refused, so that none is forgotten."""
    with pytest.raises(DestinationError):
        destination.query(sql)
    assert destination.query("select count(*) from penstock.loads").rows == [(0,)]


def test_commands_show_what_python_has_no_value_for(tmp_path: Path, warehouse: dict[str, object]) -> None:
    """The far ends of time, and digits: query, status, check and metrics work, and JSON is JSON."""
    (tmp_path / "data.ndjson").write_text(
        '{"id":1,"ends":"9999-12-31T23:59:59-05:00","doc":{"n":59.913868800000000123},"d":0.12345678901234567891}\n'
        '{"id":2,"ends":"0001-01-01T00:00:00+02:00","doc":null,"d":1}\n'
    )
    project = {
        "name": "far",
        "destinations": {"here": warehouse},
        "transform": False,
        "sources": {"files": {"type": "files", "path": "*.ndjson"}},
        "streams": {
            "things": {
                "from": "files",
                "event_time": "ends",
                "expect": "event_time within 2d or warn",
                "columns": {"doc": "json", "d": "decimal(38,20)"},
            }
        },
    }
    (tmp_path / "penstock.yml").write_text(json.dumps(project))

    def penstock(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--project-dir", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.stdout

    penstock("load")
    sql = "select ends, doc, d, cast('nan' as double precision) as n from raw.things order by id"
    text = penstock("query", "--json", sql)
    first, second = json.loads(text, parse_constant=pytest.fail)
    assert first["ends"] == "10000-01-01T04:59:59+00:00"
    assert second["ends"] == "0001-12-31T22:00:00+00:00 BC"
    assert "59.913868800000000123" in text
    assert "0.12345678901234567891" in text
    assert (first["n"], second["d"]) == (None, 1)
    assert "10000-01-01 04:59:59+00:00" in penstock("query", "--csv", sql)
    for command in ("status", "check", "metrics"):
        penstock(command)
