"""Parquet: rows become JSON objects, so that all that follows is the same for every format.

DuckDB writes the columns that hold only what it writes as it is; others are written here, value by value. Text that is
not UTF-8 stays as its bytes, so that the object is none for the shaper and goes to quarantine as it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as kinds

from penstock.engine_errors import error_text
from penstock.errors import SourceError
from penstock.records.splitters import Cut
from penstock.sql import literal

_ROWS = 20_000
_BATCH_BYTES = 16 << 20
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""The first of January of year 1 and the last of December of year 9999, in days since 1970."""
_DAY_SECONDS = 86_400
_INT64 = 2**63 - 1
_IRREGULAR = re.compile(rb"[^ !#-&(-\[\]-~]")
_NULL = b"null"


def parquet_rows(path: str, place: str) -> Iterator[Cut]:
    """Rows of a Parquet file as objects.

    Raises:
        SourceError: it is damaged, no Parquet, or has a type that is not read.
    """
    number = 0
    try:
        with pq.ParquetFile(path) as file, duckdb.connect(":memory:", config={"threads": 1}) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for batch in file.iter_batches(batch_size=_batch_rows(file.metadata), use_threads=False):
                first = number + 1
                number += batch.num_rows
                yield Cut(_objects(connection, batch), np.arange(first, number + 1), batch.nbytes)
    except _UnknownType as e:
        raise SourceError(str(e), where=place, fix="write the column with another type, such as text") from None
    except (pa.ArrowNotImplementedError, MemoryError) as e:
        what = error_text(e).split("\n")[0] if str(e) else "it takes more memory than there is"
        raise SourceError(
            what, where=place, fix="write the file with simpler types, or with fewer rows in a row group"
        ) from None
    except Exception as e:
        # Arrow answers a damaged file with whatever came up on the way
        what = error_text(e).split("\n")[0] or type(e).__name__
        raise SourceError(f"cannot be read as Parquet: {what}", where=place, fix="deliver a whole Parquet file") from e


class _UnknownType(Exception):
    pass


def _batch_rows(metadata: Any) -> int:
    """How many rows to read at once, so that they take about :data:`_BATCH_BYTES`."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    row_bytes = max((g.total_byte_size // g.num_rows for g in groups if g.num_rows), default=0)
    return max(min(_ROWS, _BATCH_BYTES // max(row_bytes, 1)), 1)


def _objects(connection: duckdb.DuckDBPyConnection, batch: pa.RecordBatch) -> pa.Array:
    """Rows as JSON objects, as binary.

    Columns travel to DuckDB under neutral names: a file's own may be anything, and differ in case alone.
    """
    keys = [json.dumps(name, ensure_ascii=False) for name in batch.schema.names]
    columns: dict[str, pa.Array] = {"none": pa.nulls(batch.num_rows)}
    members = []
    broken: set[int] = set()
    for place, (key, column) in enumerate(zip(keys, batch.columns, strict=True)):
        name = f"c{place}"
        column = _without_nan(column)
        if _is_plain(column):
            text = f"coalesce(to_json({name})::varchar, 'null')"
        else:
            spelled = _texts(column)
            broken.update(i for i, value in enumerate(spelled) if not _is_utf8(value))
            column = pa.array([_NULL if i in broken else value for i, value in enumerate(spelled)]).cast(pa.string())
            text = name
        columns[name] = column
        members.append(f"{literal((',' if place else '') + key + ':')}, {text}")
    connection.register("penstock_rows", pa.table(columns))
    query = f"select concat('{{', {', '.join([*members, literal('}')])}) as body from penstock_rows"
    bodies = connection.sql(query).to_arrow_table()["body"].combine_chunks()
    connection.unregister("penstock_rows")
    bodies = pc.cast(bodies, pa.large_binary() if kinds.is_large_string(bodies.type) else pa.binary())
    if not broken:
        return bodies
    written = {i: _written(keys, batch.slice(i, 1)) for i in broken}
    return pa.array([written.get(i, body) for i, body in enumerate(bodies.to_pylist())], bodies.type)


def _written(keys: Sequence[str], row: pa.RecordBatch) -> bytes:
    """One row as an object that may hold bytes that are no text."""
    values = (_texts(_without_nan(column))[0] for column in row.columns)
    return b"{" + b",".join(key.encode() + b":" + value for key, value in zip(keys, values, strict=True)) + b"}"


def _without_nan(column: pa.Array) -> pa.Array:
    """NaN in a column of floats is how data frames write a missing value, and JSON has none."""
    if not kinds.is_floating(column.type):
        return column
    if kinds.is_float16(column.type):
        column = column.cast(pa.float32())
    return pc.if_else(pc.fill_null(pc.is_nan(column), False), pa.scalar(None, column.type), column)


def _is_plain(array: pa.Array, *, nested: bool = False) -> bool:
    """Whether DuckDB writes all values of an array as what they are."""
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        return bool(type_ == pa.uuid())
    if kinds.is_boolean(type_) or kinds.is_integer(type_) or kinds.is_null(type_):
        return True
    if kinds.is_decimal(type_):
        return not kinds.is_decimal256(type_)
    if kinds.is_float32(type_) or kinds.is_float64(type_):
        return bool(pc.all(pc.is_finite(array)).as_py() is not False)
    if kinds.is_string(type_) or kinds.is_large_string(type_) or kinds.is_string_view(type_):
        try:
            array.validate(full=True)
        except pa.ArrowInvalid:
            return False
        return True
    if kinds.is_binary(type_) or kinds.is_large_binary(type_) or kinds.is_fixed_size_binary(type_):
        return True
    if kinds.is_temporal(type_) and not kinds.is_interval(type_) and not kinds.is_duration(type_):
        return _is_in_range(array)
    if kinds.is_dictionary(type_):
        # inside of lists DuckDB gives other values of the dictionary than it should
        return not nested and _is_plain(array.dictionary)
    if kinds.is_list(type_) or kinds.is_large_list(type_) or kinds.is_fixed_size_list(type_):
        return _is_plain(array.flatten(), nested=True)
    if kinds.is_struct(type_):
        names = [type_.field(i).name for i in range(type_.num_fields)]
        return all(n and "\0" not in n for n in names) and all(_is_plain(c, nested=True) for c in array.flatten())
    return False


def _is_in_range(array: pa.Array) -> bool:
    """Whether times of day are of one day, and days of years of four digits."""
    ticks = pc.min_max(_ticks(array)).as_py()
    if ticks["min"] is None:
        return True
    type_ = array.type
    if kinds.is_date64(type_):
        return False
    if kinds.is_date32(type_):
        first, last = _FIRST_DAY, _LAST_DAY
    else:
        unit = _UNITS[type_.unit]
        first, last = 0, _DAY_SECONDS * unit - 1
        if kinds.is_timestamp(type_):
            first, last = _FIRST_DAY * _DAY_SECONDS * unit, (_LAST_DAY + 1) * _DAY_SECONDS * unit - 1
            # DuckDB takes the very last of them for infinity
            first, last = max(first, 2 - _INT64), min(last, _INT64 - 2)
    return bool(first <= ticks["min"] and ticks["max"] <= last)


def _ticks(array: pa.Array) -> pa.Array:
    """Days, or times in their unit, as integers."""
    return array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())


def _texts(array: pa.Array) -> list[bytes]:
    """Each value as JSON; infinity as ``Infinity``, which is none, NaN as null, and text that is not UTF-8 as it is.

    Raises:
        _UnknownType: for a type that no Parquet file holds.
    """
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        return _extension_texts(array)
    if kinds.is_null(type_):
        return [_NULL] * len(array)
    if kinds.is_dictionary(type_):
        values = _texts(array.dictionary)
        return [_NULL if i is None else values[i] for i in array.indices.to_pylist()]
    if kinds.is_run_end_encoded(type_):
        return _texts(pc.run_end_decode(array))
    if kinds.is_map(type_):
        return _map_texts(array)
    if kinds.is_nested(type_) and hasattr(array, "flatten"):
        return _struct_texts(array) if kinds.is_struct(type_) else _list_texts(array)
    spell = _speller(type_)
    values = _ticks(array).to_pylist() if kinds.is_temporal(type_) else _stored(array).to_pylist()
    return [_NULL if v is None else spell(v).encode("utf-8", "surrogateescape") for v in values]


def _stored(array: pa.Array) -> pa.Array:
    type_ = array.type
    if kinds.is_string(type_) or kinds.is_large_string(type_) or kinds.is_string_view(type_):
        # as text it could not be taken out where it is none
        return array.cast(pa.binary_view() if kinds.is_string_view(type_) else pa.large_binary())
    return array.cast(pa.float32()) if kinds.is_float16(type_) else array


def _speller(type_: pa.DataType) -> Any:
    """What writes one value of a type."""
    if kinds.is_boolean(type_) or kinds.is_integer(type_):
        return json.dumps
    if kinds.is_floating(type_):
        return _number
    if kinds.is_decimal(type_):
        return lambda value: format(value, "f")
    if kinds.is_string(type_) or kinds.is_large_string(type_) or kinds.is_string_view(type_):
        return _text
    if kinds.is_binary(type_) or kinds.is_large_binary(type_) or kinds.is_fixed_size_binary(type_):
        return _bytes
    if kinds.is_binary_view(type_):
        return _bytes
    if kinds.is_date32(type_):
        return lambda days: _quoted(_moment(days * _DAY_SECONDS, 1, date=True))
    if kinds.is_date64(type_):
        return lambda ticks: _quoted(_moment(ticks, 1_000, date=not ticks % (_DAY_SECONDS * 1_000)))
    if kinds.is_timestamp(type_):
        zone = "+00" if type_.tz else ""
        return lambda ticks: _quoted(_moment(ticks, _UNITS[type_.unit]) + zone)
    if kinds.is_time(type_) or kinds.is_duration(type_):
        return lambda ticks: _quoted(_span(ticks, _UNITS[type_.unit]))
    raise _UnknownType(f"a column of the type {type_} is not read")


def _extension_texts(array: Any) -> list[bytes]:
    type_, storage = array.type, array.storage
    if type_ == pa.uuid():
        return [_NULL if v is None else _quoted(str(UUID(bytes=v))).encode() for v in storage.to_pylist()]
    if type_.extension_name == "arrow.json":
        values = _stored(storage).to_pylist()
        return [
            _NULL if v is None else v if _is_json(v) else _text(v).encode("utf-8", "surrogateescape") for v in values
        ]
    if type_.extension_name == "arrow.bool8":
        return _texts(storage.cast(pa.bool_()))
    return _texts(storage)


def _list_texts(array: Any) -> list[bytes]:
    items = iter(_texts(array.flatten()))
    lengths = pc.list_value_length(array).to_pylist()
    return [
        _NULL if length is None else b"[" + b",".join([next(items) for _ in range(length)]) + b"]" for length in lengths
    ]


def _struct_texts(array: pa.StructArray) -> list[bytes]:
    keys = [_quoted(array.type.field(i).name).encode() + b":" for i in range(array.type.num_fields)]
    children = [_texts(child) for child in array.flatten()]
    valid = array.is_valid().to_pylist()
    return [
        b"{" + b",".join([key + child[i] for key, child in zip(keys, children, strict=True)]) + b"}" if there else _NULL
        for i, there in enumerate(valid)
    ]


def _map_texts(array: pa.MapArray) -> list[bytes]:
    """An object: a key that is no text stands as its JSON in quotes."""
    keys = [k if k.startswith(b'"') else _text(k).encode("utf-8", "surrogateescape") for k in _texts(array.keys)]
    items = _texts(array.items)
    offsets, valid = array.offsets.to_pylist(), array.is_valid().to_pylist()
    return [
        b"{" + b",".join([keys[i] + b":" + items[i] for i in range(offsets[row], offsets[row + 1])]) + b"}"
        if there
        else _NULL
        for row, there in enumerate(valid)
    ]


def _number(value: float) -> str:
    """A double; an infinity is none in JSON."""
    return "null" if value != value else json.dumps(value)


def _text(value: bytes) -> str:
    return json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False)


def _bytes(value: bytes) -> str:
    return _quoted(_IRREGULAR.sub(lambda m: b"\\x%02X" % m[0][0], value).decode("ascii"))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _span(ticks: int, unit: int) -> str:
    """``[-]HH:MM:SS[.f]``; hours may have more digits."""
    seconds, fraction = divmod(abs(ticks), unit)
    digits = f".{fraction:0{len(str(unit)) - 1}d}".rstrip("0") if fraction else ""
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{'-' if ticks < 0 else ''}{hours:02d}:{minute:02d}:{second:02d}{digits}"


def _moment(ticks: int, unit: int, *, date: bool = False) -> str:
    """A day, and its time; years before 1 as ``0044-03-15 (BC)``."""
    days, rest = divmod(ticks, _DAY_SECONDS * unit)
    # Gregorian days from civil, by eras of 400 years that begin in March
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = era * 400 + year_of_era + (month <= 2)
    shown = f"{year if year > 0 else 1 - year:04d}-{month:02d}-{day_of_year - (153 * shifted + 2) // 5 + 1:02d}"
    shown += "" if year > 0 else " (BC)"
    return shown if date else f"{shown} {_span(rest, unit)}"


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True
